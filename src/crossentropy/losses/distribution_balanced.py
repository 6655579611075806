"""The distribution-balanced loss of long-tailed multi-label data."""

from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, loss_dtype, namespace
from crossentropy._backends.conditions import first_true, is_false, is_true
from crossentropy._backends.dtypes import dtype_name
from crossentropy._engine.checks import check_factor
from crossentropy._engine.reductions import check_reduction, normalizer_of
from crossentropy._engine.sigmoid.formula import element_weights
from crossentropy._engine.sigmoid.labels import check_binary_labels, nan_where_invalid
from crossentropy._engine.sigmoid.problem import make_problem
from crossentropy._engine.weights import class_vector
from crossentropy._rows import entry_in_words
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.links import Focal
from crossentropy.losses.sigmoid import sigmoid_cross_entropy

__all__ = ["distribution_balanced_loss"]


@argument_errors
def distribution_balanced_loss(
    logits: Array,
    labels: Array,
    counts: Array,
    *,
    total: float,
    offset: float = 0.1,
    slope: float = 10.0,
    midpoint: float = 0.2,
    kappa: float = 0.05,
    negative_scale: float = 2.0,
    gamma: float = 2.0,
    balance: float = 2.0,
    axis: int = -1,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Distribution-balanced loss for long-tailed multi-label data: re-balanced weights, tolerance for negatives.

    With ``n_c`` of ``N`` rows labeled ``c``,

    .. math::

        r_c = \alpha + \sigma\Bigl(\beta \Bigl(\frac{1 / n_c}{\sum_{j \in Y} 1 / n_j} - \mu\Bigr)\Bigr), \qquad
        v_c = z_c - \frac{\kappa}{\lambda} \ln\Bigl(\frac{N}{n_c} - 1\Bigr), \qquad
        u_c = t_c\, v_c + (1 - t_c)\, \lambda v_c,

    .. math:: \ell_c = b\, r_c \bigl( t_c\, \varphi_\gamma(\log \sigma(u_c))
              + \tfrac{1 - t_c}{\lambda}\, \varphi_\gamma(\log \sigma(-u_c)) \bigr)

    where :math:`\varphi_\gamma` is the focal loss. ``r`` undoes what sampling rows for one label does to the others on
    them; ``λ`` and the bias keep the many negatives of a rare label from pushing it further once they are right.

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : array, shape of `logits`
        0 and 1, of any dtype.
    counts : array (C,)
        ``n``: how many training rows have each label.
    total : float
        ``N``: how many training rows there are.
    offset, slope, midpoint : float, default 0.1, 10.0, 0.2
        ``α``, ``β`` and ``μ`` of the re-balancing weight. The authors' configuration for COCO; for VOC they set
        ``midpoint=0.3``. Their code calls the three ``alpha``, ``beta`` and ``gamma`` of ``map_param``.
    kappa : float, default 0.05
        Size of the bias, their ``init_bias``; 0 for none.
    negative_scale : float, default 2.0
        ``λ``, their ``neg_scale``; for VOC they set 5. 1 for no tolerance.
    gamma : float, default 2.0
        Exponent of the focal loss; 0 for cross-entropy.
    balance : float, default 2.0
        The factor ``b`` of their code (``balance_param``), which makes up for what the focal loss takes off. The
        paper's formula has none: 1.
    axis : int, default -1
        The axis of the labels of a row.
    sample_weight : array, shape of `logits` or that without `axis`, optional
    reduction, normalizer, empty, validate
        As in `crossentropy.sigmoid_cross_entropy`. The mean is over elements, and the weights ``r`` are not in what
        it divides by.

    Returns
    -------
    array () or shape of `logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If a label is neither 0 nor 1, a count is not between 0 and `total`, or shapes do not fit.
    TypeError
        If logits are not floating, or labels are not numbers.

    Notes
    -----
    A row without any label has ``r = α + 1``, as in the authors' code, where the share is then infinite. That code
    also adds the bias to the logits in place; here they are left as they are.

    References
    ----------
    Wu, Huang, Liu, Wang, Lin, "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets",
    ECCV 2020.

    Examples
    --------
    >>> import numpy as np
    >>> logits, labels = np.zeros((1, 3)), np.asarray([[1, 1, 0]])
    >>> distribution_balanced_loss(logits, labels, [500, 20, 10], total=1000, reduction="none").round(4)
    array([[0.0921, 0.4491, 0.1261]])
    """
    for name, factor in (
        ("offset", offset),
        ("slope", slope),
        ("midpoint", midpoint),
        ("kappa", kappa),
        ("balance", balance),
    ):
        check_factor(factor, name)
    if is_false((total > 0) & (total < INF)):
        raise ValueError(f"total is {total}; pass the number of rows that were counted")
    if is_false((negative_scale > 0) & (negative_scale < INF)):
        raise ValueError(
            f"negative_scale is {negative_scale}; logits are multiplied by it: it must be positive"
        )
    check_reduction(reduction, normalizer, empty)
    problem = make_problem(logits, labels, sample_weight=sample_weight, axis=axis, validate=validate)
    z, t, axis = problem.logits, problem.labels, problem.options.axis
    xp, dtype = namespace(z), loss_dtype(z)
    n = _counts(counts, total, z, axis)
    own = element_weights(problem, xp)
    weights = None if own is None else own[1]
    t = xp.astype(t, xp.int8) if dtype_name(t) == "bool" else t
    yes = t == 1
    valid = yes | (t == 0)
    counted = None if weights is None else weights != 0
    if problem.options.validate:
        check_binary_labels(t, valid, counted, error=_soft_label_error)

    rarity = xp.where(yes, xp.ones_like(z, dtype=n.dtype), xp.zeros_like(z, dtype=n.dtype)) / n
    repeats = xp.sum(rarity, axis=axis, keepdims=True)
    none = repeats == 0
    share = 1 / (n * xp.where(none, xp.ones_like(repeats), repeats))
    r = offset + xp.where(none, xp.ones_like(share), xp.exp(log_sigmoid(slope * (share - midpoint))))
    element = xp.astype(balance * xp.where(yes, r, r / negative_scale), dtype)
    bias = xp.astype(widened(kappa) / widened(negative_scale) * xp.log(total / n - 1), dtype)
    v = nan_where_invalid(xp.astype(z, dtype), valid, counted) - bias
    if reduction == "mean":
        normalizer = normalizer_of(normalizer, weights, tuple(z.shape), z)
    return sigmoid_cross_entropy(
        xp.where(yes, v, negative_scale * v),
        xp.astype(yes, xp.int8),
        link=Focal(gamma),
        sample_weight=element if weights is None else weights * element,
        axis=axis,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate="none",
    )


def _soft_label_error(labels: Array, place: tuple[int, ...]) -> ValueError:
    return ValueError(
        f"{entry_in_words('labels', place)} is {float(labels[place]):g}; pass 0 and 1: no label is soft"
    )


def _counts(counts: Any, total: float, logits: Array, axis: int) -> Array:
    """Rows of each label, to be broadcast over the logits."""
    if logits.ndim < 2:
        raise ValueError(f"logits have shape {tuple(logits.shape)}; pass rows of them, shape (rows, labels)")
    classes = logits.shape[axis]
    n: Array = class_vector(counts, logits, classes, "counts")
    xp = namespace(n)
    wrong = ~((n > 0) & (n < total))
    if is_true(xp.any(wrong)):
        label = first_true(wrong)[0]
        raise ValueError(
            f"label {label} has a count of {float(n[label]):g} among total={total:g} rows; each must be above 0 and "
            "below the total. Leave such labels out, or count smoothed: (counts + 1, total + 2)"
        )
    return xp.reshape(n, (classes, *(1,) * (logits.ndim - axis - 1)))
