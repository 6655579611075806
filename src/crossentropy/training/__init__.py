"""The work of ``crossentropy train``: a table in, a trained classifier and its held-out scores out.

Importing this package is quick; its modules import torch, scikit-learn, pandas and matplotlib, which
``pip install "crossentropy[train]"`` brings.
"""
