"""What is wrong with the way a loss is called, found from data or from a running training loop.

>>> import numpy as np
>>> from crossentropy import doctor
>>> probabilities = np.asarray([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
>>> [finding.name for finding in doctor.examine(probabilities, [0, 1, 2])]
['softmax_twice']
"""

from typing import TYPE_CHECKING

from crossentropy._lazy import attach

if TYPE_CHECKING:
    from crossentropy.doctor._examine import examine
    from crossentropy.doctor._keras import watch_keras
    from crossentropy.doctor._watch.watch import watch
    from crossentropy.doctor.finding import Finding, Report

__all__ = ["Finding", "Report", "examine", "watch", "watch_keras"]

LAZY = {
    "_examine": ("examine",),
    "_keras": ("watch_keras",),
    "_watch.watch": ("watch",),
    "finding": ("Finding", "Report"),
}

__getattr__, __dir__ = attach(__name__, __all__, LAZY)
