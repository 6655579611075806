"""The problem of a linear head: one whose logits are known by their shape alone, its rows in one line."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from crossentropy.backends import as_indices, device, is_torch, is_true, namespace
from crossentropy.losses._softmax_formula import check_sums, idle_rows, kept_rows
from crossentropy.losses._softmax_problem import SoftmaxProblem, check_validate, make_problem
from crossentropy.statistics import Target
from crossentropy.statistics.labels import check_labels
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

Array = Any

NO_LABEL = -(1 << 62)  # the label of a row that a shift leaves without one


@dataclass(slots=True, eq=False)
class LinearProblem:
    """``logits = hidden weightᵀ + bias`` with hidden (N, D), and what is to be made of them."""

    hidden: Array
    weight: Array
    bias: Array | None
    low_rank: tuple[Array, Array] | None
    problem: SoftmaxProblem  # its logits are a shape (N, V) and hold nothing
    rows: tuple[int, ...]  # the shape of the rows before they were put in one line
    shift: int

    def shaped(self, x: Array) -> Array:
        """What there is for every row in the shape of the rows, without those that a shift left over."""
        x = namespace(x).reshape(x, self.rows + tuple(x.shape[1:]))
        return x[..., : self.rows[-1] - self.shift] if self.shift else x


def make_linear_problem(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None,
    low_rank: tuple[Array, Array] | None,
    shift: int,
    sample_weight: Array | None = None,
    normalizer: Any = "weight",
    temperature: Any = 1.0,
    ignore_index: int | None = None,
    **options: Any,
) -> LinearProblem:
    """Check what `linear_cross_entropy` was given, and put its rows in one line."""
    _check_head(hidden, weight, bias, low_rank)
    rows, (V, D) = tuple(hidden.shape[:-1]), weight.shape
    validate = check_validate(options.pop("validate", "raise"))
    if shift:
        labels, ignore_index = _shifted_labels(
            labels, hidden, rows, V, shift, ignore_index, validate=validate
        )
        sample_weight, normalizer, temperature = (
            _shifted(x, rows, shift, 1) for x in (sample_weight, normalizer, temperature)
        )
    problem = make_problem(
        _shape_alone(hidden, (*rows, V)),
        labels,
        sample_weight=sample_weight,
        normalizer=normalizer,
        temperature=temperature,
        ignore_index=ignore_index,
        validate="raise" if validate else "none",
        **options,
    )
    if validate:
        if not shift:
            check_labels(problem.target, V)
        check_sums(problem)
    problem = _in_one_line(problem, _shape_alone(hidden, (prod(rows), V)), prod(rows))
    hidden = namespace(hidden).reshape(hidden, (-1, D))
    return LinearProblem(_usable(hidden, problem), weight, bias, low_rank, problem, rows, shift)


def rows_of_problem(problem: SoftmaxProblem, rows: slice, logits: Array) -> SoftmaxProblem:
    """The problem of some of the rows, with their logits and the sum for a reduction."""

    def cut(x: Array | None) -> Any:
        return None if x is None else x[rows]

    transform, target = problem.transform, problem.target
    if getattr(transform.temperature, "ndim", 0):
        transform = replace(transform, temperature=transform.temperature[rows])
    return replace(
        problem,
        logits=logits,
        rows=(logits.shape[0],),
        target=replace(target, indices=cut(target.indices), mask=cut(target.mask), dense=cut(target.dense)),
        masses=cut(problem.masses),
        transform=transform,
        sample_weight=cut(problem.sample_weight),
        reduction="sum",
        normalizer="weight",
        normalized=False,
        validate=False,
    )


def _check_head(
    hidden: Array, weight: Array, bias: Array | None, low_rank: tuple[Array, Array] | None
) -> None:
    namespace(hidden, weight)  # raises if they are of different libraries
    if hidden.ndim == 0 or weight.ndim != 2 or hidden.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"hidden has shape {tuple(hidden.shape)} and weight {tuple(weight.shape)}; pass hidden states of shape "
            "(..., D) and a weight of shape (V, D), a row for each class, as torch.nn.Linear keeps it"
        )
    parts = {"weight": weight, "bias": bias}
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(
            f"bias has shape {tuple(bias.shape)}; pass one number for each of the {weight.shape[0]} classes"
        )
    if low_rank is not None:
        down, up = low_rank
        if (
            down.ndim != 2
            or up.ndim != 2
            or (up.shape[0], down.shape[1], up.shape[1]) != (*weight.shape, down.shape[0])
        ):
            raise ValueError(
                f"low_rank has matrices of shapes {tuple(down.shape)} and {tuple(up.shape)}; pass (A, B) with A (r, D) "
                f"and B (V, r), whose product B A is added to the weight {tuple(weight.shape)}"
            )
        parts |= {"A of low_rank": down, "B of low_rank": up}
    for name, x in parts.items():
        if x is not None and x.dtype != hidden.dtype:
            raise TypeError(
                f"{name} has dtype {x.dtype} and hidden {hidden.dtype}; a product needs one dtype: convert one of them"
            )


def _shape_alone(hidden: Array, shape: tuple[int, ...]) -> Array:
    """An array of this shape and hidden's dtype that takes no memory."""
    if is_torch(hidden):
        return hidden.new_zeros(1).expand(shape)
    xp = namespace(hidden)
    return xp.broadcast_to(xp.zeros(1, dtype=hidden.dtype), shape)


def _shifted_labels(
    labels: Any,
    hidden: Array,
    rows: tuple[int, ...],
    V: int,
    shift: int,
    ignore_index: int | None,
    *,
    validate: bool,
) -> tuple[Any, int]:
    """Labels moved `shift` places forward, and the label of the rows at the end, which are left without one."""
    if not rows or not 0 < shift <= rows[-1]:
        raise ValueError(
            f"shift is {shift}; with rows of shape {rows} it is from 0 to the length of the last axis"
        )
    if isinstance(labels, (LabelSet, OneHot, Probabilities)):
        raise ValueError(
            f"shift is given with {type(labels).__name__}, which would have to be copied; "
            "pass hidden[:, :-shift] and the targets[:, shift:]"
        )
    xp, nothing = namespace(hidden), NO_LABEL if ignore_index is None else ignore_index
    several = isinstance(labels, Sparse)
    y = labels.indices if several else labels
    y = y if hasattr(y, "dtype") else xp.asarray(y, device=device(hidden))
    if not xp.isdtype(y.dtype, ("bool", "integral")):
        raise TypeError(
            f"shift is given with labels of {y.dtype}; it moves class indices, which are integers"
        )
    if tuple(y.shape[: len(rows)]) != rows:
        raise ValueError(
            f"labels have shape {tuple(y.shape)}; with a shift they too have the shape {rows} of the rows"
        )
    y = as_indices(y)
    moved = y[(slice(None),) * (len(rows) - 1) + (slice(shift, None),)]
    if validate:
        check_labels(Target(indices=moved, several=several, ignore_index=ignore_index), V)
    moved = _shifted(y, rows, shift, nothing)
    return (Sparse(moved, _shifted(labels.weights, rows, shift, 0)) if several else moved), nothing


def _shifted(x: Any, rows: tuple[int, ...], shift: int, fill: float) -> Any:
    """`x` moved `shift` places forward along the last axis of the rows; one number for all stays as it is."""
    if not getattr(x, "ndim", 0):
        return x
    xp, axis = namespace(x), len(rows) - 1
    kept = x[(slice(None),) * axis + (slice(shift, None),)]
    end = xp.full((*rows[:-1], shift, *x.shape[len(rows) :]), fill, dtype=x.dtype, device=device(x))
    return xp.concat([kept, end], axis=axis)


def _in_one_line(problem: SoftmaxProblem, logits: Array, N: int) -> SoftmaxProblem:
    """The problem with its rows in one line, the classes behind them."""

    def flat(x: Any) -> Any:
        if not getattr(x, "ndim", 0):
            return x
        return namespace(x).reshape(x, (N, *x.shape[len(problem.rows) :]))

    transform, target = problem.transform, problem.target
    if getattr(transform.temperature, "ndim", 0):
        transform = replace(transform, temperature=flat(transform.temperature))
    return replace(
        problem,
        logits=logits,
        axis=1,
        rows=(N,),
        target=replace(
            target, indices=flat(target.indices), mask=flat(target.mask), dense=flat(target.dense)
        ),
        masses=flat(problem.masses),
        transform=transform,
        sample_weight=flat(problem.sample_weight),
        normalizer=flat(problem.normalizer),
        validate=False,
        normalized=False,
    )


def _usable(hidden: Array, problem: SoftmaxProblem) -> Array:
    """`hidden` with zeros in place of what is no number in rows that count for nothing: 0 · NaN is no 0."""
    keep, out = kept_rows(problem), idle_rows(problem)
    if keep is not None:
        out = ~keep if out is None else out | ~keep
    if out is None:
        return hidden
    xp = namespace(hidden)
    void = out & ~xp.all(xp.isfinite(hidden), axis=-1)
    if not is_true(xp.any(void), wait=True):
        return hidden
    return xp.where(void[:, None], xp.zeros_like(hidden), hidden)
