"""Entropy, cross-entropy and their kin, for distributions given as arrays of any framework.

A divergence is a sum of ``p ln(p/q) − p + q = q g((p − q)/q)``, ``g(x) = (1 + x) ln(1 + x) − x``, over the
classes: never negative, 0 only where ``p = q``, and ``Σ p ln(p/q)`` when both sum to one. So nothing cancels
between classes, `divergence` sees to it that nothing cancels within one, and close distributions keep their
digits. What the functions share:

- Probabilities are at least 0, finite, and sum to one within 3e-3 in bfloat16, 1e-3 in float16, 1e-5 in
  float32, 1e-9 in float64. Anything else is refused, never repaired, unless ``normalize=True``. Where values
  cannot be read (in a compiled or traced function, under `vmap`, on a meta device), they are not checked.
- Arithmetic is in float32 or wider, sums in float64 where there is one; no result is narrower than float32.
- Gradients are finite: where the true derivative is infinite (with respect to a probability of 0 that a
  logarithm is taken of), the gradient of that entry is 0.
"""

import math
from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_floating
from crossentropy._arguments.distributions import (
    axis_from_end,
    checked_distribution,
)
from crossentropy._arguments.errors import argument_errors
from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import Array, namespace, total
from crossentropy._backends.conditions import is_true
from crossentropy._backends.dtypes import is_kind
from crossentropy._class_sums import ClassSum, divergence_from_marginals
from crossentropy._entropy_terms import (
    SCALE,
    divergence,
    exact_product,
    unit,
)
from crossentropy._statistics.cpu.distributions import kernel_memory

__all__ = ["cross_entropy", "entropy", "js_divergence", "kl_divergence", "mutual_information", "perplexity"]

Axes = int | tuple[int, ...]


@argument_errors
def entropy(
    p: Array, *, base: float | None = None, axis: Axes = -1, normalize: bool = False, keepdims: bool = False
) -> Array:
    """Entropy of a distribution, ``H(p) = −Σ p log p``, with ``0 log 0 = 0``.

    Parameters
    ----------
    p : array (..., C) or list
        Probabilities along `axis`.
    base : float, optional
        Base of the logarithm: 2 for bits; nats if left out.
    axis : int or tuple of int, default -1
        The axis of the classes; of a distribution over pairs or more, its axes.
    normalize : bool, default False
        Divide each distribution by its sum first, instead of refusing one that does not sum to one: for counts.
    keepdims : bool, default False
        Whether `axis` stays, with the size 1.

    Returns
    -------
    array (...)
        The shape of `p` without `axis`, in units of ``log base``, nats by default: float64 for float64, integers and
        lists, else float32. The gradient is ``−log p − 1``, but 0 at 0.

    Raises
    ------
    ValueError
        If an entry is negative, NaN or infinite, or a distribution does not sum to one, with the place and
        the value; if `axis` or `base` is out of range.
    TypeError
        If `p` does not hold real numbers.

    References
    ----------
    Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27, 1948.

    Examples
    --------
    >>> float(entropy([0.5, 0.25, 0.25], base=2))
    1.5
    """
    return ClassSum("entropy", axis, normalize, keepdims, p=p).in_units(base)


@argument_errors
def cross_entropy(
    p: Array,
    q: Array,
    *,
    base: float | None = None,
    axis: Axes = -1,
    normalize: bool = False,
    keepdims: bool = False,
) -> Array:
    """Cross-entropy of a prediction `q` under the truth `p`, ``H(p, q) = −Σ p log q = H(p) + KL(p ‖ q)``.

    Parameters
    ----------
    p, q : array (..., C) or list
        Probabilities along `axis`. The other axes broadcast, the classes do not.
    base, axis, normalize, keepdims
        As in `entropy`; `axis` is that of the broadcast arrays.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``, nats by default: float64 where `p` or `q` is, else
        float32. It is inf where `q` is 0 and `p` is not.

    Raises
    ------
    ValueError
        As `entropy`, and if the shapes do not fit.
    TypeError
        If an input does not hold real numbers, the two are of different libraries, or `q` holds integers, as labels do
        (with ``normalize=True`` they are counts).

    Warns
    -----
    UserWarning
        If `q` is one-hot where `p` is not, which is the other way about: the truth comes first.

    Notes
    -----
    The loss of logits and labels is `crossentropy.softmax_cross_entropy`.

    References
    ----------
    Kerridge, "Inaccuracy and Inference", Journal of the Royal Statistical Society B 23, 1961.

    Examples
    --------
    >>> float(cross_entropy([0.5, 0.5], [0.25, 0.75]))
    0.8369882167858358
    >>> float(cross_entropy([0.0, 1.0], [0.0, 1.0])), float(cross_entropy([0.5, 0.5, 0.0], [0.0, 0.5, 0.5]))
    (0.0, inf)
    """
    _, (p, q) = as_arrays(p=p, q=q)
    if not normalize and is_kind(q, ("bool", "integral")):
        raise TypeError(
            f"q has dtype {q.dtype}, as labels have, but q is a prediction: pass probabilities in floating point, or "
            f"counts with normalize=True. {THE_LOSS}"
        )
    try:
        found = ClassSum("cross_entropy", axis, normalize, keepdims, p=p, q=q)
        result = found.in_units(base)
    except ValueError as error:
        if not (_holds_no_probabilities(p) or _holds_no_probabilities(q)):
            raise
        raise ValueError(f"{error}. {THE_LOSS}") from None
    if not found.is_finite:
        _warn_of_order(p, q, result)
    return result


@argument_errors
def kl_divergence(
    p: Array,
    q: Array,
    *,
    base: float | None = None,
    axis: Axes = -1,
    normalize: bool = False,
    keepdims: bool = False,
) -> Array:
    """Kullback–Leibler divergence, ``KL(p ‖ q) = Σ p log(p/q) − p + q``, every term at least 0.

    Parameters
    ----------
    p, q : array (..., C) or list
        Probabilities along `axis`. The other axes broadcast, the classes do not.
    base, axis, normalize, keepdims
        As in `entropy`; `axis` is that of the broadcast arrays.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``, nats by default: float64 where `p` or `q` is, else
        float32. It is inf where `q` is 0 and `p` is not. Every term is right to its last digits, however close `p` and
        `q` are. The gradients, ``log(p/q)`` and ``(q − p)/q``, vanish where they meet.

    Raises
    ------
    ValueError, TypeError
        As `cross_entropy`.

    References
    ----------
    Kullback, Leibler, "On Information and Sufficiency", Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> round(float(kl_divergence([1.0, 0.0], [0.5, 0.5], base=2)), 12)
    1.0
    >>> print(f"{kl_divergence([0.5, 0.5], [0.5 + 2**-30, 0.5 - 2**-30]):.14e}")  # 2**-59 and more
    1.73472347597681e-18
    """
    return ClassSum("divergence", axis, normalize, keepdims, p=p, q=q).in_units(base)


@argument_errors
def js_divergence(
    p: Array,
    q: Array,
    *,
    base: float | None = None,
    axis: Axes = -1,
    normalize: bool = False,
    keepdims: bool = False,
) -> Array:
    """Jensen–Shannon divergence, ``JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m)`` with ``m = (p + q)/2``.

    It is symmetric and at most ``log 2``. Its square root is a metric; this is not the root.

    Parameters
    ----------
    p, q : array (..., C) or list
        Probabilities along `axis`. The other axes broadcast, the classes do not.
    base, axis, normalize, keepdims
        As in `entropy`; `axis` is that of the broadcast arrays.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``, nats by default: float64 where `p` or `q` is, else
        float32; as accurate as `kl_divergence`. The gradients are ``½ log(p/m)`` and ``½ log(q/m)``.

    Raises
    ------
    ValueError, TypeError
        As `cross_entropy`.

    References
    ----------
    Lin, "Divergence Measures Based on the Shannon Entropy", IEEE Trans. Information Theory 37, 1991.

    Examples
    --------
    >>> round(float(js_divergence([1.0, 0.0], [0.0, 1.0], base=2)), 12)
    1.0
    """
    return ClassSum("jensen_shannon", axis, normalize, keepdims, p=p, q=q).in_units(base, 2.0)


@argument_errors
def perplexity(
    p: Array, q: Array | None = None, *, axis: Axes = -1, normalize: bool = False, keepdims: bool = False
) -> Array:
    """Perplexity, the number of equally likely classes that are as uncertain: ``e^H(p)``, or ``e^H(p, q)``.

    Parameters
    ----------
    p : array (..., C) or list
        Probabilities along `axis`.
    q : array (..., C) or list, optional
        A prediction of `p`; the perplexity is then that of the cross-entropy.
    axis, normalize, keepdims
        As in `entropy`; with `q`, `axis` is that of the broadcast arrays.

    Returns
    -------
    array (...)
        A number of classes, dimensionless, from 1 (without `q`, to C): float64 where `p` or `q` is, else float32. It is
        inf where `q` is 0 and `p` is not.

    Raises
    ------
    ValueError, TypeError
        As `cross_entropy`.

    References
    ----------
    Jelinek, Mercer, Bahl, Baker, "Perplexity—a measure of the difficulty of speech recognition tasks", The
    Journal of the Acoustical Society of America 62, 1977.

    Examples
    --------
    >>> round(float(perplexity([0.25, 0.25, 0.25, 0.25])), 12)
    4.0
    """
    named = {"p": p} if q is None else {"p": p, "q": q}
    if q is not None:
        _refuse_labels(p, q)
    found = ClassSum("entropy" if q is None else "cross_entropy", axis, normalize, keepdims, **named)
    xp = namespace(found.nats)
    return xp.astype(xp.exp(found.nats), found.dtype)


def _refuse_labels(p: Any, q: Any) -> None:
    """Raise TypeError if `q` looks like labels, and name the functions for these."""
    _, (p, q) = as_arrays(p=p, q=q)
    is_of_rows = tuple(q.shape) == tuple(p.shape[:-1]) and q.shape[-1:] != p.shape[-1:]
    if is_of_rows and is_kind(q, ("bool", "integral")):
        raise TypeError(
            f"q has dtype {q.dtype} and the shape of labels, but perplexity is of distributions; for logits use "
            "crossentropy.losses.sequence_perplexity(logits, labels), for probabilities the exponential of "
            "crossentropy.log_loss(probabilities, labels)"
        )


@argument_errors
def mutual_information(
    joint: Array,
    *,
    base: float | None = None,
    axes: tuple[int, int] = (-2, -1),
    normalize: bool = False,
    keepdims: bool = False,
) -> Array:
    """Mutual information of two variables, ``I = KL(P ‖ a bᵀ)``, from their joint distribution ``P``.

    ``a`` and ``b`` are the marginals of ``P``, its sums over the second variable and over the first.

    Parameters
    ----------
    joint : array (..., X, Y) or list
        Probabilities of the pairs, which sum to one over `axes` together.
    base, normalize, keepdims
        As in `entropy`.
    axes : (int, int), default (-2, -1)
        The axes of the two variables.

    Returns
    -------
    array (...)
        The shape of `joint` without `axes`, in units of ``log base``, nats by default: float64 for float64, integers
        and lists, else float32. It is as accurate as `kl_divergence` however little the variables tell of each other.

    Raises
    ------
    ValueError, TypeError
        As `entropy`.

    References
    ----------
    Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27, 1948.

    Examples
    --------
    >>> round(float(mutual_information([[0.5, 0.0], [0.0, 0.5]], base=2)), 12)
    1.0
    """
    xp, (P,) = as_arrays(joint=joint)
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        raise TypeError(f"axes is {axes!r}; pass the axes of the two variables, such as (-2, -1)")
    x, y = both = tuple(axis_from_end(k, "axes", axes, {"joint": P}) for k in axes)
    if x == y:
        raise ValueError(f"axes is {axes!r}, twice the same; pass the axes of the two variables")
    P = as_floating(P)
    memory = kernel_memory([P])
    nats = None
    if memory is not None and not normalize and P.dtype in (xp.float32, xp.float64):
        nats = divergence_from_marginals(memory, P, both, checks=True)
    if nats is None:
        P = checked_distribution("joint", P, both, normalize)
        nats = None if memory is None else divergence_from_marginals(memory, P, both, checks=False)
    if nats is not None:
        if keepdims:
            for k in sorted(k + P.ndim for k in both):
                nats = xp.expand_dims(nats, axis=k)
        return xp.astype(nats / unit(base), P.dtype)

    # KL to any a bᵀ exceeds that to the marginals' by what KL lies between the two, so rounding a and b costs
    # the square of a rounding error; rounding their product would cost more, hence its second, exact piece.
    a = SCALE * xp.astype(total(P, y, keepdims=True) / total(P, both, keepdims=True), P.dtype)
    b = xp.astype(total(P, x, keepdims=True), P.dtype)
    product, rest = exact_product(a, b)
    P = SCALE * P
    nats = total(divergence(P, a, b, difference=(P - product) - rest), both, keepdims=keepdims) / SCALE
    return xp.astype(nats / unit(base), P.dtype)


# -------------------------------------------------------------------------------------------------- refusals

THE_LOSS = "The loss of logits and labels is crossentropy.softmax_cross_entropy(logits, labels)"


def _holds_no_probabilities(x: Array) -> bool:
    """Tell whether an entry is known to be below 0 or above 1, as scores and counts are."""
    return is_true(namespace(x).any((x < 0) | (x > 1)))


def _warn_of_order(p: Array, q: Array, result: Array) -> None:
    """Warn of a one-hot prediction of a truth that is not: labels and prediction are exchanged."""
    xp = namespace(result)
    if is_true(xp.any(result == math.inf)) and is_true(xp.all((q == 0) | (q == 1))):
        warn_user(
            "q is one-hot and p is not, so the cross-entropy is infinite: the order is (labels, predictions), "
            "cross_entropy(one_hot, prediction)"
        )
