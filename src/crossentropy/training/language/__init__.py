"""The work of ``crossentropy train-lm``: text files in, a small language model and its bits per byte out.

Importing this package is quick; its modules import torch, tokenizers and matplotlib, which
``pip install "crossentropy[train]"`` brings.
"""
