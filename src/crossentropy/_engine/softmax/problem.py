"""A softmax loss as its independent choices, checked: DESIGN's ``transform → statistics → link → weights``.

For a row with masses ``t``, of weight ``ω``, and class weights ``w``::

    q = (1−ε) t + ε r        a_c = w_c q_c
    ℓ = ω (Σ_c a_c φ(log p_c) + z_loss L² − entropy_bonus H)        W = ω Σ_c w_c t_c

The last two terms are `regularizers`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from crossentropy._arguments.errors import number
from crossentropy._backends import INF, Array, device, is_torch, loss_dtype_of, namespace
from crossentropy._backends.conditions import first_true, is_false, is_true, is_zero
from crossentropy._backends.modes import is_eager_mode
from crossentropy._backends.tape import Taped
from crossentropy._engine.checks import (
    as_normalizer,
    as_share,
    check_factor,
    check_ignore_index,
    check_logits,
    check_validate,
    checked_link,
    no_classes_error,
    python_number,
)
from crossentropy._engine.reductions import check_reduction
from crossentropy._engine.softmax.labels import resolve
from crossentropy._engine.softmax.regularizers import REGULARIZERS
from crossentropy._engine.weights import class_vectors, like, row_values
from crossentropy._rows import row_in_words
from crossentropy._statistics import PLAIN, Prior, Requested, Target, Transform
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.problem import NONE_REQUESTED
from crossentropy.links import CrossEntropy, Link

CROSS_ENTROPY = CrossEntropy()


@cache
def memory_torch() -> Any:
    """The module for tensors, imported with the first one; to execute an import takes a hundredth of a small loss.

    Asked for in eager mode alone, for `torch.compile` warns of every `functools.cache`.
    """
    from crossentropy._statistics.cpu import memory_torch

    return memory_torch


class FormulaNumbers(NamedTuple):
    """The numbers of a loss of a row's classes, as native/classes/formulas.hpp has them."""

    parameter: float = 0.0
    factor: float = 1.0
    steps: int = 0


class RowFormula(NamedTuple):
    """A loss of a row's classes that is no link's: its name, the loss by formulas, and its numbers.

    The name is one of `fused_cpu.FORMULAS`, or of `native_links.KINDS` if statistics of the rows tell the loss.

    ``composition(problem)`` is the loss where the kernel does not serve, differentiable to any order.
    """

    name: str
    composition: Callable[["SoftmaxProblem"], Array]
    numbers: FormulaNumbers = FormulaNumbers()


@dataclass(slots=True, eq=False)
class SoftmaxProblem:
    """Everything a softmax loss needs, in arrays of one library.

    `logits` are None where whoever computes the loss makes them, a block of rows at a time, or holds them elsewhere.
    """

    logits: Array | None
    shape: tuple[int, ...]  # of the logits, as are the next three
    dtype: Any
    device: Any
    xp: Any  # the namespace of the library
    axis: int
    rows: tuple[int, ...]
    target: Target
    masses: Array | None  # of Sparse, rows + (k,)
    normalized: bool  # soft targets must sum to one
    transform: Transform
    requested: Requested
    link: Link
    label_smoothing: float
    smoothing_prior: Array | None
    class_weight: Array | None
    sample_weight: Array | None
    regularizers: dict[str, Any]  # the factors of those that are not 0, by name
    reduction: str
    normalizer: Any
    empty: str
    validate: bool
    inplace: bool = False
    signed_weights: bool = False  # whether weights of a negative sum may be divided by
    tensors: list[Array] | None = (
        None  # besides the logits, if the kernels on the CPU can take all as they are
    )
    warns: bool = False  # whether the logits are still to be looked at for probabilities
    label_weight: Array | None = None  # of each label, where `class_weight` is not at hand for all classes
    formula: RowFormula | None = None  # in place of the link
    table: Array | None = None  # (C, C), of whose rows, which labels name, a formula takes the masses
    # The link as native code has it, kept by whoever asks first: each function more counts in a small loss.
    native_link: Any = field(default=None, init=False)
    has_class_terms: bool = field(init=False)  # whether each class has a term of its own
    acts_per_class: bool = field(init=False)  # and one that no statistic gives

    def __post_init__(self) -> None:
        soft, smoothing = self.target.dense is not None, self.label_smoothing
        self.acts_per_class = self.formula is not None or (
            type(self.link) is not CrossEntropy
            and (soft or (smoothing != 0 if type(smoothing) is float else not is_zero(smoothing)))
        )
        self.has_class_terms = soft or self.acts_per_class

    @property
    def of_rows(self) -> tuple[Array | None, int, Target, Transform, Prior | None, Requested]:
        """What the statistics of its rows are made of, in the order of `row_statistics`."""
        return self.logits, self.axis, self.target, self.transform, self.prior, self.requested

    @property
    def prior(self) -> Prior | None:
        """``r_c w_c``, or None where no statistic of the row is made of it."""
        if is_zero(self.label_smoothing) or self.acts_per_class:
            return None
        w, r = self.class_weight, self.smoothing_prior
        if w is None:
            return Prior(r)
        w = widened(w)
        return Prior(w / self.classes if r is None else widened(r) * w)

    @property
    def is_taped_beside_logits(self) -> bool:
        """Whether anything but the logits is an array that `loss_and_gradient` differentiates by."""
        return Taped in map(
            type,
            (
                *self.other_inputs,
                *(self.class_weight, self.smoothing_prior, self.transform.softcap, self.normalizer),
                *getattr(self.link, "__dict__", {}).values(),
            ),
        )

    @property
    def other_inputs(self) -> tuple[Any, ...]:
        """What gradients flow to besides the logits and the arrays of the link, if it is an array."""
        transform = self.transform
        return (
            *(self.target.dense, self.masses, self.table, self.sample_weight),
            *(transform.temperature, transform.logit_bias, transform.margin),
            self.label_smoothing,
            *self.regularizers.values(),
        )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.shape[self.axis]

    @property
    def loss_dtype(self) -> Any:
        """The dtype of the loss."""
        return loss_dtype_of(self.dtype, self.xp)

    def with_logits(self, logits: Array) -> "SoftmaxProblem":
        """The problem of these logits, of its shape, but perhaps of another dtype or library."""
        return replace(self, logits=logits, dtype=logits.dtype, device=device(logits), xp=namespace(logits))


def make_problem(
    logits: Array,
    labels: Any,
    axis: int = -1,
    label_smoothing: float = 0.0,
    smoothing_prior: Array | None = None,
    class_weight: Array | None = None,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    link: Link | None = None,
    temperature: Any = 1.0,
    softcap: float | None = None,
    logit_bias: Array | None = None,
    margin: Any = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
    inplace: bool = False,
    *,
    classes: int | None = None,
    signed_weights: bool = False,
    checks_sets: bool = True,
    warns: bool = False,
    **regularizers: Any,
) -> SoftmaxProblem:
    """Check the arguments of `softmax_cross_entropy` and bring them to arrays of the logits' library.

    With `classes`, `logits` are checked hidden states instead, each of which has logits for so many classes: the
    problem describes these and has none. Without `checks_sets` an empty label set is left to whoever computes the loss.
    `regularizers` are the factors of `REGULARIZERS`, by name.
    """
    tensors, (factors, requested) = None, _checked_factors(regularizers)
    if is_torch(logits) and is_eager_mode():
        weights = (sample_weight, class_weight, smoothing_prior, normalizer, label_smoothing)
        options = (*weights, temperature, logit_bias, margin, *factors.values())
        tensors = memory_torch().ready_tensors(logits, labels, options)
    ready = tensors is not None
    if classes is None:
        logits, axis = check_logits(logits, axis, labels=labels, ready=ready)
        shape = tuple(logits.shape)
    else:
        shape, axis = (*logits.shape[:-1], classes), logits.ndim - 1
        if not classes:
            raise no_classes_error(shape, axis, "logits")
    rows, C = shape[:axis] + shape[axis + 1 :], shape[axis]
    check_reduction(reduction, normalizer, empty)
    checked = validate == "raise" or check_validate(validate)
    link = CROSS_ENTROPY if link is None else checked_link(link, "link")
    if ignore_index is not None and type(ignore_index) is not int:
        check_ignore_index(ignore_index)
    if type(label_smoothing) is not float or not 0 <= label_smoothing <= 1:
        label_smoothing = python_number(as_share(label_smoothing, "label_smoothing"), "label_smoothing")
    if sample_weight is not None:
        sample_weight = row_values(sample_weight, logits, rows, "sample_weight", ready=ready)
    target, masses, normalized = resolve(
        labels, logits, shape, axis, rows, ignore_index, checked, sample_weight, ready, checks_sets
    )
    if class_weight is not None or smoothing_prior is not None:
        class_weight, smoothing_prior = class_vectors(
            logits, C, ready=ready, class_weight=class_weight, smoothing_prior=smoothing_prior
        )
    if target.mask is not None and (class_weight is not None or not is_zero(label_smoothing)):
        what = "class_weight" if class_weight is not None else "label_smoothing"
        raise ValueError(
            f"{what} is given with a LabelSet, whose loss is that of the set as a whole and not of any one class; "
            "weight the rows with sample_weight, or spell the masses out with targets.Probabilities"
        )
    if class_weight is not None and target.dense is not None:
        target = Target(dense=target.dense, class_weight=class_weight)
    transform = make_transform(
        logits, C, rows, target, temperature, softcap, logit_bias, margin, validate=checked, ready=ready
    )
    return SoftmaxProblem(  # by position: at ten classes two dozen keywords are a fiftieth of the loss
        logits if classes is None else None,
        shape,
        logits.dtype,
        logits.device if ready else device(logits),
        memory_torch().NAMESPACE if ready else namespace(logits),
        axis,
        rows,
        target,
        masses,
        normalized,
        transform,
        requested,
        link,
        label_smoothing,
        smoothing_prior,
        class_weight,
        sample_weight,
        factors,
        reduction,
        normalizer if ready else as_normalizer(normalizer, logits),
        empty,
        checked,
        inplace,
        signed_weights,
        tensors if classes is None else None,
        warns and checked,
    )


def _checked_factors(regularizers: dict[str, Any]) -> tuple[dict[str, Any], Requested]:
    """The factors of regularizers that are not 0, and the statistics that these are functions of."""
    # Plain loops: Dynamo of PyTorch 2.6 traces no operations on the keys and values of dictionaries.
    for name in regularizers:
        if name not in REGULARIZERS:
            raise TypeError(f"the loss has no argument {name}")
    for factor in regularizers.values():
        if type(factor) is not float or factor:
            break
    else:
        return {}, NONE_REQUESTED
    factors, statistics = {}, {}
    for name, factor in regularizers.items():
        if type(factor) is not float or not -INF < factor < INF:
            check_factor(factor, name)
            factor = python_number(factor, name)
            factor = float(factor) if isinstance(factor, (int, float)) else factor
        if type(factor) is not float or factor != 0:
            factors[name] = factor
            statistics[REGULARIZERS[name].statistic] = True
    return factors, Requested(**statistics)


def make_transform(
    logits: Array,
    classes: int,
    rows: tuple[int, ...],
    target: Target,
    temperature: Any,
    softcap: float | None,
    logit_bias: Array | None,
    margin: Any,
    *,
    validate: bool = True,
    ready: bool = False,
) -> Transform:
    """The transform of logits of this library and device, checked."""
    unbent = softcap is None and logit_bias is None and margin is None
    if unbent and type(temperature) is float and temperature == 1.0:
        return PLAIN
    if not ready:
        temperature, margin = python_number(temperature, "temperature"), python_number(margin, "margin")
        softcap = python_number(softcap, "softcap")
    if isinstance(temperature, (int, float)):
        if not 0 < temperature < INF:
            raise ValueError(
                f"temperature is {temperature}; logits are divided by it, so it must be positive"
            )
        if unbent and temperature == 1:
            return PLAIN
        temperature = float(temperature)
    else:
        if not (ready and hasattr(temperature, "shape") and temperature.is_floating_point()):
            temperature = like(temperature, logits, "temperature")
        if temperature.ndim and not (ready and temperature.shape == rows):
            temperature = row_values(temperature, logits, rows, "temperature")
    if validate and not (
        isinstance(temperature, float) or (ready and memory_torch().are_positive(temperature))
    ):
        xp = namespace(temperature)
        wrong = ~(temperature > 0)
        if is_true(xp.any(wrong)):
            row = first_true(wrong)
            where = f" of {row_in_words(row)}" if row else ""
            raise ValueError(
                f"the temperature{where} is {float(temperature[row]):.6g}; logits are divided by it, so it must be "
                "positive"
            )
    if getattr(softcap, "requires_grad", False):
        raise TypeError(
            "softcap is a tensor that requires a gradient, and has none; pass softcap=float(softcap)"
        )
    if not (softcap is None or (type(softcap) is float and 0 < softcap < INF)) and is_false(
        (number(softcap, "softcap") > 0) & (softcap < INF)
    ):
        raise ValueError(f"softcap is {softcap}; it bounds the logits' size, so it must be positive, or None")
    if margin is not None and target.dense is not None:
        raise ValueError("margin is given with soft targets, which have no target class to take it off")
    is_one = margin is None or isinstance(margin, (int, float)) or not getattr(margin, "ndim", True)
    if not (is_one and logit_bias is None):
        margins, logit_bias = class_vectors(
            logits, classes, ready=ready, margin=None if is_one else margin, logit_bias=logit_bias
        )
        margin = margin if is_one else margins
    return Transform(temperature, float(softcap) if isinstance(softcap, int) else softcap, logit_bias, margin)
