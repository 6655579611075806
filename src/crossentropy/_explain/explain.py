"""From one row of logits, or of probabilities, and its label to an `Explanation`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossentropy import information
from crossentropy._arguments.arrays import as_numpy
from crossentropy._arguments.errors import argument_errors
from crossentropy._arguments.unit_sums import rounding_tolerance
from crossentropy._backends import is_torch
from crossentropy._engine.options import ExplainedOptions, check_names
from crossentropy._explain.explanation import Contribution, Digits, Explanation, TransformedLogits
from crossentropy._explain.words import OPTIONS, TRANSFORMS
from crossentropy._statistics.formulas import transformed
from crossentropy._statistics.problem import Transform
from crossentropy._versions import Unpack
from crossentropy.losses.numpy_gradient import loss_and_gradient
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.losses.target_statistics import target_statistics

__all__ = ["explain"]

Array = np.ndarray[Any, Any]
#: The most classes that are shown one by one.
SHOWN = 12
#: Decimal digits of a float32 number.
DIGITS = 24 * math.log10(2)


@argument_errors
def explain(
    logits: Any = None,
    labels: str | Any = None,  # a name of a class is no wrong kind of label
    *,
    probabilities: Any = None,
    row: int = 0,
    classes: Sequence[Any] | None = None,
    **options: Unpack[ExplainedOptions],
) -> Explanation:
    r"""Explain one loss: each step from the logits of a row to its number, as it is written on a blackboard.

    .. math:: z \to u = (\kappa \tanh(z/\kappa) - m\,[c = y]) / T + b \to p = \mathrm{softmax}(u)
              \to D = \ln \sum_{c \ne y} e^{u_c} - u_y \to -\log p_y = \ln(1 + e^D)

    The numbers are those of `crossentropy.softmax_cross_entropy`, `target_statistics` and `information` in float64.

    Parameters
    ----------
    logits : array (C,) or (n, C), or list
        Scores of the classes.
    labels : int, or array (n,); or array (C,) or (n, C), floating
        The class of the row, by its number or its name in `classes`; or its distribution over the classes.
    probabilities : array (C,) or (n, C), optional
        Instead of `logits`. Each row sums to one.
    row : int, default 0
        Which row is explained.
    classes : sequence, optional
        What the classes are called, in the order of the columns; 0, 1, … if left out.
    **options
        Those of `crossentropy.softmax_cross_entropy` that act on one row: `softcap`, `margin`, `temperature`,
        `logit_bias`, `label_smoothing`, `smoothing_prior`, `class_weight`, `sample_weight`, `link`, `z_loss` and
        `entropy_bonus`.

    Returns
    -------
    Explanation, with arrays (C,)
        Its attributes are float64, quantities in nats. It is shown as text by `print`, as HTML in a notebook, and
        `to_html` and `to_dict` return it as a page and as numbers.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does; and if both or none of logits and probabilities are passed, if
        there is no such row, or if a single logit is passed, which is of a yes-or-no question: pass ``[0, z]``.

    Examples
    --------
    >>> e = explain([2.0, 1.0, -1.0], 0, temperature=2.0)
    >>> round(e.loss, 6), e.probabilities.round(4).tolist()
    (0.604131, [0.5465, 0.3315, 0.122])
    >>> [(c.name, round(c.change, 4)) for c in e.contributions]
    [('cross-entropy', 0.349), ('temperature', 0.2551)]
    """
    check_names(options, ExplainedOptions)
    z, y, given = _one_row(logits, labels, probabilities, row, classes, options)
    losses = _Losses(z, y)
    # The whole loss first: it raises what is wrong with an option
    loss, gradient = losses.with_gradient(given, validate="raise")
    transforms, u = _transforms(z, y, given)
    p, log_partition, entropy, log_odds = _prediction(u, y)
    q = _target(y, len(z), given)
    target_entropy = float(information.entropy(q))
    plain = _Losses(u, y)
    smoothing: dict[str, Any] = {k: given[k] for k in ("label_smoothing", "smoothing_prior") if k in given}
    cross_entropy = plain(smoothing)
    # KL(q ‖ p): of a certain label the cross-entropy, which has digits where 1 − p has none; where a probability
    # underflows the difference, which then does not cancel; else the sum of its terms.
    divergence = float(information.kl_divergence(q, p))
    if target_entropy == 0 or (np.isinf(divergence) and np.isfinite(cross_entropy)):
        divergence = cross_entropy - target_entropy
    shown = _shown(p, q)
    with np.errstate(invalid="ignore"):  # of a loss that is infinite with and without
        unit_changes = losses.of_higher_logits(shown, given) - loss
    return Explanation(
        logits=z,
        from_probabilities=probabilities is not None,
        label=None if y.ndim else int(y),
        target=q,
        classes=range(len(z)) if classes is None else tuple(classes),
        options=given,
        transforms=transforms,
        transformed_logits=u,
        probabilities=p,
        log_odds_against=log_odds,
        log_partition=log_partition,
        contributions=_contributions(losses, given),
        loss=loss,
        entropy=entropy,
        target_entropy=target_entropy,
        cross_entropy=cross_entropy,
        kl_divergence=divergence,
        gradient=gradient,
        shown=shown,
        unit_changes=unit_changes,
        digits=_digits(u, y, q, smoothing),
    )


class _Losses:
    """The loss of one row under any options.

    Only the row that was passed is checked, once: of the logits that this module makes of it, such as (1, 0, 0) of
    (0, 0, 0), no one has to be warned that they are probabilities.
    """

    def __init__(self, z: Array, y: Array) -> None:
        self.z, self.y = z[None], y[None]

    def __call__(self, options: Mapping[str, Any]) -> float:
        return float(softmax_cross_entropy(self.z, self.y, reduction="none", validate="none", **options)[0])

    def with_gradient(self, options: Mapping[str, Any], validate: str = "none") -> tuple[float, Array]:
        loss, gradient = loss_and_gradient(
            softmax_cross_entropy, self.z, self.y, reduction="none", validate=validate, **options
        )
        return float(loss[0]), gradient[0]

    def of_higher_logits(self, places: Sequence[int], options: Mapping[str, Any]) -> Array:
        """Return the losses if the logit of one of these classes is one higher."""
        n = len(places)
        z = np.repeat(self.z, n, axis=0)
        z[np.arange(n), places] += 1.0
        weight = options.get("sample_weight")
        options = dict(options) if weight is None else {**options, "sample_weight": np.repeat(weight, n)}
        y = np.repeat(self.y, n, axis=0)
        return np.asarray(softmax_cross_entropy(z, y, reduction="none", validate="none", **options))


def _one_row(
    logits: Any,
    labels: Any,
    probabilities: Any,
    row: int,
    classes: Sequence[Any] | None,
    options: Mapping[str, Any],
) -> tuple[Array, Array, dict[str, Any]]:
    """Return the logits (C,), the label () or (C,), and the options that were passed, of one row."""
    if (logits is None) == (probabilities is None):
        raise TypeError("pass either logits or probabilities, and labels")
    if labels is None:
        raise TypeError("labels are missing; pass the class of the row, or its distribution over the classes")
    name, values = ("logits", logits) if probabilities is None else ("probabilities", probabilities)
    z = as_numpy(values, name)
    if z.ndim == 0 or z.shape[-1] == 1:
        raise ValueError(
            f"{name} are a single number, of a yes-or-no question; pass both classes: [0, z] of a logit z, "
            "[1 - p, p] of a probability p"
        )
    if z.ndim > 2:
        raise ValueError(f"{name} have shape {z.shape}; pass one row (C,) or rows (n, C)")
    n = 1 if z.ndim == 1 else len(z)
    if not -n <= row < n:
        raise ValueError(f"row is {row}, and there are {n} rows; pass a number from 0 to {n - 1}")
    z = np.atleast_2d(z)[row].astype(np.float64)
    if probabilities is not None:
        _check_distribution(z)
        with np.errstate(divide="ignore"):
            z = np.log(z)
    else:
        _check_finite(z)
    y = _label(labels, classes, row, n, len(z))
    given = {key: options[key] for key in OPTIONS if options.get(key) is not None}
    for key in ("sample_weight", "temperature"):
        if np.ndim(given.get(key, 0.0)):
            of_rows = as_numpy(given[key], key)
            if of_rows.size != n:
                raise ValueError(
                    f"{key} has shape {of_rows.shape}, and there are {n} rows; pass one for each"
                )
            given[key] = float(of_rows.reshape(-1)[row])
    if "sample_weight" in given:
        given["sample_weight"] = np.asarray([given["sample_weight"]], np.float64)
    for key in ("logit_bias", "class_weight", "smoothing_prior"):
        if key in given:
            given[key] = np.asarray(given[key], np.float64)
    return z, y, given


def _check_finite(z: Array) -> None:
    """Raise ValueError unless logits have a softmax: numbers, or −∞ for classes that are left out."""
    wrong = np.flatnonzero(~(z < np.inf))
    if len(wrong):
        raise ValueError(
            f"the logit of class {wrong[0]} is {z[wrong[0]]}; pass finite numbers, or -inf for a class that is left out"
        )
    if not (z > -np.inf).any():
        raise ValueError("all logits are -inf; pass a finite number for one class or more")


def _check_distribution(p: Array) -> None:
    """Raise ValueError unless these are probabilities that sum to one, within what they may have been rounded by."""
    total = math.fsum(p)
    if not ((p >= 0) & (p <= 1)).all() or not abs(total - 1) <= max(1e-9, rounding_tolerance(p, len(p))):
        raise ValueError(
            f"probabilities are {p.tolist()} and sum to {total:.9g}; pass a distribution, which sums to 1, or logits"
        )


def _label(labels: Any, classes: Sequence[Any] | None, row: int, n: int, C: int) -> Array:
    """Return the label of the row: an integer (), or a distribution (C,)."""
    if classes is not None and len(classes) != C:
        raise ValueError(f"classes names {len(classes)} classes, and there are {C}; pass one name for each")
    if classes is not None and len(set(map(str, classes))) < C:
        raise ValueError(
            f"classes are {list(map(str, classes))}, and two are called the same; name each differently"
        )
    y = as_numpy(labels, "labels") if is_torch(labels) else np.asarray(labels)  # which may be names
    if y.dtype.kind == "f" and y.shape[-1:] == (C,):
        return np.atleast_2d(y)[row if y.ndim == 2 else 0].astype(np.float64)
    if y.dtype.kind == "f" and y.ndim == n == 1:
        raise ValueError(
            f"labels is a distribution over {len(y)} classes, and there are {C}; pass the mass of each"
        )
    if y.ndim > 1 or (y.ndim == 1 and len(y) != n):
        raise ValueError(f"labels have shape {y.shape}, and there are {n} rows; pass one label for each")
    one = y[row] if y.ndim else y[()]
    if classes is None and y.dtype.kind not in "biuf":
        raise TypeError(
            f"labels is {str(one)!r}; pass the number of the class, or name all classes by classes="
        )
    if classes is not None:
        names = [str(name) for name in classes]
        if str(one) in names:
            return np.asarray(names.index(str(one)))
        if y.dtype.kind not in "biu":
            raise ValueError(
                f"labels is {str(one)!r}, which is none of the classes {names}; pass one of them"
            )
    return np.asarray(int(one) if y.dtype.kind == "b" else one)


def _transforms(z: Array, y: Array, options: Mapping[str, Any]) -> tuple[list[TransformedLogits], Array]:
    """Return the logits after each transform."""
    on = None if y.ndim else np.arange(len(z)) == y
    steps, u = [], z
    passed: dict[str, Any] = {}
    for name in TRANSFORMS:
        if name in options:
            passed[name] = options[name]
            relative, offset = transformed(z, Transform(**passed), on)
            u = relative + offset
            steps.append(TransformedLogits(name, options[name], u))
    return steps, u


def _prediction(u: Array, y: Array) -> tuple[Array, float, float, float | None]:
    """Return p, the log-partition, the entropy, and the log-odds against the label."""
    at = np.asarray(0) if y.ndim else y
    stats = target_statistics(u[None], at[None], entropy=True)
    # of the gradient p − q of a label, the entries beside the label are p
    p = loss_and_gradient(softmax_cross_entropy, u[None], at[None], validate="none")[1][0]
    p[at] = stats.prob[0]
    log_odds = None if y.ndim else -float(stats.log_odds[0])
    return p, float(stats.logsumexp[0]), float(stats.entropy[0]), log_odds


def _target(y: Array, C: int, options: Mapping[str, Any]) -> Array:
    """Return the smoothed distribution of the label."""
    q = y.astype(np.float64) if y.ndim else np.eye(1, C, int(y))[0]
    epsilon = float(options.get("label_smoothing", 0.0))
    return (
        q if not epsilon else (1 - epsilon) * q + epsilon * options.get("smoothing_prior", np.full(C, 1 / C))
    )


def _contributions(losses: _Losses, options: Mapping[str, Any]) -> list[Contribution]:
    """Return what each option adds to the loss, in the order in which they act."""
    passed: dict[str, Any] = {}
    before = losses(passed)
    found = [Contribution("cross-entropy", None, before, before)]
    for name, value in options.items():
        passed[name] = value
        loss = losses(passed)
        found.append(Contribution(name, value, loss, loss - before))
        before = loss
    return found


def _shown(p: Array, q: Array) -> list[int]:
    """Return all classes, or those of the target and the most probable ones, in their order."""
    if len(p) <= SHOWN:
        return list(range(len(p)))
    first = np.lexsort((-p, -q))[: SHOWN // 2]
    likely = [c for c in np.argsort(-p, kind="stable")[:SHOWN].tolist() if c not in first]
    return sorted([*first.tolist(), *likely[: SHOWN - len(first)]])


def _digits(u: Array, y: Array, q: Array, smoothing: Mapping[str, Any]) -> Digits:
    """Compare the usual formula, and this package, in float32 with float64."""
    with np.errstate(over="ignore"):
        narrow = u.astype(np.float32)
    truth, slopes = _Losses(narrow.astype(np.float64), y).with_gradient(smoothing)
    ours, our_slopes = _Losses(narrow, y).with_gradient(smoothing)
    masses = q.astype(np.float32)
    with np.errstate(all="ignore"):
        below = narrow - narrow.max()
        e = np.exp(below)
        terms = np.where(masses == 0, np.float32(0), masses * (np.log(e.sum()) - below))
        usual, usual_slopes = float(terms.sum()), e / e.sum() - masses
    at = int(q.argmax())
    return Digits(
        _right_digits(usual, truth),
        _right_digits(ours, truth),
        _right_digits(float(usual_slopes[at]), float(slopes[at])),
        _right_digits(float(our_slopes[at]), float(slopes[at])),
    )


def _right_digits(x: float, truth: float) -> float:
    if x == truth:
        return DIGITS
    error = abs(x - truth) / abs(truth) if truth and math.isfinite(truth) else math.inf
    return min(DIGITS, max(0.0, -math.log10(error))) if math.isfinite(error) else 0.0
