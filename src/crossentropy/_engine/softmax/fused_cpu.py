"""Losses in one native call each way: of labels and sets of them, and of links that act on every class.

The logits are in the CPU's memory and alone have a gradient. At ten classes each further call from Python takes as long
as the arithmetic, so a checked problem becomes one native object, which knows every option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from crossentropy._backends import INF, Array, is_numpy, is_torch
from crossentropy._backends.dtypes import dtype_name, sum_tolerance
from crossentropy._engine.reductions import negative_weight_error, of_nothing
from crossentropy._engine.softmax.labels import check_sets
from crossentropy._engine.softmax.native_links import CROSS_ENTROPY, KINDS, NUMBER, NativeLink, native_link
from crossentropy._engine.softmax.problem import FormulaNumbers, RowFormula, SoftmaxProblem, memory_torch
from crossentropy._engine.softmax.terms import check_sums
from crossentropy._engine.warnings import warn_of_probabilities
from crossentropy._kernels import _native
from crossentropy._statistics import PLAIN
from crossentropy._statistics.cpu.kernel import NO_TRANSFORM, Layout, lay_out, lay_out_transform
from crossentropy._statistics.cpu.memory import Memory
from crossentropy._statistics.label_errors import bad_label_error
from crossentropy.links import CrossEntropy, Link


class Kernel(NamedTuple):
    """What a formula of native/classes is, as `kKept`, `kTimesMass` and `with_formula_of_duals` have it there."""

    kept: int = 0  # numbers of every row that its loss leaves for the gradient
    times_mass: bool = True  # whether the mass of soft targets multiplies the loss, or is in it
    has_duals: bool = True  # whether its second derivatives are those of `pullback_along`


#: In the order in which native/classes/class_loss.hpp numbers them.
FORMULAS = {
    "focal": Kernel(),
    "power": Kernel(),
    "brier": Kernel(),
    "crammer-singer": Kernel(has_duals=False),
    "weston-watkins": Kernel(has_duals=False),
    "bi-tempered": Kernel(kept=1, times_mass=False),
    "cross-entropy": Kernel(kept=2, has_duals=False),
    "mixture": Kernel(),
}
NUMBERS = {name: i for i, name in enumerate(FORMULAS)}
REGULARIZERS = {"z_loss", "entropy_bonus"}  # those that native code knows
# Dtypes of labels, mask, masses, weights of rows, prior, divisors and weights of classes; these may be single.
DTYPES = ("int64", "bool", *("float64",) * 5)
WITH_SINGLE = (*DTYPES[:-1], "float32")


@dataclass(slots=True, eq=False)
class FusedRows:
    """A loss computed: its value, and what its gradient will need.

    `share` is what a unit of a row's weighted loss adds to the value, `kept` the arrays that `rows` has addresses of
    besides the logits, whose address is given anew.
    """

    value: Any
    rows: _native.RowLoss | _native.ClassLoss
    share: float
    kept: list[Array]


def serves(problem: SoftmaxProblem) -> bool:
    """Whether the native object knows the loss, of logits in the CPU's memory.

    It does not know links of one's own, weights of each label, nor numbers that are arrays, which may learn.
    """
    link, target = problem.link, problem.target
    if problem.has_class_terms and _is_of_classes(problem):
        return _serves_classes(problem)
    known = CROSS_ENTROPY if type(link) is CrossEntropy else native_link(link)
    if problem.formula is not None:
        known = _link_of_formula(problem)
    problem.native_link = known
    return (
        known is not None
        and (not known.arrays or _are_of_rows(problem))
        and problem.label_weight is None
        and (target.indices is not None or target.mask is not None)
        and isinstance(problem.label_smoothing, NUMBER)
        and (
            not problem.regularizers
            or (
                problem.regularizers.keys() <= REGULARIZERS
                and {float}.issuperset(map(type, problem.regularizers.values()))
            )
        )
    )


def _is_of_classes(problem: SoftmaxProblem) -> bool:
    """Whether a loss with a term of each class is not one of statistics of its rows all the same."""
    return problem.formula is None or problem.formula.name not in KINDS


def _link_of_formula(problem: SoftmaxProblem) -> NativeLink:
    """A formula of the log-odds and of the mean of all classes' losses, as native code has it."""
    name, _, (parameter, factor, _) = problem.formula  # type: ignore[misc]  # there is one
    return NativeLink(name, (factor, parameter, float(problem.classes)))


def _are_of_rows(problem: SoftmaxProblem) -> bool:
    """Whether the arrays of a link have a number for every row, each of one target, and native code may read them."""
    readable = memory_torch().is_constant if is_torch(problem.logits) else is_numpy
    return not problem.target.several and all(
        readable(x) and tuple(x.shape) == problem.rows for x in problem.native_link.arrays
    )


def _serves_classes(problem: SoftmaxProblem) -> bool:
    """Whether the native object of losses of every class knows the loss: of one label a row, or of soft targets."""
    target, transform = problem.target, problem.transform
    return (
        formula_of(problem.link, problem.formula) is not None
        and target.mask is None
        and not target.several
        and problem.label_weight is None
        and isinstance(problem.label_smoothing, NUMBER)
        and not problem.regularizers
        and isinstance(transform.temperature, NUMBER)
        and transform.softcap is None
        and transform.logit_bias is None
        and transform.margin is None
    )


def formula_of(link: Link, formula: RowFormula | None) -> tuple[str, FormulaNumbers] | None:
    """The formula of a loss of every class, and its numbers; None if native code does not know it."""
    if formula is not None:
        return formula.name, formula.numbers
    if type(link) is CrossEntropy:
        return "cross-entropy", FormulaNumbers()
    known = native_link(link)
    if known is None or known.arrays:
        return None
    if known.kind == "focal":
        return "focal", FormulaNumbers(known.numbers[0])
    if known.kind == "power" and known.numbers[2] == INF:  # not truncated
        return "power", FormulaNumbers(known.numbers[0], known.numbers[1])
    return None


def known_formula(link: Link, formula: RowFormula | None) -> tuple[str, FormulaNumbers]:
    """The same of a loss that native code knows."""
    return cast("tuple[str, FormulaNumbers]", formula_of(link, formula))


def evaluate(memory: type[Memory], problem: SoftmaxProblem) -> FusedRows:
    """The loss of `problem`: in float64, but of each row in the dtype of losses."""
    target, reduction = problem.target, problem.reduction
    x = lay_out(memory, problem.logits, problem.axis)
    code = memory.codes[x.array.dtype]
    N = problem.normalizer if reduction == "mean" else 1.0
    divisors = None
    if not isinstance(N, (str, float)):
        N = _divisors(problem)
        divisors = None if isinstance(N, float) else N
    wide = "float64" if code == 1 else "float32"
    rows: _native.RowLoss | _native.ClassLoss
    if problem.has_class_terms and _is_of_classes(problem):
        rows, kept = _class_rows(memory, problem, x, code, divisors)
    else:
        rows, kept = _native_rows(memory, problem, x, code, wide, divisors)
    losses = memory.empty(problem.rows, wide) if reduction == "none" else None
    total, mass, least, counted, bad, empty, miss = rows.evaluate(
        0 if losses is None else memory.address(losses), memory.threads()
    )
    if problem.validate:
        if bad >= 0:
            raise bad_label_error(target, bad, problem.classes)
        if empty >= 0:  # of a finite logit; that of a class is looked for now
            check_sets(target.mask, problem.axis, problem.sample_weight)
        dense = target.dense if problem.normalized else None
        if dense is not None and (miss > sum_tolerance(dense) or _is_narrower(problem, dense)):
            check_sums(problem)
    if problem.warns and rows.has_probabilities():
        warn_of_probabilities(problem.logits, problem.axis)
    if losses is not None:
        return FusedRows(losses, rows, 1.0, kept)
    if isinstance(N, str):
        if N == "weight" and least < 0 and not problem.signed_weights:
            raise negative_weight_error(least)
        N = mass if N == "weight" else float(counted)
    elif not isinstance(N, float):  # every row has been divided by its own
        nothing = problem.empty != "zero" and bool((N == 0).any())
        return FusedRows(of_nothing(problem.empty) if nothing else total, rows, 1.0, kept)
    if N == 0:
        return FusedRows(of_nothing(problem.empty), rows, 0.0, kept)
    return FusedRows(total / N, rows, 1.0 / N, kept)


def _is_narrower(problem: SoftmaxProblem, dense: Array) -> bool:
    """Whether soft targets, which are summed in the precision of the logits, are held to more than that."""
    return "64" in dtype_name(dense) and "64" not in str(problem.dtype)


def _divisors(problem: SoftmaxProblem) -> Any:
    """The normalizer, a number or an array, as a float or an array with one divisor for every row."""
    N = problem.normalizer
    if isinstance(N, (int, float)) or N.ndim == 0:
        return float(N)
    if tuple(N.shape) != problem.rows:
        raise ValueError(
            f"normalizer has shape {tuple(N.shape)}; "
            f"pass a number, or one divisor for each row, shape {problem.rows}"
        )
    return N


def check_unread(problem: SoftmaxProblem) -> None:
    """Check what `evaluate` sees as it reads the logits, for whoever computes the loss otherwise."""
    mask = problem.target.mask
    if mask is not None and problem.validate:
        check_sets(mask, problem.axis, problem.sample_weight)
    if problem.warns:
        warn_of_probabilities(problem.logits, problem.axis)


def gradient(
    memory: type[Memory],
    problem: SoftmaxProblem,
    logits: Array,
    found: FusedRows,
    upstream: Any,
    into: Array | None = None,
) -> Array:
    """The gradient by the logits, times `upstream`: a number, or with reduction "none" one for every row."""
    x = lay_out(memory, logits, problem.axis)
    out = memory.empty_like(x.array) if into is None else into
    alike = memory.strides(out) == memory.strides(x.array)
    strides = x.strides if alike else lay_out(memory, out, problem.axis).strides
    factor, each, _kept = _weights(memory, found, upstream)
    found.rows.pullback(
        memory.address(x.array),
        factor,
        each,
        memory.address(out),
        memory.codes[out.dtype],
        *strides,
        memory.threads(),
    )
    return out


def gradient_along(
    memory: type[Memory], problem: SoftmaxProblem, logits: Array, found: FusedRows, upstream: Any, v: Array
) -> Array:
    """The derivative of `gradient` by the logits along `v`, of a loss of every class."""
    x = lay_out(memory, logits, problem.axis)
    out = memory.empty_like(x.array)
    factor, each, _kept = _weights(memory, found, upstream)
    direction = lay_out(memory, v, problem.axis)
    rows = cast("_native.ClassLoss", found.rows)
    rows.pullback_along(
        memory.address(x.array),
        factor,
        each,
        direction.view(memory),
        lay_out(memory, out, problem.axis).view(memory),
        memory.threads(),
    )
    return out


def _weights(memory: type[Memory], found: FusedRows, upstream: Any) -> tuple[float, int, Any]:
    """A number and the address of one for each row, whose product multiplies a gradient; and what is at the address."""
    if isinstance(upstream, float):
        return found.share * upstream, 0, None
    kept, (each,) = memory.addressed((upstream,), ("float64",))
    return found.share, each, kept


def _native_rows(
    memory: type[Memory], problem: SoftmaxProblem, x: Layout, code: int, wide: str, divisors: Array | None
) -> tuple[_native.RowLoss, list[Array]]:
    """The native object of a problem, and the arrays that it has addresses of."""
    target, weight = problem.target, problem.class_weight
    ignore_index, y = target.ignore_index, target.indices
    single = weight is not None and str(weight.dtype).endswith("float32")  # widened there
    masses, sample_weight, prior = problem.masses, problem.sample_weight, problem.smoothing_prior
    arrays = (y, target.mask, masses, sample_weight, prior, divisors, weight)
    kept, addresses = memory.addressed(arrays, WITH_SINGLE if single else DTYPES)
    labels, mask, masses, sample_weight, prior, by, class_weight = addresses
    link: Any = problem.native_link
    if link is None:
        link = native_link(problem.link) if problem.formula is None else _link_of_formula(problem)
    link_a = link_b = 0
    if link.arrays:
        more, (link_a, link_b, *_) = memory.addressed((*link.arrays, None), ("float64",) * 3)
        kept += more
    transform = NO_TRANSFORM
    if problem.transform is not PLAIN:
        transform, others = lay_out_transform(memory, problem.transform, wide)
        kept += others
    rows = _native.RowLoss(
        memory.address(x.array),
        code,
        x.outer,
        x.classes,
        x.inner,
        *x.strides,
        transform,
        labels,
        y.shape[-1] if target.several and y is not None else 1,
        ignore_index is not None,
        ignore_index or 0,
        mask,
        KINDS.index(link.kind),
        link.numbers,
        link_a,
        link_b,
        problem.label_smoothing,
        prior,
        problem.regularizers.get("z_loss", 0.0),
        problem.regularizers.get("entropy_bonus", 0.0),
        class_weight,
        single,
        masses,
        sample_weight,
        by,
    )
    return rows, kept


def _class_rows(
    memory: type[Memory], problem: SoftmaxProblem, x: Layout, code: int, divisors: Array | None
) -> tuple[_native.ClassLoss, list[Array]]:
    """The native object of a loss of every class, and the arrays that it has addresses of."""
    target, weight = problem.target, problem.class_weight
    name, (parameter, factor, steps) = known_formula(problem.link, problem.formula)
    single = weight is not None and str(weight.dtype).endswith("float32")  # widened there
    arrays = (target.indices, problem.sample_weight, problem.smoothing_prior, divisors, weight)
    kept, addresses = memory.addressed(
        arrays, ("int64", "float64", "float64", "float64", "float32" if single else "float64")
    )
    labels, sample_weight, prior, by, class_weight = addresses
    masses = None
    soft, axis = (target.dense, problem.axis) if problem.table is None else (problem.table, 1)
    if soft is not None:
        dense = lay_out(memory, soft, axis)
        masses = dense.view(memory)
        kept.append(dense.array)
    rows = _native.ClassLoss(
        NUMBERS[name],
        parameter,
        factor,
        steps,
        memory.address(x.array),
        code,
        x.outer,
        x.classes,
        x.inner,
        *x.strides,
        1.0 / problem.transform.temperature,
        labels,
        target.ignore_index is not None,
        target.ignore_index or 0,
        masses,
        problem.label_smoothing,
        prior,
        class_weight,
        single,
        sample_weight,
        by,
    )
    return rows, kept
