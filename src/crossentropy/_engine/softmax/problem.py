"""A softmax loss as its independent choices, checked: DESIGN's ``transform → statistics → link → weights``.

For a row with masses ``t``, of weight ``ω``, and class weights ``w``::

    q = (1−ε) t + ε r        a_c = w_c q_c
    ℓ = ω (Σ_c a_c φ(log p_c) + z_loss L² − entropy_bonus H)        W = ω Σ_c w_c t_c
"""

from dataclasses import dataclass
from typing import Any

from crossentropy._arguments.arrays import as_array
from crossentropy._arguments.errors import number
from crossentropy._backends import is_numpy, namespace
from crossentropy._backends.conditions import first_true, is_false, is_true, is_zero
from crossentropy._backends.tape import Taped
from crossentropy._engine.checks import (
    as_normalizer,
    check_factor,
    check_ignore_index,
    check_logits,
    check_share,
    check_validate,
    checked_link,
)
from crossentropy._engine.reductions import check_reduction
from crossentropy._engine.softmax.labels import resolve
from crossentropy._engine.weights import class_vector, like, row_values
from crossentropy._statistics import PLAIN, Prior, Target, Transform, Wanted
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.problem import NOTHING_MORE
from crossentropy.links import CrossEntropy, Link

Array = Any

INF = float("inf")

CROSS_ENTROPY = CrossEntropy()


@dataclass(slots=True, eq=False)
class SoftmaxProblem:
    """Everything a softmax loss needs, in arrays of one library."""

    logits: Array
    axis: int
    rows: tuple[int, ...]
    target: Target
    masses: Array | None  # of Sparse, rows + (k,)
    normalized: bool  # soft targets must sum to one
    transform: Transform
    prior: Prior | None  # r, times class weights
    wanted: Wanted
    link: Link
    label_smoothing: float
    smoothing_prior: Array | None
    class_weight: Array | None
    sample_weight: Array | None
    z_loss: float
    entropy_bonus: float
    reduction: str
    normalizer: Any
    empty: str
    validate: bool
    inplace: bool = False
    signed_weights: bool = False  # whether weights of a negative sum may be divided by
    label_weight: Array | None = None  # of each label, where `class_weight` is not at hand for all classes

    @property
    def acts_per_class(self) -> bool:
        """Whether the link acts on every class of a row: no statistic of the row says what it makes of that."""
        if type(self.link) is CrossEntropy:
            return False
        return self.target.dense is not None or not is_zero(self.label_smoothing)

    @property
    def is_taped_beside_logits(self) -> bool:
        """Whether anything but the logits is an array that `loss_and_gradient` differentiates by."""
        transform, target = self.transform, self.target
        return Taped in map(
            type,
            (
                *(target.dense, self.masses, self.sample_weight, self.class_weight, self.smoothing_prior),
                *(transform.temperature, transform.softcap, transform.logit_bias, transform.margin),
                *(self.label_smoothing, self.z_loss, self.entropy_bonus, self.normalizer),
                *getattr(self.link, "__dict__", {}).values(),
            ),
        )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        classes: int = self.logits.shape[self.axis]
        return classes


def make_problem(
    logits: Array,
    labels: Any,
    *,
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
    z_loss: float = 0.0,
    entropy_bonus: float = 0.0,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
    inplace: bool = False,
    signed_weights: bool = False,
) -> SoftmaxProblem:
    """Check the arguments of `softmax_cross_entropy` and bring them to arrays of the logits' library."""
    logits, axis = check_logits(logits, axis, labels=labels)
    rows = tuple(logits.shape[:axis]) + tuple(logits.shape[axis + 1 :])
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    link = CROSS_ENTROPY if link is None else checked_link(link, "link")
    check_ignore_index(ignore_index)
    check_share(label_smoothing, "label_smoothing")
    check_factor(z_loss, "z_loss")
    check_factor(entropy_bonus, "entropy_bonus")
    label_smoothing = _number(label_smoothing, "label_smoothing")
    z_loss, entropy_bonus = _number(z_loss, "z_loss"), _number(entropy_bonus, "entropy_bonus")
    weights = row_values(sample_weight, logits, rows, "sample_weight")
    found = resolve(labels, logits, axis, ignore_index, validate=checked, sample_weight=weights)
    target, C = found.target, logits.shape[axis]
    weight = class_vector(class_weight, logits, C, "class_weight")
    if target.mask is not None and (weight is not None or not is_zero(label_smoothing)):
        what = "class_weight" if weight is not None else "label_smoothing"
        raise ValueError(
            f"{what} is given with a LabelSet, whose loss is that of the set as a whole and not of any one class; "
            "weight the rows with sample_weight, or spell the masses out with targets.Probabilities"
        )
    if weight is not None and target.dense is not None:
        target = Target(dense=target.dense, class_weight=weight)
    prior_vector = class_vector(smoothing_prior, logits, C, "smoothing_prior")
    problem = SoftmaxProblem(
        logits=logits,
        axis=axis,
        rows=rows,
        target=target,
        masses=found.masses,
        normalized=found.normalized,
        transform=make_transform(
            logits, axis, rows, target, temperature, softcap, logit_bias, margin, validate=checked
        ),
        prior=None,
        wanted=_wanted(z_loss, entropy_bonus),
        link=link,
        label_smoothing=label_smoothing,
        smoothing_prior=prior_vector,
        class_weight=weight,
        sample_weight=weights,
        z_loss=z_loss,
        entropy_bonus=entropy_bonus,
        reduction=reduction,
        normalizer=as_normalizer(normalizer, logits),
        empty=empty,
        validate=checked,
        inplace=inplace,
        signed_weights=signed_weights,
    )
    if not (is_zero(label_smoothing) or problem.acts_per_class):
        problem.prior = _weighted_prior(problem)
    return problem


def is_untransformed(
    temperature: Any, softcap: Any, logit_bias: Any, margin: Any, entropy_bonus: float
) -> bool:
    """Whether a loss is one of its logits as they are, and not of their entropy."""
    return (
        softcap is None
        and logit_bias is None
        and margin is None
        and isinstance(temperature, float)
        and temperature == 1.0
        and is_zero(entropy_bonus)
    )


def _wanted(z_loss: float, entropy_bonus: float) -> Wanted:
    """The statistics that regularizers are made of."""
    if is_zero(z_loss) and is_zero(entropy_bonus):
        return NOTHING_MORE
    return Wanted(not is_zero(z_loss), not is_zero(entropy_bonus))


def make_transform(
    logits: Array,
    axis: int,
    rows: tuple[int, ...],
    target: Target,
    temperature: Any,
    softcap: float | None,
    logit_bias: Array | None,
    margin: Any,
    *,
    validate: bool = True,
) -> Transform:
    """The transform of the logits, checked."""
    temperature, margin = _number(temperature, "temperature"), _number(margin, "margin")
    softcap = _number(softcap, "softcap")
    if isinstance(temperature, (int, float)):
        if not 0 < temperature < float("inf"):
            raise ValueError(
                f"temperature is {temperature}; logits are divided by it, so it must be positive"
            )
        if temperature == 1 and softcap is None and logit_bias is None and margin is None:
            return PLAIN
        temperature = float(temperature)
    else:
        temperature = like(temperature, logits, "temperature")
        if temperature.ndim:
            temperature = row_values(temperature, logits, rows, "temperature")
    if validate and not isinstance(temperature, float):
        xp = namespace(temperature)
        wrong = ~(temperature > 0)
        if is_true(xp.any(wrong)):
            row = first_true(wrong)
            where = f" of row {row[0] if len(row) == 1 else row}" if row else ""
            raise ValueError(
                f"the temperature{where} is {float(temperature[row]):.6g}; logits are divided by it, so it must be "
                "positive"
            )
    if getattr(softcap, "requires_grad", False):
        raise TypeError(
            "softcap is a tensor that requires a gradient, and has none; pass softcap=float(softcap)"
        )
    if softcap is not None and is_false((number(softcap, "softcap") > 0) & (softcap < float("inf"))):
        raise ValueError(f"softcap is {softcap}; it bounds the logits' size, so it must be positive, or None")
    C = logits.shape[axis]
    if margin is not None:
        if target.dense is not None:
            raise ValueError("margin is given with soft targets, which have no target class to take it off")
        if not isinstance(margin, (int, float)) and (not hasattr(margin, "ndim") or margin.ndim):
            margin = class_vector(margin, logits, C, "margin")
    bias = class_vector(logit_bias, logits, C, "logit_bias")
    return Transform(temperature, float(softcap) if isinstance(softcap, int) else softcap, bias, margin)


def _number(value: Any, name: str) -> Any:
    """`value`, but one number of NumPy, which no library would take for its own, as Python's."""
    if value is None or isinstance(value, (int, float)):
        return value
    return float(as_array(value, name)) if is_numpy(value) and value.ndim == 0 else value


def _weighted_prior(problem: SoftmaxProblem) -> Prior:
    """``r_c w_c``."""
    w, r = problem.class_weight, problem.smoothing_prior
    if w is None:
        return Prior(r)
    w = widened(w)
    return Prior(w / problem.classes if r is None else widened(r) * w)
