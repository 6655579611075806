"""Scores of predictions, with intervals: log loss, calibration, who owns the loss.

>>> import numpy as np
>>> from crossentropy.evaluation import evaluate
>>> result = evaluate(labels=np.asarray([0, 0, 0, 1, 1, 1]), proba=np.asarray([0.4, 0.3, 0.2, 0.1, 0.5, 0.9]))
>>> round(result.log_loss, 7), round(result.miscalibration, 7)
(0.6986228, 0.3237327)
"""

from typing import TYPE_CHECKING

from crossentropy._kernels import COMPILED, absent
from crossentropy._lazy import attach

if not COMPILED:  # what is summed here is summed exactly, by kernels alone
    raise ImportError(
        f"crossentropy.evaluation needs the compiled part, which does not load here. {absent.ADVICE}"
    )

if TYPE_CHECKING:
    from crossentropy.evaluation import calibrators
    from crossentropy.evaluation._batch import Batch, SliceColumn
    from crossentropy.evaluation._compare import compare
    from crossentropy.evaluation._declaration import Declaration
    from crossentropy.evaluation._evaluate import evaluate
    from crossentropy.evaluation._faults import BadData
    from crossentropy.evaluation._language.windows import Window, windows
    from crossentropy.evaluation.comparison import Comparison, Difference
    from crossentropy.evaluation.language import language_score
    from crossentropy.evaluation.language_result import LanguageScore
    from crossentropy.evaluation.language_state import LanguageState
    from crossentropy.evaluation.result import Evaluation
    from crossentropy.evaluation.state import State

__all__ = [
    "BadData",
    "Batch",
    "Comparison",
    "Declaration",
    "Difference",
    "Evaluation",
    "LanguageScore",
    "LanguageState",
    "SliceColumn",
    "State",
    "Window",
    "calibrators",
    "compare",
    "evaluate",
    "language_score",
    "windows",
]

LAZY = {
    "_batch": ("Batch", "SliceColumn"),
    "_compare": ("compare",),
    "_declaration": ("Declaration",),
    "_evaluate": ("evaluate",),
    "_faults": ("BadData",),
    "_language.windows": ("Window", "windows"),
    "comparison": ("Comparison", "Difference"),
    "language": ("language_score",),
    "language_result": ("LanguageScore",),
    "language_state": ("LanguageState",),
    "result": ("Evaluation",),
    "state": ("State",),
}

__getattr__, __dir__ = attach(__name__, __all__, LAZY, ("calibrators", "ray", "spark"))
