"""Predictions that are probabilities: their check, and the log-probabilities of labels under them."""

from dataclasses import dataclass

from crossentropy._arguments.arrays import as_floating
from crossentropy._arguments.unit_sums import find_misfit
from crossentropy._backends import INF, Array, expm1, is_numpy, namespace, taken_along
from crossentropy._backends.conditions import first_true, is_true
from crossentropy._kernels import _native
from crossentropy._rows import row_in_words
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory import NumpyMemory, is_for_kernels
from crossentropy._statistics.formulas import widened

NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Probabilities or their logarithms, of the classes along the last axis, or of label 1 if one-dimensional."""

    values: Array
    in_logs: bool
    normalize: bool = False

    @property
    def name(self) -> str:
        """The name of the argument."""
        return "log_probabilities" if self.in_logs else "probabilities"

    @property
    def is_binary(self) -> bool:
        """Whether they are probabilities of label 1 alone."""
        return bool(self.values.ndim < 2)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return 2 if self.is_binary else int(self.values.shape[-1])

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the rows."""
        return tuple(self.values.shape) if self.is_binary else tuple(self.values.shape[:-1])


def make_predictions(p: Array, *, in_logs: bool, normalize: bool) -> Predictions:
    """Check the dtype of predictions, that there are classes, and whether they can be normalized."""
    xp, made = namespace(p), Predictions(p, in_logs, normalize)
    if not made.is_binary and p.shape[-1] == 0:
        raise ValueError(
            f"{made.name} of shape {tuple(p.shape)} have no classes; pass a column for each class, (N, C)"
        )
    if normalize and (in_logs or made.is_binary):
        fix = (
            "for numbers whose exponentials do not sum to one use softmax_cross_entropy(log_probabilities, labels)"
            if in_logs
            else "one-dimensional probabilities are those of label 1; leave normalize out"
        )
        raise ValueError(f"normalize=True is given with {made.name} of shape {tuple(p.shape)}; {fix}")
    if xp.isdtype(p.dtype, "real floating"):
        return made
    if normalize:
        return Predictions(as_floating(p), in_logs, normalize)
    fix = "pass floating-point numbers" + ("" if in_logs else ", or counts with normalize=True")
    raise TypeError(f"{made.name} have dtype {p.dtype}; {fix}")


# ------------------------------------------------------------------------------------------- log-probabilities


def binary_log_prob(p: Predictions, yes: Array, no: Array, counted: Array | None, *, checked: bool) -> Array:
    """Compute ``a ln p + b ln(1 − p)`` of each element, `a` and `b` the masses on labels 1 and 0; ``0 ln 0 = 0``."""
    xp, x = namespace(p.values), widened(p.values)
    if checked:
        wrong = ~((x <= 0) if p.in_logs else (x >= 0) & (x <= 1))
        wrong = wrong if counted is None else wrong & counted
        if is_true(xp.any(wrong)):
            row = first_true(wrong)
            what, bounds = ("log-probability", "at most 0") if p.in_logs else ("probability", "from 0 to 1")
            raise ValueError(f"the {what} of {row_in_words(row)} is {float(x[row])}; it must be {bounds}")
    zero, one = xp.zeros_like(x), xp.ones_like(x)
    below = xp.where(x < 0, x, -one) if p.in_logs else xp.where(x < 1, x, zero)
    log_q = log_one_minus_exp(below) if p.in_logs else xp.log1p(-below)
    certain = 0 if p.in_logs else 1
    log_q = xp.where(x < certain, log_q, xp.where(x == certain, -INF * one, NAN * one))
    return _times(yes, x if p.in_logs else _logarithm(x)) + _times(no, log_q)


def label_log_prob(p: Predictions, y: Array, counted: Array | None, *, checked: bool) -> Array:
    """Compute ``ln p_y`` of each row; all labels `y` are in range."""
    x = p.values
    if is_numpy(x) and is_for_kernels(x) and not p.in_logs:
        sums, log_p = _native_rows(x, y)
    else:
        sums = _row_sums(p, widened(x)) if checked or p.normalize else None
        log_p = widened(taken_along(x, y[..., None], -1)[..., 0])
    if checked:
        check_distributions(p, sums, counted)
    if p.in_logs:
        return log_p
    return _logarithm(log_p / _divisor(sums) if p.normalize else log_p)


def soft_log_prob(p: Predictions, masses: Array, counted: Array | None, *, checked: bool) -> Array:
    """Compute ``Σ_c a_c ln p_c`` of each row, where ``0 ln 0 = 0``."""
    xp, x = namespace(p.values), widened(p.values)
    sums = _row_sums(p, x) if checked or p.normalize else None
    if checked:
        check_distributions(p, sums, counted)
    if p.normalize:
        x = x / _divisor(sums)[..., None]
    return xp.sum(_times(masses, x if p.in_logs else _logarithm(x)), axis=-1)


def log_one_minus_exp(log_p: Array) -> Array:
    """Compute ``ln(1 − e^x)`` for x < 0, by the one of two forms that keeps the digits."""
    xp = namespace(log_p)
    near = log_p > -0.6931471805599453
    return xp.where(
        near,
        xp.log(-expm1(xp.where(near, log_p, -xp.ones_like(log_p)))),
        xp.log1p(-xp.exp(xp.where(near, -xp.ones_like(log_p), log_p))),
    )


def _logarithm(p: Array) -> Array:
    """Compute ``ln p``, with −∞ and NaN filled in where NumPy would warn."""
    xp = namespace(p)
    if is_numpy(p) and bool((p > 0).all()):
        return xp.log(p)
    log_p = xp.log(xp.where(p > 0, p, xp.ones_like(p)))
    no_number = xp.where(p == 0, xp.full_like(p, -INF), xp.full_like(p, NAN))
    return xp.where(p > 0, log_p, no_number)


def _times(masses: Array, log_p: Array) -> Array:
    """Compute ``a ln p``, 0 where `a` is 0 and `ln p` is infinite."""
    xp = namespace(masses, log_p)
    hopeless = log_p == -INF
    product = masses * xp.where(hopeless, xp.zeros_like(log_p), log_p)
    at_zero = xp.where(masses > 0, xp.full_like(product, -INF), xp.zeros_like(product))
    return xp.where(hopeless, at_zero, product)


def _native_rows(p: Array, y: Array) -> tuple[Array, Array]:
    """Compute the sum of every row and its entry at the label, in one read."""
    layout = lay_out(NumpyMemory, p, p.ndim - 1)
    shape = _native.Shape(layout.outer, layout.classes, layout.inner)
    sums, at_label = NumpyMemory.empty_stack(2, tuple(y.shape))
    y = NumpyMemory.contiguous(y, "int64")
    address = NumpyMemory.address
    _native.probability_rows(
        layout.view(NumpyMemory), shape, address(y), address(sums), address(at_label), NumpyMemory.threads()
    )
    return sums, at_label


def _row_sums(p: Predictions, x: Array) -> Array:
    """Sum the probabilities of every row; NaN if one is negative."""
    xp = namespace(x)
    if p.in_logs:  # log-probabilities above 0 are invalid, and the exponential of a large one would overflow
        return xp.sum(xp.exp(xp.where(x > 1, xp.ones_like(x), x)), axis=-1)
    sums = xp.sum(x, axis=-1)
    return xp.where(xp.any(x < 0, axis=-1), xp.full_like(sums, NAN), sums)


def _divisor(sums: Array) -> Array:
    """Return the sums to divide by, NaN where a sum is not positive and finite."""
    xp = namespace(sums)
    return xp.where((sums > 0) & (sums < INF), sums, xp.full_like(sums, NAN))


def check_distributions(p: Predictions, sums: Array, counted: Array | None) -> None:
    """Raise ValueError for rows that are not a distribution."""
    xp = namespace(sums)
    logits = "if these are logits, pass them to crossentropy.softmax_cross_entropy"
    wrong = ~(sums >= 0) if counted is None else ~(sums >= 0) & counted
    if is_true(xp.any(wrong)):
        bad = row_in_words(first_true(wrong))
        raise ValueError(f"the distribution of {bad} has an entry that is negative or NaN; {logits}")
    if p.normalize:
        wrong = ~((sums > 0) & (sums < INF))
        wrong = wrong if counted is None else wrong & counted
        if is_true(xp.any(wrong)):
            row = first_true(wrong)
            raise ValueError(
                f"the distribution of {row_in_words(row)} sums to {float(sums[row])}, which nothing can divide to 1; "
                "leave the row out with a sample_weight of 0"
            )
        return
    misfit = find_misfit(p.values, sums, counted=counted, in_logs=p.in_logs)
    if misfit is None:
        return
    row, text = misfit
    if p.classes == 1:
        raise ValueError(one_column_advice(p))
    if p.in_logs or float(sums[row]) == 0:
        fix = logits
    elif is_true(xp.any(p.values[row] > 1)):
        fix = f"to divide by the sum pass normalize=True; {logits}"
    else:
        fix = (
            "to divide by the sum pass normalize=True; if several labels can be true of a row at once, use "
            "crossentropy.losses.binary_log_loss"
        )
    raise ValueError(f"the distribution of {row_in_words(row)} {text}; {fix}")


def one_column_advice(p: Predictions) -> str:
    """Say what a single column may mean, which is rarely meant as the only class."""
    column = ":, 0" if p.values.ndim == 2 else "..., 0"
    return (
        f"{p.name} have shape {tuple(p.values.shape)}, one class, whose probability can only be 1. If they are the "
        f"probabilities of label 1 of two, pass {p.name}[{column}]"
    )
