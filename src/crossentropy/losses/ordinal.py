"""Losses and probabilities of classes that stand in an order: ages, grades, stages."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, as_indices, device, expm1, loss_dtype, namespace, total
from crossentropy._engine.checks import check_ignore_index, check_logits, check_validate
from crossentropy._engine.reductions import check_reduction, normalizer_of
from crossentropy._engine.rows.reduce import reduced_sums
from crossentropy._engine.weights import row_values
from crossentropy._statistics import Target
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.label_errors import check_labels, outside_classes
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.losses.sigmoid import sigmoid_cross_entropy

__all__ = ["coral_loss", "coral_probabilities", "corn_loss", "corn_probabilities"]


@argument_errors
def coral_loss(
    logits: Array,
    labels: Array,
    *,
    importance: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""CORAL loss of K ordered classes: the sum of K − 1 questions "is the label above k?".

    .. math:: \ell = -\sum_{k=0}^{K-2} \lambda_k
              \bigl( [y > k] \log \sigma(z_k) + [y \le k] \log(1 - \sigma(z_k)) \bigr)

    Parameters
    ----------
    logits : array (..., K − 1), floating
        Log-odds ``z_k`` of ``y > k``. In CORAL they are one score plus a bias for each ``k``.
    labels : integer or bool array, shape of `logits` without its last axis
        Classes from 0 to K − 1, not levels: for an array of levels pass ``levels.sum(-1)``.
    importance : array (K − 1,), optional
        Weight ``λ`` of each question, not counted in the mean's denominator.
    sample_weight : array, shape of `labels`, optional
        Weight of each row. Where it is 0, loss and gradient are 0 whatever the logits and the label.
    ignore_index : int, optional
        A label whose rows are left out.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`: questions are summed and the mean is over rows, as
        coral-pytorch has it.
    validate : {"raise", "none"}
        Whether labels are checked. Unchecked, a row with a label outside the classes is NaN.

    Returns
    -------
    array () or shape of `labels`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, or an option is out of range.
    TypeError
        If logits are not floating, or labels are.

    References
    ----------
    Cao, Mirjalili, Raschka, "Rank Consistent Ordinal Regression for Neural Networks with Application to Age
    Estimation", Pattern Recognition Letters 2020.

    Examples
    --------
    The example of coral-pytorch, whose levels are those of the labels 2, 1 and 4:

    >>> import numpy as np
    >>> logits = [[2.1, 1.8, -2.1, -1.8], [1.9, -1.0, -1.5, -1.3], [1.9, 1.8, 1.7, 1.6]]
    >>> float(coral_loss(np.asarray(logits), np.asarray([2, 1, 4])).round(4))
    0.692
    """
    check_reduction(reduction, normalizer, empty)
    asked = _questions(logits, labels, sample_weight, ignore_index, validate=check_validate(validate))
    z, weights = asked.logits, asked.weights
    _check_importance(importance, z)
    if asked.kept is not None and isinstance(normalizer, str) and normalizer == "count":
        normalizer = total(namespace(z).astype(asked.kept, loss_dtype(z)), tuple(range(z.ndim - 1)))
    call = partial(
        sigmoid_cross_entropy,
        z,
        asked.levels,
        class_weight=importance,
        sample_weight=weights,
        validate="none",
    )
    return reduced_sums(
        call,
        tuple(z.shape),
        z.ndim - 1,
        like=z,
        weights=weights,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def corn_loss(
    logits: Array,
    labels: Array,
    *,
    importance: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""CORN loss of K ordered classes: "above k?" is asked only of rows above k − 1.

    .. math:: \ell = -\sum_{k=0}^{\min(y, K-2)} \lambda_k
              \bigl( [y > k] \log \sigma(z_k) + [y = k] \log(1 - \sigma(z_k)) \bigr)

    which is, for ``λ = 1``, ``−log P(y)`` of the probabilities that `corn_probabilities` gives.

    Parameters
    ----------
    logits : array (..., K − 1), floating
        Log-odds ``z_k`` of ``y > k`` given ``y > k − 1``.
    labels : integer or bool array, shape of `logits` without its last axis
        Classes from 0 to K − 1.
    importance : array (K − 1,), optional
        Weight ``λ`` of each question, not counted in the mean's denominator, as in `coral_loss`.
    sample_weight : array, shape of `labels`, optional
        Weight of each row. Where it is 0, loss and gradient are 0 whatever the logits and the label.
    ignore_index : int, optional
        A label whose rows are left out.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each row. The mean is over the *questions* that are asked, as in the paper and in
        coral-pytorch: ``Σ ω ℓ / Σ ω m`` with ``m = min(y + 1, K − 1)``.
    normalizer : {"weight", "count"}, number or array, default "weight"
        What a mean divides by: ``Σ ω m``, the number of questions asked (zero weights included), or this:
        ``len(labels)`` for the mean of ``−log P(y)``.
    empty : {"zero", "nan", "raise"}
        The mean when there is nothing to average.
    validate : {"raise", "none"}
        Whether labels are checked. Unchecked, a row with a label outside the classes is NaN.

    Returns
    -------
    array () or shape of `labels`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is outside the classes, or an option is out of range.
    TypeError
        If logits are not floating, or labels are.

    References
    ----------
    Shi, Cao, Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based on Conditional
    Probabilities", Pattern Analysis and Applications 2023 (arXiv 2021).

    Examples
    --------
    >>> import numpy as np
    >>> logits, labels = np.asarray([[0.0, 0.0], [2.0, -1.0]]), np.asarray([0, 2])
    >>> corn_loss(logits, labels, reduction="none").round(4)  # one question, then two
    array([0.6931, 1.4402])
    >>> float(corn_loss(logits, labels).round(4))
    0.7111
    """
    check_reduction(reduction, normalizer, empty)
    asked = _questions(logits, labels, sample_weight, ignore_index, validate=check_validate(validate))
    z, weights = asked.logits, asked.weights
    xp, dtype, everything = namespace(z), loss_dtype(z), tuple(range(z.ndim))
    _check_importance(importance, z)
    posed = xp.astype(asked.posed, dtype)
    each = posed if weights is None else xp.astype(weights, dtype)[..., None] * posed
    if isinstance(normalizer, str) and normalizer == "count":
        normalizer = total(posed, everything)
    call = partial(
        sigmoid_cross_entropy,
        z,
        asked.levels,
        class_weight=importance,
        sample_weight=each,
        validate="none",
    )
    if reduction == "mean" and isinstance(normalizer, str):
        return call(normalizer=normalizer_of(normalizer, each, tuple(z.shape), z), empty=empty)
    return reduced_sums(
        call,
        tuple(z.shape),
        z.ndim - 1,
        like=z,
        weights=None,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def coral_probabilities(logits: Array) -> Array:
    r"""Probabilities of K ordered classes from CORAL's logits.

    .. math:: P(y = k) = \sigma(z_{k-1}) - \sigma(z_k), \qquad \sigma(z_{-1}) = 1, \quad \sigma(z_{K-1}) = 0

    Parameters
    ----------
    logits : array (..., K − 1), floating
        Log-odds ``z_k`` of ``y > k``, which fall with ``k``. They do where CORAL has learned its biases; where they
        rise, a "probability" is negative.

    Returns
    -------
    array (..., K)
        Probabilities, dimensionless, which sum to one: float64 for float64 logits, else float32. Differences keep their
        digits.

    Raises
    ------
    TypeError
        If logits are not floating.

    References
    ----------
    Cao, Mirjalili, Raschka, "Rank Consistent Ordinal Regression for Neural Networks with Application to Age
    Estimation", Pattern Recognition Letters 2020.

    Examples
    --------
    >>> import numpy as np
    >>> coral_probabilities(np.asarray([2.0, 0.0])).round(4)
    array([0.1192, 0.3808, 0.5   ])
    """
    logits, _ = check_logits(logits, -1)
    z, xp = widened(logits), namespace(logits)
    before, after = z[..., :-1], z[..., 1:]
    falls = before >= after
    high, low = xp.where(falls, before, after), xp.where(falls, after, before)
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b−a)), in which nothing cancels
    at_one_end = (high == low) & ~xp.isfinite(high)
    high, low = (xp.where(at_one_end, xp.zeros_like(x), x) for x in (high, low))
    between = xp.exp(log_sigmoid(high) + log_sigmoid(-low)) * -expm1(low - high)
    between = xp.where(falls, between, -between)
    first, last = xp.exp(log_sigmoid(-z[..., :1])), xp.exp(log_sigmoid(z[..., -1:]))
    return xp.astype(xp.concat([first, between, last], axis=-1), loss_dtype(logits), copy=False)


@argument_errors
def corn_probabilities(logits: Array) -> Array:
    r"""Probabilities of K ordered classes from CORN's logits.

    .. math:: P(y = k) = (1 - \sigma(z_k)) \prod_{j<k} \sigma(z_j), \qquad P(y = K - 1) = \prod_j \sigma(z_j)

    Parameters
    ----------
    logits : array (..., K − 1), floating
        Log-odds ``z_k`` of ``y > k`` given ``y > k − 1``.

    Returns
    -------
    array (..., K)
        Probabilities, dimensionless, which sum to one; their logarithms are minus `corn_loss`: float64 for float64
        logits, else float32.

    Raises
    ------
    TypeError
        If logits are not floating.

    References
    ----------
    Shi, Cao, Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based on Conditional
    Probabilities", Pattern Analysis and Applications 2023 (arXiv 2021).

    Examples
    --------
    >>> import numpy as np
    >>> corn_probabilities(np.asarray([2.0, 0.0])).round(4)
    array([0.1192, 0.4404, 0.4404])
    """
    logits, _ = check_logits(logits, -1)
    z, xp = widened(logits), namespace(logits)
    zero = xp.zeros_like(z[..., :1])
    above = xp.concat([zero, xp.cumulative_sum(log_sigmoid(z), axis=-1)], axis=-1)
    stop = xp.concat([log_sigmoid(-z), zero], axis=-1)
    return xp.astype(xp.exp(above + stop), loss_dtype(logits), copy=False)


def _check_importance(importance: Any, logits: Array) -> None:
    """Refuse weights that are not one for each question."""
    tasks = int(logits.shape[-1])
    if importance is not None and tuple(np.shape(importance)) not in ((), (tasks,)):
        raise ValueError(
            f"importance has shape {tuple(np.shape(importance))}; pass one number for each of the {tasks} questions of "
            f"{tasks + 1} classes, shape ({tasks},)"
        )


class _Questions(NamedTuple):
    """What is asked of every row."""

    logits: Array
    levels: Array  # [y > k] as integers; neither 0 nor 1 for a label that is none
    posed: Array  # [y > k − 1]: whether the question is asked at all, by CORN
    weights: Array | None  # of the rows, 0 where ignored
    kept: Array | None  # the rows that are not ignored; None for all


def _questions(
    logits: Array, labels: Any, sample_weight: Any, ignore_index: int | None, *, validate: bool
) -> _Questions:
    xp, (z, y) = as_arrays(logits=logits, labels=labels)
    z, _ = check_logits(z, -1)
    rows, classes = tuple(z.shape[:-1]), z.shape[-1] + 1
    if not rows:
        raise ValueError(f"logits have shape {tuple(z.shape)}; pass rows of them, shape (N, K - 1)")
    if not xp.isdtype(y.dtype, ("bool", "integral")):
        raise TypeError(
            f"labels have dtype {y.dtype}; pass classes as integers: labels.long() or labels.astype(int)"
        )
    if tuple(y.shape) != rows:
        levels = "; of levels pass levels.sum(-1)" if tuple(y.shape) == tuple(z.shape) else ""
        raise ValueError(
            f"labels have shape {tuple(y.shape)}, but logits of shape {tuple(z.shape)} ask {classes - 1} questions "
            f"of each row and need its class alone, shape {rows}{levels}"
        )
    check_ignore_index(ignore_index)
    y = as_indices(y)
    kept = None if ignore_index is None else y != ignore_index
    weights = row_values(sample_weight, z, rows, "sample_weight")
    if kept is not None:
        weights = xp.ones_like(y, dtype=loss_dtype(z)) if weights is None else weights
        weights = xp.where(kept, weights, xp.zeros_like(weights))
    target = Target(y, ignore_index=ignore_index)
    bad = outside_classes(target, classes)
    if validate:
        check_labels(target, classes, bad=bad if weights is None else bad & (weights != 0))
    tasks = xp.arange(classes - 1, device=device(z))
    levels = xp.astype(y[..., None] > tasks, xp.int8)
    bad = bad[..., None]
    posed = (y[..., None] >= tasks) | bad
    if kept is not None:
        posed = posed & kept[..., None]
    return _Questions(z, xp.where(bad, xp.full_like(levels, 2), levels), posed, weights, kept)
