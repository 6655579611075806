"""A softmax loss as its independent choices, checked: DESIGN's ``transform → statistics → link → weights``.

For a row with masses ``t``, of weight ``ω``, and class weights ``w``::

    q = (1−ε) t + ε r        a_c = w_c q_c
    ℓ = ω (Σ_c a_c φ(log p_c) + z_loss L² − entropy_bonus H)        W = ω Σ_c w_c t_c
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from crossentropy.backends import first_true, is_numpy, is_torch, is_true, namespace
from crossentropy.links import CrossEntropy, Link
from crossentropy.reductions import check_reduction
from crossentropy.statistics import PLAIN, Prior, Target, Transform, Wanted
from crossentropy.statistics.problem import NOTHING_MORE
from crossentropy.statistics.reference import widened
from crossentropy.targets import resolve
from crossentropy.weights import class_vector, row_values

Array = Any

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
        return self.target.dense is not None or self.label_smoothing > 0

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
    logits, axis = check_logits(logits, axis)
    rows = tuple(logits.shape[:axis]) + tuple(logits.shape[axis + 1 :])
    check_reduction(reduction, normalizer, empty)
    checked = check_validate(validate)
    if link is None:
        link = CROSS_ENTROPY
    elif isinstance(link, type) or not isinstance(link, Link):
        raise TypeError(f"link is {link!r}; pass an instance, such as crossentropy.links.Focal(gamma=2.0)")
    if ignore_index is not None and not isinstance(ignore_index, Integral):
        raise TypeError(
            f"ignore_index is {ignore_index!r}; pass the one label to leave out, an integer, or None"
        )
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}; it is a share of the label, from 0 to 1")
    weights = row_values(sample_weight, logits, rows, "sample_weight")
    found = resolve(labels, logits, axis, ignore_index, validate=checked, sample_weight=weights)
    target, C = found.target, logits.shape[axis]
    weight = class_vector(class_weight, logits, C, "class_weight")
    if target.mask is not None and (weight is not None or label_smoothing):
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
        wanted=NOTHING_MORE if not (z_loss or entropy_bonus) else Wanted(bool(z_loss), bool(entropy_bonus)),
        link=link,
        label_smoothing=label_smoothing,
        smoothing_prior=prior_vector,
        class_weight=weight,
        sample_weight=weights,
        z_loss=z_loss,
        entropy_bonus=entropy_bonus,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=checked,
        inplace=inplace,
        signed_weights=signed_weights,
    )
    if label_smoothing and not problem.acts_per_class:
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
        and not entropy_bonus
    )


def check_logits(logits: Array, axis: int) -> tuple[Array, int]:
    """Floating logits with at least one class, and their class axis counted from 0."""
    if not hasattr(logits, "dtype"):
        logits = namespace(logits).asarray(logits)
    floating = (
        logits.is_floating_point()
        if is_torch(logits)
        else "bfloat16" in str(logits.dtype) or namespace(logits).isdtype(logits.dtype, "real floating")
    )
    if not floating:
        raise TypeError(
            f"logits have dtype {logits.dtype}; pass floating-point scores, for example logits.float()"
        )
    ndim = logits.ndim
    if ndim == 0:
        raise ValueError("logits are a single number; they need a class axis")
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"axis is {axis}, but logits of shape {tuple(logits.shape)} have axes {-ndim} to {ndim - 1}"
        )
    axis %= ndim
    if logits.shape[axis] == 0:
        raise ValueError(f"logits of shape {tuple(logits.shape)} have no classes along axis {axis}")
    return logits, axis


def check_validate(validate: str) -> bool:
    """Whether values are to be checked."""
    if validate not in ("raise", "none"):
        raise ValueError(f'validate is {validate!r}; write "raise" or "none"')
    return validate == "raise"


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
    temperature, margin = _number(temperature), _number(margin)
    if isinstance(temperature, (int, float)):
        if not 0 < temperature < float("inf"):
            raise ValueError(
                f"temperature is {temperature}; logits are divided by it, so it must be positive"
            )
        if temperature == 1 and softcap is None and logit_bias is None and margin is None:
            return PLAIN
        temperature = float(temperature)
    elif not hasattr(temperature, "ndim"):
        raise TypeError(
            f"temperature is {temperature!r}; pass a positive number, or an array of one for each row"
        )
    elif temperature.ndim:
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
    if softcap is not None and not 0 < softcap < float("inf"):
        raise ValueError(f"softcap is {softcap}; it bounds the logits' size, so it must be positive, or None")
    C = logits.shape[axis]
    if margin is not None:
        if target.dense is not None:
            raise ValueError("margin is given with soft targets, which have no target class to take it off")
        if not isinstance(margin, (int, float)) and (not hasattr(margin, "ndim") or margin.ndim):
            margin = class_vector(margin, logits, C, "margin")
    bias = class_vector(logit_bias, logits, C, "logit_bias")
    return Transform(temperature, None if softcap is None else float(softcap), bias, margin)


def _number(value: Any) -> Any:
    """`value`, but one number of NumPy, which no library would take for its own, as Python's."""
    return float(value) if is_numpy(value) and value.ndim == 0 else value


def _weighted_prior(problem: SoftmaxProblem) -> Prior:
    """``r_c w_c``."""
    w, r = problem.class_weight, problem.smoothing_prior
    if w is None:
        return Prior(r)
    w = widened(w)
    return Prior(w / problem.classes if r is None else widened(r) * w)
