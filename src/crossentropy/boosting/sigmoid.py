"""The sigmoid loss of boosted trees, for a yes or no."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossentropy._arguments.errors import constructor_errors, number
from crossentropy._backends import Array
from crossentropy._engine.sigmoid.constant import constant_log_odds
from crossentropy._engine.sigmoid.hessian import BlockDerivatives, element_derivatives
from crossentropy.boosting._catboost import YesNoCatBoostObjective
from crossentropy.boosting._lightgbm import LightGBMObjective
from crossentropy.boosting._options import check_hessian, check_weights, options_of
from crossentropy.boosting._xgboost import XGBoostObjective
from crossentropy.links import Link
from crossentropy.links._probabilities import probability
from crossentropy.losses import sigmoid_cross_entropy

__all__ = ["SigmoidObjective"]


@constructor_errors
@dataclass(frozen=True, kw_only=True, eq=False)
class SigmoidObjective:
    r"""A sigmoid cross-entropy of boosted trees, for a yes or no.

    A row with the score :math:`z` and the label :math:`t` costs what it does in `crossentropy.sigmoid_cross_entropy`,

    .. math:: \ell = \omega \bigl( \pi\, q\, \varphi_+(\log p) + (1 - q)\, \varphi_-(\log(1 - p_m)) \bigr),
              \qquad q = (1 - \varepsilon)\, t + \varepsilon / 2, \qquad p = \sigma(z + b),
              \qquad p_m = \max(p - m, 0).

    Parameters
    ----------
    link : Link, default `crossentropy.links.CrossEntropy`
        ``φ₊``: focal, generalized, …; one with a method ``curvature(D)``, as all of `crossentropy.links` have.
    negative_link : Link, default `link`
        ``φ₋``.
    negative_shift : float, default 0.0
        ``m``. With two `Focal` links this is the asymmetric loss.
    pos_weight : float, optional
        Factor ``π`` of the "yes" term.
    label_smoothing : float, default 0.0
        Share ``ε`` of a label that is moved to 1/2.
    logit_bias : float, default 0.0
        ``b``, in training alone: ``log(n₁/n₀)`` of the counts of "yes" and "no" is logit adjustment.
    hessian : {"exact", "positive"}
        The second derivative that trees are grown with; see `SoftmaxObjective`.

    Attributes
    ----------
    xgboost, lightgbm, catboost
        What these libraries take as an objective, as of `SoftmaxObjective`.

    Raises
    ------
    ValueError
        If an option is out of range, or shapes do not fit.
    TypeError
        If a link is none, or has no second derivative.
    ImportError
        From `xgboost`, `lightgbm` or `catboost`, if the library is not installed.

    Notes
    -----
    Labels may be probabilities where the library takes them, as XGBoost and LightGBM do. XGBoost may have several
    questions: scores and labels of shape (rows, K).

    References
    ----------
    Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics 29, 2001. Ridnik,
    Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For Multi-Label Classification", ICCV
    2021.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.links import Focal
    >>> SigmoidObjective().derivatives(np.zeros(2), [0, 1])
    (array([ 0.5, -0.5]), array([0.25, 0.25]))
    >>> wrong = np.asarray([-4.0])  # the label is 1
    >>> for hessian in ("exact", "positive"):
    ...     SigmoidObjective(link=Focal(2.0), hessian=hessian).derivatives(wrong, [1])[1].round(4)
    array([-0.0467])
    array([0.0195])
    """

    link: Link | None = None
    negative_link: Link | None = None
    negative_shift: float = 0.0
    pos_weight: float | None = None
    label_smoothing: float = 0.0
    logit_bias: float = 0.0
    hessian: str = "exact"

    def __post_init__(self) -> None:
        check_hessian(self.hessian)
        check_weights(pos_weight=self.pos_weight)
        number(self.logit_bias, "logit_bias")
        self.derivatives(np.zeros(2), [0, 1])  # checks the options

    def derivatives(
        self, scores: Array, labels: Any, sample_weight: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the first and second derivative of every element's weighted loss.

        Parameters
        ----------
        scores : array (rows,) or (rows, K), floating
            Raw scores of "yes".
        labels : array, shape of `scores`
            0 and 1, or probabilities.
        sample_weight : array (rows,), optional

        Returns
        -------
        gradient, hessian : array, shape of `scores`
            In nats; float64 for float64 scores, else float32.
        """
        scores, labels = self._shifted(scores, labels)
        return element_derivatives(
            scores,
            labels,
            sample_weight=sample_weight,
            positive=self.hessian == "positive",
            **self._options,
        )

    def derivatives_of_block(
        self, scores: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the same for one of many blocks of rows, float64 scores and labels (rows,), with few checks.

        >>> SigmoidObjective().derivatives_of_block(np.zeros(2), np.asarray([0.0, 1.0]))
        (array([ 0.5, -0.5]), array([0.25, 0.25]))
        """
        scores, labels = self._shifted(scores, labels)
        return self._blocks(scores, labels, sample_weight)

    def loss(self, scores: Array, labels: Any, sample_weight: Any = None) -> float:
        """Compute the mean of the losses in nats, weighted by ``ω``."""
        scores, labels = self._shifted(scores, labels)
        return float(sigmoid_cross_entropy(scores, labels, sample_weight=sample_weight, **self._options))

    def log_loss(self, scores: Array, labels: Any, sample_weight: Any = None) -> float:
        """Compute the mean of plain cross-entropy in nats, weighted by ``ω``, for the `probabilities` of the scores."""
        return float(
            sigmoid_cross_entropy(np.asarray(scores), np.asarray(labels), sample_weight=sample_weight)
        )

    def base_score(self, labels: Any, sample_weight: Any = None) -> np.ndarray:
        """Compute the score to start from: the constant one that minimizes cross-entropy with these weights, shape ().

        Without options these are the log-odds of "yes", from which XGBoost and LightGBM start. Labels of several
        questions give one of each, shape (K,).
        """
        log_odds = constant_log_odds(
            np.asarray(labels),
            sample_weight=sample_weight,
            label_smoothing=self.label_smoothing,
            pos_weight=self.pos_weight,
        )
        return log_odds - self.logit_bias

    def probabilities(self, scores: Array) -> np.ndarray:
        """Compute ``σ(z)``, the probabilities of "yes", float64; `logit_bias` belongs to training alone."""
        return probability(-np.asarray(scores, dtype=np.float64))

    @property
    def xgboost(self) -> XGBoostObjective:
        """The objective for XGBoost."""
        return XGBoostObjective(self, "binary:logistic", hessian_factor=1.0)

    @property
    def lightgbm(self) -> LightGBMObjective:
        """The objective for LightGBM."""
        return LightGBMObjective(self, has_classes=False)

    @property
    def catboost(self) -> YesNoCatBoostObjective:
        """The objective for CatBoost."""
        return YesNoCatBoostObjective(self)

    @cached_property
    def _options(self) -> dict[str, Any]:
        return {name: value for name, value in options_of(self).items() if name != "logit_bias"}

    @cached_property
    def _blocks(self) -> BlockDerivatives:
        return BlockDerivatives(self.hessian == "positive", self._options)

    def _shifted(self, scores: Array, labels: Any) -> tuple[np.ndarray, np.ndarray]:
        scores, labels = np.asarray(scores), np.asarray(labels)
        if scores.ndim == 2 and labels.ndim == 1:
            raise ValueError(
                f"scores have shape {scores.shape} and labels {labels.shape}: one label a row is one of several "
                "classes, for which there is SoftmaxObjective"
            )
        return scores + scores.dtype.type(self.logit_bias) if self.logit_bias else scores, labels
