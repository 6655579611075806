"""The softmax loss of boosted trees, for several classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossentropy._arguments.errors import constructor_errors
from crossentropy._backends import Array
from crossentropy._engine.softmax.constant import constant_logits
from crossentropy._engine.softmax.hessian import RowHessians, row_derivatives
from crossentropy._loss_expressions.objective import LogitTransform
from crossentropy.boosting._catboost import ClassesCatBoostObjective
from crossentropy.boosting._lightgbm import LightGBMObjective
from crossentropy.boosting._options import check_hessian, check_weights, options_of
from crossentropy.boosting._xgboost import XGBoostObjective
from crossentropy.links import Link
from crossentropy.losses import softmax_cross_entropy

__all__ = ["SoftmaxObjective"]


@constructor_errors
@dataclass(frozen=True, kw_only=True, eq=False)
class SoftmaxObjective:
    r"""A softmax cross-entropy of boosted trees, for several classes.

    A row with the scores :math:`z` and the label :math:`y` costs what it does in `crossentropy.softmax_cross_entropy`,

    .. math:: \ell = \omega \sum_c w_c q_c\, \varphi(\log p_c), \qquad q = (1 - \varepsilon)\, e_y + \varepsilon r,
              \qquad p = \mathrm{softmax}\bigl((z - m\, e_y) / T + b\bigr).

    Parameters
    ----------
    link : Link, default `crossentropy.links.CrossEntropy`
        ``φ``: focal, generalized, …; one with a method ``curvature(D)``, as all of `crossentropy.links` have.
    label_smoothing : float, default 0.0
        Share ``ε`` of the mass that goes to `smoothing_prior`.
    smoothing_prior : array (C,), default uniform
        The distribution ``r``.
    class_weight : array (C,), optional
        Weight ``w`` of each class, such as `crossentropy.losses.class_balanced_weights` of the class counts.
    temperature : float, default 1.0
        ``T``, positive. The libraries do not divide by it when they predict; `probabilities` does.
    logit_bias : array (C,), optional
        ``b``, in training alone, such as `crossentropy.losses.logit_adjustment` of the class counts.
    margin : float or array (C,), optional
        ``m``, taken off the score of the label, in training alone.
    hessian : {"exact", "positive"}
        The second derivative that trees are grown with. That of a robust or focal loss is negative in some rows, whose
        Newton step then goes up. In ``∇²ℓ = Σ_j w_j q_j (gain_j (diag p − p pᵀ) − gain_j' (e_j − p)(e_j − p)ᵀ)``, with
        the derivative ``gain_j'`` of the link's gain by ``log p_j``, ``"positive"`` leaves out each term with a
        negative factor. So it is at least as large as the exact one, never negative, and equal for cross-entropy.

    Attributes
    ----------
    xgboost, lightgbm, catboost
        What these libraries take as an objective. Each has the metrics `loss` and `log_loss`, and the start of the
        model in its library's terms: ``xgboost.params(labels)``, ``lightgbm.init_score(labels)``,
        ``catboost.baseline(labels)``.

    Raises
    ------
    ValueError
        If an option is out of range, or shapes do not fit.
    TypeError
        If `link` is none, or has no second derivative.
    ImportError
        From `xgboost`, `lightgbm` or `catboost`, if the library is not installed.

    References
    ----------
    Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of Statistics 29, 2001. Chen,
    Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.

    Examples
    --------
    >>> import numpy as np
    >>> objective = SoftmaxObjective()
    >>> gradient, hessian = objective.derivatives(np.zeros((1, 4)), [1])
    >>> gradient, hessian
    (array([[ 0.25, -0.75,  0.25,  0.25]]), array([[0.1875, 0.1875, 0.1875, 0.1875]]))
    """

    link: Link | None = None
    label_smoothing: float = 0.0
    smoothing_prior: Array | None = None
    class_weight: Array | None = None
    temperature: float = 1.0
    logit_bias: Array | None = None
    margin: Any = None
    hessian: str = "exact"

    def __post_init__(self) -> None:
        check_hessian(self.hessian)
        check_weights(class_weight=self.class_weight)
        vectors: Any = (self.smoothing_prior, self.class_weight, self.logit_bias, self.margin)
        classes = next((len(x) for x in vectors if hasattr(x, "__len__")), 2)
        self.derivatives(np.zeros((1, classes)), [0])  # checks the options

    def derivatives(
        self, scores: Array, labels: Any, sample_weight: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the gradient of every row's weighted loss, and the diagonal of its Hessian.

        Parameters
        ----------
        scores : array (rows, C), floating
            Raw scores of the classes.
        labels : array (rows,)
            Class indices; floating ones, as the libraries keep them, have to be whole.
        sample_weight : array (rows,), optional

        Returns
        -------
        gradient, hessian : array (rows, C)
            In nats; float64 for float64 scores, else float32.
        """
        scores = _class_scores(scores)
        return row_derivatives(
            scores,
            _class_indices(labels),
            sample_weight=sample_weight,
            positive=self.hessian == "positive",
            **self._options,
        )

    def derivatives_of_row(
        self, scores: Any, label: int, scale: float = 1.0
    ) -> tuple[list[float], Iterable[list[float]]]:
        """Compute the gradient (C,) and the whole Hessian (C, C) of one row's loss, times `scale`.

        The Hessian is computed when its lines are iterated.

        >>> gradient, hessian = SoftmaxObjective().derivatives_of_row(np.zeros(2), 1)
        >>> gradient, list(hessian)
        ([0.5, -0.5], [[0.25, -0.25], [-0.25, 0.25]])
        """
        return self.row_hessians[len(scores)].derivatives(scores, label, scale)

    def loss(self, scores: Array, labels: Any, sample_weight: Any = None) -> float:
        """Compute the mean of the losses in nats, weighted by ``ω w_y``."""
        labels = _class_indices(labels)
        scores = _class_scores(scores)
        return float(softmax_cross_entropy(scores, labels, sample_weight=sample_weight, **self._options))

    def log_loss(self, scores: Array, labels: Any, sample_weight: Any = None) -> float:
        """Compute the mean of ``−log p_y`` in nats, weighted by ``ω``, for the `probabilities` of the scores."""
        labels, T = _class_indices(labels), self.temperature
        scores = _class_scores(scores)
        return float(softmax_cross_entropy(scores, labels, sample_weight=sample_weight, temperature=T))

    def base_score(self, labels: Any, sample_weight: Any = None) -> np.ndarray:
        """Compute the scores (C,) to start from: those constant ones that minimize cross-entropy with these weights.

        They are ``T (ln s_c − b_c)`` for the shares ``s`` of the classes in ``Σ ω w_c q_c``. Without options these are
        the logarithms of the classes' frequencies, from which XGBoost and LightGBM start.
        """
        labels = _class_indices(labels)
        vectors = (self.smoothing_prior, self.class_weight, self.logit_bias)
        classes = next((np.size(x) for x in vectors if x is not None), int(labels.max()) + 1)
        options = {name: x for name, x in self._options.items() if name not in ("link", "margin")}
        return constant_logits(labels, classes, sample_weight=sample_weight, **options)

    def probabilities(self, scores: Array) -> np.ndarray:
        """Compute ``softmax(z / T)``, shape (rows, C), float64; `logit_bias` and `margin` belong to training alone."""
        return np.exp(LogitTransform(self.temperature).log_probabilities(np.asarray(scores)))

    @property
    def xgboost(self) -> XGBoostObjective:
        """The objective for XGBoost; its own Hessian is twice the diagonal."""
        return XGBoostObjective(self, "multi:softprob", hessian_factor=2.0)

    @property
    def lightgbm(self) -> LightGBMObjective:
        """The objective for LightGBM."""
        return LightGBMObjective(self, has_classes=True)

    @property
    def catboost(self) -> ClassesCatBoostObjective:
        """The objective for CatBoost."""
        return ClassesCatBoostObjective(self)

    @cached_property
    def row_hessians(self) -> RowHessians:
        """What computes the derivatives of rows, by the number of classes."""
        return RowHessians(self.hessian == "positive", self._options)

    @cached_property
    def _options(self) -> dict[str, Any]:
        return options_of(self)


def _class_scores(scores: Any) -> np.ndarray:
    """Return scores (rows, C), or raise."""
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(
            f"scores have shape {scores.shape}; SoftmaxObjective needs one for each class, shape (rows, C). "
            "For a yes or no, with one score a row, there is SigmoidObjective"
        )
    return scores


def _class_indices(labels: Any) -> np.ndarray:
    """Convert labels that a library keeps as floats to class indices."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"labels have shape {labels.shape}; pass one class index for each row, shape (rows,)"
        )
    if labels.dtype.kind != "f":
        return labels
    with np.errstate(invalid="ignore"):  # NaN, which is named below
        indices = labels.astype(np.int64)
    wrong = indices != labels
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"the label of row {row} is {labels[row]}; labels are class indices, counted from 0")
    return indices
