"""Calibrators: maps from predictions to calibrated probabilities, in scikit-learn's manner.

Each has ``fit(predictions, y, sample_weight)`` and ``predict_proba(predictions)``, and works as the last step of a
pipeline; scikit-learn is not needed. What predictions are is declared, never guessed.

>>> import numpy as np
>>> from crossentropy.evaluation.calibrators import TemperatureScaling
>>> round(TemperatureScaling("logits").fit([2.0] * 10, [1] * 8 + [0] * 2).temperature_, 6)
1.442695
"""

from typing import TYPE_CHECKING

from crossentropy._lazy import attach

if TYPE_CHECKING:
    from crossentropy.evaluation.calibrators._auto import AutoCalibration
    from crossentropy.evaluation.calibrators._base import Calibrator
    from crossentropy.evaluation.calibrators._files import load
    from crossentropy.evaluation.calibrators._gain import Gain, cross_validated_gain
    from crossentropy.evaluation.calibrators._isotonic import IsotonicCalibration
    from crossentropy.evaluation.calibrators._linear import MatrixScaling, VectorScaling
    from crossentropy.evaluation.calibrators._logistic import BetaCalibration, PlattScaling
    from crossentropy.evaluation.calibrators._temperature import TemperatureScaling

__all__ = [
    "AutoCalibration",
    "BetaCalibration",
    "Calibrator",
    "Gain",
    "IsotonicCalibration",
    "MatrixScaling",
    "PlattScaling",
    "TemperatureScaling",
    "VectorScaling",
    "cross_validated_gain",
    "load",
]

LAZY = {
    "_auto": ("AutoCalibration",),
    "_base": ("Calibrator",),
    "_files": ("load",),
    "_gain": ("Gain", "cross_validated_gain"),
    "_isotonic": ("IsotonicCalibration",),
    "_linear": ("MatrixScaling", "VectorScaling"),
    "_logistic": ("BetaCalibration", "PlattScaling"),
    "_temperature": ("TemperatureScaling",),
}

__getattr__, __dir__ = attach(__name__, __all__, LAZY)
