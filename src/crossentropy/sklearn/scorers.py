"""Scorers of predicted probabilities, for ``scoring=`` of scikit-learn's searches and validations."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from sklearn.utils.metadata_routing import MetadataRequest

from crossentropy._versions import Self
from crossentropy.evaluation import evaluate

__all__ = [
    "ProbabilityScorer",
    "brier_skill_scorer",
    "log_loss_skill_scorer",
    "neg_brier_score_scorer",
    "neg_calibration_error_scorer",
    "neg_log_loss_scorer",
]

#: Attributes of `crossentropy.evaluation.Evaluation`, and whether more is better.
MEASURES = {
    "log_loss": -1,
    "skill": 1,
    "brier": -1,
    "brier_skill": 1,
    "ece": -1,
    "ece_equal_mass": -1,
    "smooth_ece": -1,
    "classwise_ece": -1,
}


class ProbabilityScorer:
    """A scorer of the probabilities of a classifier, of which more is better.

    The columns of the probabilities are matched with the labels by the estimator's ``classes_``, so a fold may lack a
    class. A class that the rows of training lacked has the probability 0: its log loss is infinite, since nothing is
    clipped. Logarithms are taken from ``predict_log_proba`` where there is one.

    Parameters
    ----------
    measure : str
        An attribute of `crossentropy.evaluation.Evaluation`: ``"log_loss"``, ``"skill"``, ``"brier"``,
        ``"brier_skill"``, ``"ece"``, ``"ece_equal_mass"``, ``"smooth_ece"`` or ``"classwise_ece"``. Of losses and
        errors the negative is taken.
    classes : sequence of labels, optional
        All classes. Left out, they are those that the estimator knows and those that occur.

    Raises
    ------
    ValueError
        If `measure` is none of these.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = ProbabilityScorer("brier")
    >>> cross_val_score(LogisticRegression(max_iter=1000), X, y, scoring=scorer).mean().round(2)
    np.float64(-0.06)
    """

    #: Whether metadata routing passes weights; None raises if any are given.
    _asks_for_weights: bool | str | None = None

    def __init__(self, measure: str, classes: Sequence[Any] | None = None) -> None:
        if measure not in MEASURES:
            raise ValueError(f"measure is {measure!r}; write one of {', '.join(MEASURES)}")
        self.measure, self.classes = measure, classes

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score an estimator on rows `X` with the labels `y`; NaN if the score does not exist, as a skill of one class.

        Raises
        ------
        ValueError
            If a label is none of the declared classes.
        """
        known = np.asarray(estimator.classes_)
        classes = np.union1d(known, y) if self.classes is None else np.asarray(self.classes)
        missing = np.setdiff1d(np.union1d(known, y), classes).tolist()
        if missing:
            raise ValueError(f"the label {missing[0]!r} is none of the declared classes {classes.tolist()!r}")
        with np.errstate(divide="ignore"):
            if hasattr(estimator, "predict_log_proba"):
                found = estimator.predict_log_proba(X)
            else:
                found = np.log(estimator.predict_proba(X))
        log_p = np.full((len(found), len(classes)), -np.inf)
        log_p[:, [classes.tolist().index(label) for label in known.tolist()]] = found
        result = evaluate(
            labels=np.asarray(y), log_proba=log_p, classes=classes.tolist(), weight=sample_weight, worst=1
        )
        value = getattr(result, self.measure)
        return float("nan") if value is None else MEASURES[self.measure] * value

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Return the scorer for searches and validations with metadata routing, which asks them for weights or not.

        Parameters
        ----------
        sample_weight : bool, str or None
            As in scikit-learn: whether weights are asked for, or the name that they have; None raises if any are given.

        Examples
        --------
        >>> scorer = neg_log_loss_scorer.set_score_request(sample_weight=True)
        >>> scorer.get_metadata_routing().score.requests
        {'sample_weight': True}
        """
        scorer = copy(self)
        scorer._asks_for_weights = sample_weight
        return scorer

    def get_metadata_routing(self) -> MetadataRequest:
        """Return what the scorer asks for, as scikit-learn wants to know."""
        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=self._asks_for_weights)
        return request

    def _accept_sample_weight(self) -> bool:
        """Tell scikit-learn's searches, which ask this without metadata routing, that there may be weights."""
        return True

    def __repr__(self) -> str:
        """Show how to make it."""
        classes = "" if self.classes is None else f", classes={self.classes!r}"
        return f"{type(self).__name__}({self.measure!r}{classes})"


neg_log_loss_scorer = ProbabilityScorer("log_loss")
log_loss_skill_scorer = ProbabilityScorer("skill")
neg_brier_score_scorer = ProbabilityScorer("brier")
brier_skill_scorer = ProbabilityScorer("brier_skill")
neg_calibration_error_scorer = ProbabilityScorer("ece")
