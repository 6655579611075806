"""The problem of a linear head, checked: a softmax problem without logits, with flattened rows."""

from dataclasses import dataclass, replace
from math import prod
from numbers import Real
from typing import Any, NamedTuple

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import as_written, number
from crossentropy._backends import Array, is_torch, namespace
from crossentropy._backends.conditions import is_true
from crossentropy._engine.checks import check_floating, check_validate
from crossentropy._engine.linear.shift import apply_shift, drop_shifted_rows
from crossentropy._engine.softmax.problem import SoftmaxProblem, make_problem
from crossentropy._engine.softmax.terms import check_sums, excluded_rows
from crossentropy._statistics.label_errors import check_labels
from crossentropy.links.link import FlattenedLink, has_no_arrays

# Most bytes of a block of logits and all intermediate results, unless a budget is given, and most and fewest rows in a
# block: more rows do not make its products faster, fewer make them slow.
BUFFER = 512 << 20
MAX_BLOCK_ROWS, MIN_BLOCK_ROWS = 512, 16


@dataclass(slots=True, eq=False)
class LinearProblem:
    """``logits = hidden weightᵀ + bias`` with hidden (N, D), and the softmax problem of these logits."""

    hidden: Array
    weight: Array
    bias: Array | None
    low_rank: tuple[Array, Array] | None
    problem: SoftmaxProblem  # of logits (N, V), which it has not
    rows: tuple[int, ...]  # the shape of the rows before they were flattened
    shift: int
    # Pairs x (N, r), M (V, r) of PyTorch whose products x Mᵀ are added to the logits, flat: x₁, M₁, x₂, …
    more_factors: tuple[Array, ...] = ()

    def unflatten_rows(self, x: Array) -> Array:
        """Restore the shape of the rows in `x` (N, …), and drop the positions that a shift leaves without a label."""
        x = namespace(x).reshape(x, self.rows + tuple(x.shape[1:]))
        if not self.shift:
            return x
        return x[(slice(None),) * (len(self.rows) - 1) + (slice(0, self.rows[-1] - self.shift),)]


class LinearGradients(NamedTuple):
    """Gradients of a loss with respect to the inputs of its head; None for an input that was None."""

    hidden: Array
    weight: Array
    bias: Array | None
    low_rank: tuple[Array, Array] | None


def make_linear_problem(
    hidden: Array,
    weight: Array,
    labels: Any,
    *,
    bias: Array | None,
    low_rank: tuple[Array, Array] | None,
    shift: int,
    ignore_index: int | None = None,
    **options: Any,
) -> LinearProblem:
    """Check the arguments of `linear_cross_entropy`, and flatten the rows."""
    hidden, weight, bias, low_rank = _of_one_library(hidden, weight, bias, low_rank)
    check_head(hidden, weight, bias, low_rank)
    check_floating(hidden, "hidden")
    rows, (V, D) = tuple(hidden.shape[:-1]), weight.shape
    validate = check_validate(options.pop("validate", "raise"))
    labels, options = apply_shift(hidden, labels, shift, {**options, "ignore_index": ignore_index})
    problem = make_problem(hidden, labels, classes=V, validate="raise" if validate else "none", **options)
    if validate:
        check_labels(drop_shifted_rows(problem, shift, ignore_index), V)
        check_sums(problem)
    problem = flatten_rows(problem)
    hidden = namespace(hidden).reshape(hidden, (prod(rows), D))
    return LinearProblem(zero_excluded_hidden(hidden, problem), weight, bias, low_rank, problem, rows, shift)


def check_memory_budget(memory_budget: int | None) -> None:
    """Raise unless the budget is None or a number of bytes, 0 or more."""
    if memory_budget is None:
        return
    if not isinstance(memory_budget, Real):
        raise TypeError(
            f"memory_budget is {memory_budget!r}, of type {type(memory_budget).__name__}; it is a number of bytes, as "
            "64 * 2**20, or None"
        )
    if not memory_budget >= 0:
        raise ValueError(f"memory_budget is {memory_budget}; it is a number of bytes, or None")


def check_skip_below(skip_below: float, problem: SoftmaxProblem) -> None:
    """Raise unless the bound is 0, or a probability and the problem one whose gradient it bounds."""
    if not number(skip_below, "skip_below"):
        return
    if not 0 < skip_below < 1:
        raise ValueError(f"skip_below is {skip_below}; it is a probability, from 0 to 1")
    target, transform = problem.target, problem.transform
    if (
        target.labels is None
        or problem.label_smoothing
        or transform.softcap is not None
        or problem.requested.entropy
    ):
        raise ValueError(
            f"skip_below is {skip_below}, which leaves out what unlikely classes do to the gradient; it takes one "
            "label a row, and no label_smoothing, softcap or entropy_bonus"
        )


def rows_per_block(problem: SoftmaxProblem, bytes_each: int, memory_budget: int | None) -> int:
    """Choose the rows in a block, 16 to 512, so that ``rows · V · bytes_each``, bytes per logit, fits the budget."""
    N, V = problem.shape
    budget = BUFFER if memory_budget is None else int(memory_budget)
    return max(min(max(budget // (bytes_each * V), MIN_BLOCK_ROWS), MAX_BLOCK_ROWS, N), 1)


def row_parts(problem: SoftmaxProblem) -> dict[str, Any]:
    """Return the arrays of a problem that have an entry for every row, by name, without the logits."""
    temperature, target = problem.transform.temperature, problem.target
    parts = {
        "indices": target.indices,
        "mask": target.mask,
        "dense": target.dense,
        "masses": problem.masses,
        "sample_weight": problem.sample_weight,
        "temperature": temperature if getattr(temperature, "ndim", 0) else None,
    }
    return {name: x for name, x in parts.items() if x is not None}


def rows_of_problem(problem: SoftmaxProblem, rows: slice, logits: Array) -> SoftmaxProblem:
    """Restrict a problem to some rows and their logits, with reduction "sum"."""
    parts = {name: x[rows] for name, x in row_parts(problem).items()}
    return with_rows(problem, parts, len(logits)).with_logits(logits)


def with_rows(problem: SoftmaxProblem, parts: dict[str, Array], n: int) -> SoftmaxProblem:
    """Replace a problem's rows by `n` others, given their `row_parts`, with reduction "sum"."""
    return _with_parts(problem, parts, n, reduction="sum", normalizer="weight")


def _with_parts(problem: SoftmaxProblem, parts: dict[str, Array], n: int, **changes: Any) -> SoftmaxProblem:
    """Replace a problem's rows by `n` others, given their `row_parts`, which are checked, and other fields."""
    target, transform, get = problem.target, problem.transform, parts.get
    return replace(
        problem,
        shape=(n, problem.classes),
        rows=(n,),
        target=replace(target, indices=get("indices"), mask=get("mask"), dense=get("dense")),
        masses=get("masses"),
        transform=replace(transform, temperature=get("temperature", transform.temperature)),
        sample_weight=get("sample_weight"),
        normalized=False,
        validate=False,
        **changes,
    )


def factors_of(low_rank: Any) -> tuple[Any, ...]:
    """Return the two matrices of a low-rank update, none if there is no update, or raise TypeError."""
    if low_rank is None:
        return ()
    if not isinstance(low_rank, (tuple, list)) or len(low_rank) != 2 or any(x is None for x in low_rank):
        raise TypeError(
            f"low_rank is {as_written(low_rank)}; pass (A, B) with A (r, D) and B (V, r), whose product B A is added "
            "to the weight, or None"
        )
    return tuple(low_rank)


def check_head(
    hidden: Array, weight: Array, bias: Array | None, low_rank: tuple[Array, Array] | None
) -> None:
    """Raise unless the arrays of a head agree in library, shapes, device and dtype."""
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
        if x is not None and is_torch(x) and x.device != hidden.device:
            raise ValueError(f"{name} is on {x.device} and hidden on {hidden.device}; move one of them")
        if x is not None and x.dtype != hidden.dtype:
            raise TypeError(
                f"{name} has dtype {x.dtype} and hidden {hidden.dtype}; a product needs one dtype: convert one of them"
            )


def _of_one_library(
    hidden: Array, weight: Array, bias: Array | None, low_rank: tuple[Array, Array] | None
) -> tuple[Array, Array, Array | None, tuple[Array, Array] | None]:
    """Convert the arrays of a head to one library."""
    arrays = {"hidden": hidden, "weight": weight} | ({} if bias is None else {"bias": bias})
    arrays |= {f"low_rank[{i}]": x for i, x in enumerate(factors_of(low_rank))}
    _, (hidden, weight, *rest) = as_arrays(**arrays)
    if bias is not None:
        bias, *rest = rest
    return hidden, weight, bias, None if low_rank is None else (rest[0], rest[1])


def flatten_rows(problem: SoftmaxProblem) -> SoftmaxProblem:
    """Flatten the rows of a problem without logits to (N,), with the class axis last."""
    N, ndim, link = prod(problem.rows), len(problem.rows), problem.link
    if ndim != 1 and not has_no_arrays(link):
        link = FlattenedLink(link, problem.rows)
    parts = {name: problem.xp.reshape(x, (N, *x.shape[ndim:])) for name, x in row_parts(problem).items()}
    normalizer = problem.normalizer
    if getattr(normalizer, "ndim", 0):
        normalizer = problem.xp.reshape(normalizer, (N,))
    return _with_parts(problem, parts, N, axis=1, link=link, normalizer=normalizer)


def zero_excluded_hidden(hidden: Array, problem: SoftmaxProblem) -> Array:
    """Zero the excluded rows of `hidden` that have NaN or infinities, for 0 · NaN is NaN."""
    out = excluded_rows(problem)
    if out is None:
        return hidden
    xp = namespace(hidden)
    void = out & ~xp.all(xp.isfinite(hidden), axis=-1)
    if is_true(~xp.any(void)):
        return hidden
    return xp.where(void[..., None], xp.zeros_like(hidden), hidden)
