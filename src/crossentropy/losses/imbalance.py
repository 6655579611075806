"""Losses for classes of unequal size; weights, offsets and margins made of counts; hard examples."""

from math import log
from numbers import Integral
from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors, number
from crossentropy._arguments.warnings import warn_of_axis
from crossentropy._backends import INF, Array, expm1, widest_dtype
from crossentropy._backends.conditions import check_static, first_true, is_false, is_true
from crossentropy._engine.checks import check_factor, check_logits
from crossentropy._engine.options import (
    SoftmaxOptions,
    WithoutMargin,
    WithoutOffset,
    WithoutReduction,
    check_names,
)
from crossentropy._engine.rows.formula import inverse_scale, row_weights
from crossentropy._engine.rows.hardest import mean_of_hardest
from crossentropy._engine.rows.reduce import in_loss_dtype
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy._engine.weights import class_vector
from crossentropy._versions import Unpack
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = [
    "balanced_softmax_loss",
    "balanced_weights",
    "class_balanced_weights",
    "hard_example_loss",
    "ldam_loss",
    "ldam_margins",
    "logit_adjustment",
]


@argument_errors
def balanced_weights(counts: Any) -> Array:
    """Class weights in inverse proportion to the sizes of the classes, ``w_c = n / (C n_c)``.

    Parameters
    ----------
    counts : array or list (C,)
        Size ``n_c`` of each class, ``n`` their sum; shares do as well.

    Returns
    -------
    array (C,)
        To be passed as `class_weight`: dimensionless, float64 where the library has it. Over the data they came from,
        the weights of the rows have the mean 1.

    Raises
    ------
    ValueError
        If a count is not positive: the weight of a class without examples is infinite.

    Notes
    -----
    scikit-learn's ``class_weight="balanced"``, which counts the classes that occur as C.

    Examples
    --------
    >>> balanced_weights([60, 30, 10]).round(4)
    array([0.5556, 1.1111, 3.3333])
    """
    xp, n = _counted(counts)
    return xp.sum(n) / (n.shape[0] * n)


@argument_errors
def class_balanced_weights(counts: Any, *, rebalancing: float = 0.999) -> Array:
    """Class weights by the effective number of examples, ``w_c ∝ (1 − β) / (1 − β^(n_c))``.

    Parameters
    ----------
    counts : array or list (C,)
        Size ``n_c`` of each class.
    rebalancing : float, default 0.999
        ``β``: from 0, all classes alike, to 1, the limit of inverse proportion to the counts. The paper tries 0.9,
        0.99, 0.999 and 0.9999.

    Returns
    -------
    array (C,)
        Weights with the mean 1, so that they sum to C, as in the paper; dimensionless, float64 where the library has
        it.

    Raises
    ------
    ValueError
        If a count is not positive, or `rebalancing` is not from 0 to 1.

    Notes
    -----
    ``1 − β^n`` is computed as ``−expm1(n ln β)``, which keeps its digits for ``β`` near 1. The paper puts the weights
    on softmax, sigmoid and focal losses alike: pass them as `class_weight` to any. The mean then divides by the weights
    of the rows in the batch; ``normalizer="count"`` divides by the rows, as the paper's code does.

    References
    ----------
    Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.

    Examples
    --------
    >>> class_balanced_weights([6000, 300, 10]).round(4)
    array([0.0286, 0.1099, 2.8616])
    """
    check_static(rebalancing=rebalancing)
    if not 0 <= rebalancing <= 1:
        raise ValueError(
            f"rebalancing is {rebalancing}; it is from 0 (all classes alike) to 1 (in inverse proportion to the counts)"
        )
    xp, n = _counted(counts)
    if rebalancing == 0:
        w = xp.ones_like(n)
    elif rebalancing == 1:
        w = 1 / n
    else:
        w = -1 / expm1(n * log(rebalancing))
    return w / xp.mean(w)


@argument_errors
def logit_adjustment(counts: Any, *, tau: float = 1.0) -> Array:
    """Log-priors of the classes as an offset of the logits, ``τ ln π_c`` with ``π_c = n_c / n``.

    Parameters
    ----------
    counts : array or list (C,)
        Size ``n_c`` of each class in the training data; shares do as well.
    tau : float, default 1.0
        ``τ``.

    Returns
    -------
    array (C,)
        An offset of logits in nats, to be passed as `logit_bias`; float64 where the library has it.

    Raises
    ------
    ValueError
        If a count is not positive: the logarithm of an empty class is −∞.

    Notes
    -----
    The sign is the paper's: in training the offset is **added**, ``softmax_cross_entropy(z, y, logit_bias=b)``, so
    that a rare class must be scored higher to be as likely, and predictions are then ``argmax z``. A model that was
    trained without it is adjusted afterwards, where it is **subtracted**: ``argmax (z − b)``. Never both.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit, Kumar, "Long-Tail Learning via Logit Adjustment", ICLR 2021.

    Examples
    --------
    >>> logit_adjustment([60, 30, 10]).round(4)
    array([-0.5108, -1.204 , -2.3026])
    """
    check_factor(tau, "tau")
    xp, n = _counted(counts)
    return tau * xp.log(n / xp.sum(n))


@argument_errors
def balanced_softmax_loss(logits: Array, labels: Any, counts: Any, **options: Unpack[WithoutOffset]) -> Array:
    r"""Cross-entropy of a softmax that knows how large the classes are.

    .. math:: \ell = -\log \frac{n_y e^{z_y}}{\sum_c n_c e^{z_c}}

    Parameters
    ----------
    logits, labels
        As in `crossentropy.softmax_cross_entropy`.
    counts : array or list (C,)
        Size ``n_c`` of each class in the training data.
    **options
        Those of `crossentropy.softmax_cross_entropy` but `logit_bias`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If a count is not positive, or as `crossentropy.softmax_cross_entropy` does.

    Notes
    -----
    It is logit adjustment with ``τ = 1``: the offset is ``ln(n_c / n)``, where the paper has ``ln n_c``, and a number
    that all classes share changes nothing (but the log-partition of a `z_loss`). The plain logits are scored without
    the offset, as for balanced classes.

    References
    ----------
    Ren, Yu, Sheng, Ma, Zhao, Yi, Li, "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(balanced_softmax_loss(np.zeros((1, 3)), np.asarray([2]), [60, 30, 10]).round(6))
    2.302585
    """
    logits, n = _counts_of(logits, counts, options.get("axis", -1))
    return softmax_cross_entropy(logits, labels, logit_bias=logit_adjustment(n), **options)


@argument_errors
def ldam_margins(counts: Any, *, largest: float = 0.5) -> Array:
    """Margins that grow as classes shrink, ``m_c ∝ n_c^(−1/4)``.

    Parameters
    ----------
    counts : array or list (C,)
        Size ``n_c`` of each class.
    largest : float, default 0.5
        The margin of the smallest class, in the units of the logits before the scale.

    Returns
    -------
    array (C,)
        To be passed as `margin`, in units of the logits (nats): float64 where the library has it.

    Raises
    ------
    ValueError
        If a count is not positive.

    Examples
    --------
    >>> ldam_margins([160000, 10000, 16]).round(4)
    array([0.05, 0.1 , 0.5 ])
    """
    if is_false((number(largest, "largest") >= 0) & (largest < INF)):
        raise ValueError(f"largest is {largest}; it is a margin, so it is finite and at least 0")
    xp, n = _counted(counts)
    return largest * (xp.min(n, axis=0) / n) ** 0.25


@argument_errors
def ldam_loss(
    logits: Array,
    labels: Any,
    counts: Any,
    *,
    largest: float = 0.5,
    scale: float = 30.0,
    **options: Unpack[WithoutMargin],
) -> Array:
    r"""Label-distribution-aware margins: cross-entropy with the larger a margin the smaller the class.

    .. math:: \ell = -\log \frac{e^{s (z_y - m_y)}}{e^{s (z_y - m_y)} + \sum_{c \neq y} e^{s z_c}},
              \qquad m_c \propto n_c^{-1/4}

    Parameters
    ----------
    logits : array (..., C, ...), floating
        In the paper cosines, of a last layer with normalized features and weights.
    labels
        As in `crossentropy.softmax_cross_entropy`.
    counts : array or list (C,)
        Size ``n_c`` of each class in the training data.
    largest : float, default 0.5
        The largest margin, that of the smallest class.
    scale : float, default 30.0
        ``s``. The margin is taken off before the scale.
    **options
        Those of `crossentropy.softmax_cross_entropy` but `margin` and `temperature`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If a count or `scale` is not positive, or as `crossentropy.softmax_cross_entropy` does.

    Notes
    -----
    The paper's deferred re-weighting passes ``class_weight=class_balanced_weights(counts, rebalancing=0.9999)`` from
    the 160th of 200 epochs on, and nothing before. A class weight multiplies the loss and stays out of ``p``, also
    under ``link=links.Focal()``; the `FocalLoss` of the paper's code computes ``p`` from the weighted loss.

    References
    ----------
    Cao, Wei, Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS
    2019.

    Examples
    --------
    >>> import numpy as np
    >>> cosines = np.asarray([[0.7, 0.1, 0.3], [0.2, 0.4, 0.1]])
    >>> float(ldam_loss(cosines, np.asarray([0, 2]), [5000, 500, 50]).round(6))
    12.001591
    """
    logits, n = _counts_of(logits, counts, options.get("axis", -1))
    margin = ldam_margins(n, largest=largest)
    return softmax_cross_entropy(logits, labels, margin=margin, temperature=inverse_scale(scale), **options)


@argument_errors
def hard_example_loss(
    logits: Array, labels: Any, *, keep: float, **options: Unpack[WithoutReduction]
) -> Array:
    """Online hard example mining: the mean of the largest losses of a batch.

    Parameters
    ----------
    logits, labels
        As in `crossentropy.softmax_cross_entropy`.
    keep : int, or float
        How many rows to average: an int counts them, a float is a share of them above 0 and up to 1, rounded to the
        nearest number of at least one. (So 1 is one row, and 1.0 all.)
    **options
        Those of `crossentropy.softmax_cross_entropy` but `reduction` and `normalizer`: the mean over the rows kept is
        the only reduction.

    Returns
    -------
    array ()
        ``Σ ℓ / k`` over the ``k`` largest, in nats: float64 for float64 logits, else float32. Where fewer rows count
        than are to be kept, it is their mean.

    Raises
    ------
    ValueError
        If `keep` is out of range, or as `crossentropy.softmax_cross_entropy` does.
    TypeError
        If there is a `reduction` or a `normalizer`.

    Notes
    -----
    Rows that are ignored or of weight 0 are not among those chosen from. Weights multiply a row's loss before it is
    compared; the mean divides by the number of rows kept. Among equal losses the earlier rows are kept, and have the
    gradient. All rows of a batch compete, over the pixels of all its images; a threshold on the probability, as codes
    for segmentation have beside the number, is not offered.

    References
    ----------
    Shrivastava, Gupta, Girshick, "Training Region-Based Object Detectors with Online Hard Example Mining", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([[2.0, 1.0, -1.0], [0.0, 2.0, -2.0], [1.0, 1.0, -1.0]])
    >>> labels = np.asarray([0, 1, 2])
    >>> float(hard_example_loss(logits, labels, keep=2).round(6))
    1.553818
    """
    for name in {"reduction", "normalizer"} & set(options):
        raise TypeError(f"hard_example_loss is the mean over the rows it keeps; leave {name} out")
    check_static(keep=keep)
    counted = isinstance(keep, Integral) and not isinstance(keep, bool)
    if not (keep >= 1 if counted else isinstance(keep, float) and 0 < keep <= 1):
        raise ValueError(
            f"keep is {keep!r}; pass how many rows to keep, 1 or more, or a share of them above 0 and up to 1.0"
        )
    check_names(options, SoftmaxOptions)
    if "axis" not in options and getattr(logits, "ndim", 2) > 2:
        warn_of_axis(logits, labels)
    problem = make_problem(logits, labels, reduction="none", checks_sets=False, warns=True, **options)
    weights = row_weights(problem)
    losses = solve(problem)
    return in_loss_dtype(mean_of_hardest(losses, weights, keep, options.get("empty", "zero")), losses)


def _counted(counts: Any) -> tuple[Any, Array]:
    """Counts as an array of one floating number for each class."""
    xp, (n,) = as_arrays(counts=counts)
    n = xp.astype(n, widest_dtype(n), copy=False)
    if n.ndim != 1 or n.shape[0] == 0:
        raise ValueError(f"counts has shape {tuple(n.shape)}; pass one number for each class, shape (C,)")
    wrong = ~((n > 0) & (n < INF))
    if is_true(xp.any(wrong)):
        (c,) = first_true(wrong)
        raise ValueError(
            f"the count of class {c} is {float(n[c]):g}; every class needs a positive one. "
            "Leave classes without examples out, or count them as 1"
        )
    return xp, n


def _counts_of(logits: Array, counts: Any, axis: int) -> tuple[Array, Array]:
    """The logits, and counts of their classes in their library."""
    logits, axis = check_logits(logits, axis)
    return logits, class_vector(counts, logits, logits.shape[axis], "counts")
