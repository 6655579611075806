"""Losses that learn from predictions: a teacher's, or one's own of other views of the same example."""

from numbers import Integral
from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, constant, is_torch, namespace
from crossentropy._backends.conditions import check_static, is_zero
from crossentropy._engine.checks import as_share, check_factor, check_logits, check_validate
from crossentropy._engine.divergence import formulas as divergences
from crossentropy._engine.divergence.of_logits import of_rows
from crossentropy._engine.reductions import check_reduction
from crossentropy._engine.rows.reduce import in_loss_dtype, reduced
from crossentropy._engine.softmax.problem import make_problem, make_transform
from crossentropy._engine.softmax.terms import not_ignored_rows
from crossentropy._engine.weights import row_values
from crossentropy._rows import rows_shape
from crossentropy._statistics import PLAIN, Target, row_statistics
from crossentropy._statistics.formulas import class_last, widened
from crossentropy._statistics.log_sigmoid import log_sigmoid
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.targets import Sparse

__all__ = ["augmix_loss", "distillation_loss", "jsd_consistency", "top_k_teacher"]

DIRECTIONS = {
    "forward": divergences.FORWARD,
    "reverse": divergences.REVERSE,
    "jensen-shannon": divergences.JENSEN_SHANNON,
}


@argument_errors
def distillation_loss(
    student: Array,
    teacher: Array,
    labels: Any = None,
    *,
    temperature: Any = 4.0,
    label_weight: float = 0.5,
    direction: str = "forward",
    squared_temperature: bool = True,
    axis: int = -1,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Knowledge distillation: a student learns the softened predictions of a teacher, and the labels.

    .. math:: \ell = \alpha\, (-\log p_y) + (1 - \alpha)\, T^2\, \mathrm{KL}\bigl(\mathrm{softmax}(t / T) \,\|\,
              \mathrm{softmax}(s / T)\bigr)

    Parameters
    ----------
    student, teacher : array (..., C, ...), floating
        Logits ``s`` and ``t``. The teacher is a constant: no gradient flows to it.
    labels : array, or one of `crossentropy.targets`, optional
        As in `crossentropy.softmax_cross_entropy`, at a temperature of 1. Without them the loss is the second term,
        whole.
    temperature : float or array (), default 4.0
        ``T``, of both predictions.
    label_weight : float, default 0.5
        ``α``, the weight of the labels' cross-entropy, from 0 to 1; the teacher has the rest. (In other codes ``alpha``
        is the teacher's weight.)
    direction : {"forward", "reverse", "jensen-shannon"}
        ``KL(teacher ‖ student)``, which covers what the teacher says; ``KL(student ‖ teacher)``, which seeks its
        modes; or half of each to the mean of the two.
    squared_temperature : bool, default True
        Whether the second term has the factor ``T²``, which keeps its gradient in proportion at any temperature.
        The paper has it, many codes do not.
    axis : int, default -1
        The axis of the classes.
    sample_weight, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`. The mean is over rows: over all positions of a sequence, where
        ``KLDivLoss(reduction="mean")`` would also divide by the number of classes.
    ignore_index : int, optional
        A label whose rows are left out of both terms.

    Returns
    -------
    array () or the rows' shape
        The loss in nats, 0 where the student agrees with the teacher (the teacher's own entropy is not in it):
        float64 for float64 logits, else float32. Gradients flow to `student`, `sample_weight` and `temperature`.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is out of range.
    TypeError
        If logits are not floating, or are of different libraries.

    See Also
    --------
    top_k_teacher : the top of the teacher's predictions, to store and to pass to `softmax_cross_entropy`.

    References
    ----------
    Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", NeurIPS workshop 2014.
    Agarwal, Vieillard, Zhou, Stanczyk, Ramos, Geist, Bachem, "On-Policy Distillation of Language Models", ICLR 2024,
    for the other directions.

    Examples
    --------
    >>> import numpy as np
    >>> student, teacher = np.asarray([[1.0, 0.0, -1.0]]), np.asarray([[3.0, 1.0, -2.0]])
    >>> float(distillation_loss(student, teacher, temperature=2.0).round(6))
    0.38782
    >>> float(distillation_loss(student, teacher, np.asarray([0]), temperature=2.0, label_weight=0.1).round(6))
    0.389798
    >>> float(distillation_loss(teacher, teacher))
    0.0
    """
    if direction not in DIRECTIONS:
        raise ValueError(f'direction is {direction!r}; write "forward", "reverse" or "jensen-shannon"')
    label_weight = as_share(label_weight, "label_weight")
    check_validate(validate)
    if labels is None and ignore_index is not None:
        raise ValueError(f"ignore_index={ignore_index} names a label and there are none; use sample_weight")
    check_reduction(reduction, normalizer, empty)
    (student, teacher), axis, rows = _alike(axis, student=student, teacher=teacher)
    if getattr(temperature, "ndim", 0):
        raise ValueError(f"temperature has shape {tuple(temperature.shape)}; pass one number for all rows")
    transform = make_transform(student, axis, rows, Target(), temperature, None, None, None)
    weight = row_values(sample_weight, student, rows, "sample_weight")
    keep = None
    if ignore_index is not None:
        keep = not_ignored_rows(
            make_problem(student, labels, axis=axis, ignore_index=ignore_index, validate=validate)
        )

    share = 0.0 if labels is None else label_weight
    terms = []
    if not is_zero(1 - share):
        logits = (student, constant(teacher))
        soft = of_rows(DIRECTIONS[direction], logits, axis, transform, _live(weight, keep))
        factor = (1 - share) * (widened(transform.temperature) ** 2 if squared_temperature else 1.0)
        terms.append(factor * soft)
    if not is_zero(share):
        terms.append(share * _label_losses(student, labels, axis, ignore_index, weight, validate))
    return reduced(
        sum(terms[1:], terms[0]),
        student,
        sample_weight=weight,
        keep=keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def top_k_teacher(
    teacher: Array, k: int, *, temperature: Any = 1.0, renormalize: bool = True, axis: int = -1
) -> Sparse:
    """The k likeliest classes of a teacher, as labels: a distillation that stores k numbers a row instead of C.

    Parameters
    ----------
    teacher : array (..., C, ...), floating
        Logits. The result is a constant.
    k : int
        How many classes to keep, from 1 to C.
    temperature : float or array (), default 1.0
        Their divisor. Give the student the same one, and where ``T²`` is wanted multiply by it.
    renormalize : bool, default True
        Whether the k probabilities are divided by their sum. If not, the student's loss is ``Σ −q log p`` over the k
        classes alone, and a mean's default denominator is the mass that they have; ``normalizer="count"`` divides by
        rows.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    targets.Sparse
        `indices` and `weights` of shape rows + (k,), likeliest first: labels of `softmax_cross_entropy`. The weights
        are probabilities, dimensionless, float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If there are no k classes.
    TypeError
        If the logits are not floating.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> top = top_k_teacher(np.log([[0.6, 0.1, 0.3]]), 2)
    >>> top.indices, top.weights.round(4)
    (array([[0, 2]]), array([[0.6667, 0.3333]]))
    >>> float(ce.softmax_cross_entropy(np.log([[0.2, 0.3, 0.5]]), top).round(6))
    1.304008
    """
    (teacher,), axis, rows = _alike(axis, teacher=teacher)
    C = teacher.shape[axis]
    check_static(k=k)
    if not isinstance(k, Integral) or not 1 <= k <= C:
        raise ValueError(f"k is {k!r}; pass how many of the {C} classes to keep, from 1 to {C}")
    if getattr(temperature, "ndim", 0):
        raise ValueError(f"temperature has shape {tuple(temperature.shape)}; pass one number for all rows")
    transform = make_transform(teacher, axis, rows, Target(), temperature, None, None, None)
    teacher, xp = constant(teacher), namespace(teacher)
    last = class_last(teacher, axis)
    if is_torch(teacher):
        top, indices = last.topk(int(k), dim=-1)
    else:
        indices = xp.argsort(last, axis=-1, descending=True)[..., : int(k)]
        top = xp.take_along_axis(last, indices, axis=-1)
    if renormalize:
        log_weights = divergences.log_probabilities(top, transform)
    else:
        found = row_statistics(teacher, axis, Target(indices=indices, several=True), transform)
        log_weights = log_sigmoid(-found.log_odds)
    return Sparse(indices, in_loss_dtype(constant(xp.exp(log_weights)), teacher))


@argument_errors
def jsd_consistency(
    *logits: Array,
    axis: int = -1,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""Jensen–Shannon divergence between several predictions of the same rows, which is 0 if they agree.

    .. math:: \mathrm{JS} = \frac 1 K \sum_i \mathrm{KL}(p_i \,\|\, m), \qquad m = \frac 1 K \sum_i p_i

    Parameters
    ----------
    *logits : two or more arrays (..., C, ...), floating, of one shape
    axis : int, default -1
        The axis of the classes.
    sample_weight, reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        In nats, from 0 to ``ln K``: float64 for float64 logits, else float32. Gradients flow to all of `logits`.

    Raises
    ------
    ValueError
        If there are fewer than two, or their shapes differ.
    TypeError
        If they are not floating, or of different libraries.

    References
    ----------
    Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Trans. Information Theory 37, 1991.

    Examples
    --------
    >>> import numpy as np
    >>> float(jsd_consistency(np.log([[0.9, 0.1]]), np.log([[0.1, 0.9]])).round(6))
    0.368064
    """
    check_reduction(reduction, normalizer, empty)
    if len(logits) < 2:
        raise ValueError(f"got {len(logits)} prediction; pass two or more, to be compared with one another")
    alike, axis, rows = _alike(axis, **{f"logits[{i}]": z for i, z in enumerate(logits)})
    weight = row_values(sample_weight, alike[0], rows, "sample_weight")
    losses = of_rows(divergences.JENSEN_SHANNON, alike, axis, PLAIN, _live(weight, None))
    return reduced(
        losses,
        alike[0],
        sample_weight=weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def augmix_loss(
    clean: Array,
    *augmented: Array,
    labels: Any,
    consistency_weight: float = 12.0,
    axis: int = -1,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""AugMix's loss: cross-entropy of the clean view, and agreement of all views with one another.

    .. math:: \ell = -\log p_{\mathrm{clean}, y} + \lambda\, \mathrm{JS}(p_\mathrm{clean}, p_1, \dots, p_K)

    Parameters
    ----------
    clean : array (..., C, ...), floating
        Logits of the examples as they are.
    *augmented : one or more arrays, shape of `clean`
        Logits of augmented views of the same examples; the paper has two.
    labels : array, or one of `crossentropy.targets`
        As in `crossentropy.softmax_cross_entropy`.
    consistency_weight : float, default 12.0
        ``λ``, of the divergence.
    axis, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`; a row left out counts in neither term.

    Returns
    -------
    array () or the rows' shape
        In nats: float64 for float64 logits, else float32. Gradients flow to all logits.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If logits are not floating, or of different libraries.

    Notes
    -----
    The divergence has no clamp and so a gradient everywhere: codes that clamp the mean at 1e-7 have none for
    unlikely classes.

    References
    ----------
    Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan, "AugMix: A Simple Data Processing Method to Improve
    Robustness and Uncertainty", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> clean, first, second = np.log([[0.7, 0.3]]), np.log([[0.6, 0.4]]), np.log([[0.8, 0.2]])
    >>> float(augmix_loss(clean, first, second, labels=np.asarray([0])).round(6))
    0.549933
    """
    check_reduction(reduction, normalizer, empty)
    check_factor(consistency_weight, "consistency_weight")
    if not augmented:
        raise ValueError("there is no augmented view to agree with; pass their logits behind the clean ones")
    names = ("clean", *(f"augmented[{i}]" for i in range(len(augmented))))
    views, axis, rows = _alike(axis, **dict(zip(names, (clean, *augmented), strict=True)))
    own = row_values(sample_weight, views[0], rows, "sample_weight")
    keep = None
    if ignore_index is not None:
        keep = not_ignored_rows(
            make_problem(views[0], labels, axis=axis, ignore_index=ignore_index, validate=validate)
        )
    hard = _label_losses(views[0], labels, axis, ignore_index, own, validate)
    agreement = of_rows(divergences.JENSEN_SHANNON, views, axis, PLAIN, _live(own, keep))
    return reduced(
        hard + consistency_weight * agreement,
        views[0],
        sample_weight=own,
        keep=keep,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


def _alike(axis: int, **given: Any) -> tuple[list[Array], int, tuple[int, ...]]:
    """Logits of one library and one shape, their class axis counted from 0, and the shape of their rows."""
    _, arrays = as_arrays(**given)
    (name, first), *others = zip(given, arrays, strict=True)
    _, axis = check_logits(first, axis, name)
    for other, x in others:
        check_logits(x, axis, other)
        if tuple(x.shape) != tuple(first.shape):
            raise ValueError(
                f"{other} has shape {tuple(x.shape)} but {name} has shape {tuple(first.shape)}; they are predictions "
                "of the same rows over the same classes, so the shapes must be equal"
            )
    return arrays, axis, rows_shape(first.shape, axis)


def _live(weight: Array | None, keep: Array | None) -> Array | None:
    """Which rows count; None stands for all."""
    if weight is None:
        return keep
    return weight != 0 if keep is None else keep & (weight != 0)


def _label_losses(
    logits: Array, labels: Any, axis: int, ignore_index: int | None, weight: Array | None, validate: str
) -> Array:
    """Cross-entropy of every row before its weight; 0 where that is 0."""
    return softmax_cross_entropy(
        logits,
        labels,
        axis=axis,
        ignore_index=ignore_index,
        sample_weight=None if weight is None else weight != 0,
        reduction="none",
        validate=validate,
    )
