"""Entropy, cross-entropy and their kin, for distributions given as arrays of any framework.

A divergence is a sum of ``p ln(p/q) − p + q = q g((p − q)/q)``, ``g(x) = (1 + x) ln(1 + x) − x``, over the
classes: never negative, 0 only where ``p = q``, and ``Σ p ln(p/q)`` when both sum to one. So nothing cancels
between classes, `_divergence` sees to it that nothing cancels within one, and close distributions keep their
digits. What the functions share:

- Probabilities are floating, at least 0, finite, and sum to one within 3e-3 in bfloat16, 1e-3 in float16, 1e-5 in
  float32, 1e-9 in float64. Anything else is refused, never repaired, unless ``normalize=True``. Where values
  cannot be read (in a compiled or traced function, under `vmap`, on a meta device), they are not checked.
- Arithmetic is in float32 or wider, sums in float64 where there is one; no result is narrower than float32.
- Gradients are finite: where the true derivative is infinite (with respect to a probability of 0 that a
  logarithm is taken of), the gradient of that entry is 0.
"""

import functools
import math
import numbers
import operator
from typing import Any

from crossentropy.backends import as_arrays, first_true, is_true, namespace, sum_tolerance, total

__all__ = ["cross_entropy", "entropy", "js_divergence", "kl_divergence", "mutual_information", "perplexity"]

Array = Any

# Divergences are homogeneous, D(λp, λq) = λ D(p, q). Multiplied by this, subnormal probabilities become
# normal numbers, and so do their reciprocals, which gradients contain.
SCALE = 2.0**60


def entropy(p: Array, *, base: float | None = None, axis: int = -1, normalize: bool = False) -> Array:
    """Entropy of a distribution, ``H(p) = −Σ p log p``, with ``0 log 0 = 0``.

    Parameters
    ----------
    p : array (..., C), floating
        Probabilities along `axis`; lists of floats will do.
    base : float, optional
        Base of the logarithm: 2 for bits; nats if left out.
    axis : int, default -1
        The axis of the classes.
    normalize : bool, default False
        Divide each distribution by its sum first, instead of refusing one that does not sum to one.

    Returns
    -------
    array (...)
        The shape of `p` without `axis`, in units of ``log base``. The gradient is ``−log p − 1``, but 0 at 0.

    Raises
    ------
    ValueError
        If an entry is negative, NaN or infinite, or a distribution does not sum to one, with the place and
        the value; if `axis` or `base` is out of range.
    TypeError
        If `p` is not floating.

    References
    ----------
    Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27, 1948.

    Examples
    --------
    >>> float(entropy([0.5, 0.25, 0.25], base=2))
    1.5
    """
    _, (p,), axis = _distributions(axis, normalize, p=p)
    return _add_up(_entropy_terms(p), axis, base)


def cross_entropy(
    p: Array, q: Array, *, base: float | None = None, axis: int = -1, normalize: bool = False
) -> Array:
    """Cross-entropy of a prediction `q` under the truth `p`, ``H(p, q) = −Σ p log q = H(p) + KL(p ‖ q)``.

    Parameters
    ----------
    p, q : array (..., C), floating
        Probabilities along `axis`. The other axes broadcast, the classes do not.
    base, axis, normalize
        As in `entropy`; `axis` is that of the broadcast arrays.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``; inf where `q` is 0 and `p` is not.

    Raises
    ------
    ValueError
        As `entropy`, and if the shapes do not fit.
    TypeError
        If an input is not floating, or the two are of different libraries.

    References
    ----------
    Kerridge, "Inaccuracy and Inference", Journal of the Royal Statistical Society B 23, 1961.

    Examples
    --------
    >>> float(cross_entropy([0.5, 0.5], [0.25, 0.75]))
    0.8369882167858358
    >>> float(cross_entropy([0.0, 1.0], [0.0, 1.0])), float(cross_entropy([0.5, 0.5], [0.0, 1.0]))
    (0.0, inf)
    """
    _, (p, q), axis = _distributions(axis, normalize, p=p, q=q)
    return _add_up(_cross_entropy_terms(p, q), axis, base)


def kl_divergence(
    p: Array, q: Array, *, base: float | None = None, axis: int = -1, normalize: bool = False
) -> Array:
    """Kullback–Leibler divergence, ``KL(p ‖ q) = Σ p log(p/q) − p + q``, every term at least 0.

    Parameters
    ----------
    p, q, base, axis, normalize
        As in `cross_entropy`.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``; inf where `q` is 0 and `p` is not. Every
        term is right to its last digits, however close `p` and `q` are. The gradients, ``log(p/q)`` and
        ``(q − p)/q``, vanish where they meet.

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
    _, (p, q), axis = _distributions(axis, normalize, p=p, q=q)
    p, q = SCALE * p, SCALE * q
    return _add_up(_divergence(p, q, difference=p - q), axis, base, SCALE)


def js_divergence(
    p: Array, q: Array, *, base: float | None = None, axis: int = -1, normalize: bool = False
) -> Array:
    """Jensen–Shannon divergence, ``JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m)`` with ``m = (p + q)/2``.

    It is symmetric and at most ``log 2``. Its square root is a metric; this is not the root.

    Parameters
    ----------
    p, q, base, axis, normalize
        As in `cross_entropy`.

    Returns
    -------
    array (...)
        The broadcast shape without `axis`, in units of ``log base``, as accurate as `kl_divergence`. The
        gradients are ``½ log(p/m)`` and ``½ log(q/m)``.

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
    _, (p, q), axis = _distributions(axis, normalize, p=p, q=q)
    p, q = SCALE * p, SCALE * q
    middle, half_way = (p + q) / 2, (p - q) / 2
    terms = _divergence(p, middle, difference=half_way) + _divergence(q, middle, difference=-half_way)
    return _add_up(terms, axis, base, 2 * SCALE)


def perplexity(p: Array, q: Array | None = None, *, axis: int = -1, normalize: bool = False) -> Array:
    """Perplexity, the number of equally likely classes that are as uncertain: ``e^H(p)``, or ``e^H(p, q)``.

    Parameters
    ----------
    p : array (..., C), floating
        Probabilities along `axis`.
    q : array (..., C), floating, optional
        A prediction of `p`; the perplexity is then that of the cross-entropy.
    axis, normalize
        As in `cross_entropy`.

    Returns
    -------
    array (...)
        A number of classes, from 1 (without `q`, to C); inf where `q` is 0 and `p` is not.

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
    given = {"p": p} if q is None else {"p": p, "q": q}
    xp, checked, axis = _distributions(axis, normalize, **given)
    terms = _entropy_terms(*checked) if q is None else _cross_entropy_terms(*checked)
    return xp.astype(xp.exp(total(terms, axis)), terms.dtype)


def mutual_information(
    joint: Array, *, base: float | None = None, axes: tuple[int, int] = (-2, -1), normalize: bool = False
) -> Array:
    """Mutual information of two variables, ``I = KL(P ‖ a bᵀ)``, from their joint distribution ``P``.

    ``a`` and ``b`` are the marginals of ``P``, its sums over the second variable and over the first.

    Parameters
    ----------
    joint : array (..., X, Y), floating
        Probabilities of the pairs, which sum to one over `axes` together.
    base, normalize
        As in `entropy`.
    axes : (int, int), default (-2, -1)
        The axes of the two variables.

    Returns
    -------
    array (...)
        The shape of `joint` without `axes`, in units of ``log base``, as accurate as `kl_divergence` however
        little the variables tell of each other.

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
    xp, (P,) = as_arrays(joint)
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        raise TypeError(f"axes is {axes!r}; pass the axes of the two variables, such as (-2, -1)")
    x, y = both = tuple(_from_the_end(axis, {"joint": P}) for axis in axes)
    if x == y:
        raise ValueError(f"axes is {axes!r}, twice the same; pass the axes of the two variables")
    P = _checked("joint", P, both, normalize)

    # KL to any a bᵀ exceeds that to the marginals' by what KL lies between the two, so rounding a and b costs
    # the square of a rounding error; rounding their product would cost more, hence its second, exact piece.
    a = SCALE * xp.astype(total(P, y, keepdims=True) / total(P, both, keepdims=True), P.dtype)
    b = xp.astype(total(P, x, keepdims=True), P.dtype)
    product, rest = _exact_product(a, b)
    P = SCALE * P
    return _add_up(_divergence(P, a, b, difference=(P - product) - rest), both, base, SCALE)


# -------------------------------------------------------------------------------------------- terms and sums


def _entropy_terms(p: Array) -> Array:
    """``−p ln p``."""
    xp = namespace(p)
    return -p * xp.log(xp.where(p > 0, p, xp.ones_like(p)))


def _cross_entropy_terms(p: Array, q: Array) -> Array:
    """``−p ln q``; inf where only ``q = 0``."""
    xp = namespace(p, q)
    terms = -p * xp.log(xp.where(q > 0, q, xp.ones_like(q)))
    return xp.where((p > 0) & (q == 0), xp.full_like(terms, math.inf), terms)


def _divergence(p: Array, *factors: Array, difference: Array) -> Array:
    """``p ln(p/q) − p + q`` for `q` the product of `factors` and `difference` an accurate ``p − q``.

    With ``s = (p − q)/(p + q)``, so that ``ln(p/q) = 2 artanh s``, it is ``(p − q) s + 2p (artanh s − s)``:
    neither part can cancel the other. Where ``p = 0`` it is ``q``; where only ``q = 0``, inf.
    """
    xp = namespace(p, *factors)
    inside = functools.reduce(operator.and_, [x > 0 for x in (p, *factors)])
    outside = xp.where(p > 0, xp.full_like(p, math.inf), functools.reduce(operator.mul, factors))
    p, *fs = [xp.where(inside, x, xp.ones_like(x)) for x in (p, *factors)]
    difference = xp.where(inside, difference, xp.zeros_like(difference))

    s = difference / (p + functools.reduce(operator.mul, fs))
    near = xp.abs(s) < 0.25
    near_tail = _artanh_tail(xp.where(near, s, xp.zeros_like(s)))
    root = functools.reduce(operator.truediv, map(xp.sqrt, fs), xp.sqrt(p))  # √(p/q): p/q may overflow
    return xp.where(inside, difference * s + 2 * p * xp.where(near, near_tail, xp.log(root) - s), outside)


def _artanh_tail(s: Array) -> Array:
    """``artanh s − s = s³/3 + s⁵/5 + …`` to full precision for ``|s| < ¼``."""
    square, series = s * s, 0.0 * s
    for k in range(27 if _bits(s) > 32 else 13, 1, -2):
        series = square * (1 / k + series)
    return s * series


def _bits(x: Array) -> int:
    return int(namespace(x).finfo(x.dtype).bits)


def _exact_product(a: Array, b: Array) -> tuple[Array, Array]:
    """``a b`` rounded, and what rounding took away (Dekker, Numerische Mathematik 18, 1971)."""

    def halves(x: Array) -> tuple[Array, Array]:
        """`x` as a sum of two numbers of half as many digits, whose products are exact."""
        shifted = (2.0 ** (27 if _bits(x) > 32 else 12) + 1) * x
        high = shifted - (shifted - x)
        return high, x - high

    product = a * b
    (a_high, a_low), (b_high, b_low) = halves(a), halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _add_up(terms: Array, axis: int | tuple[int, ...], base: float | None, scale: float = 1.0) -> Array:
    """``Σ terms / scale`` in units of ``log base``, rounded once to the precision of `terms`."""
    if base is not None:
        if not isinstance(base, numbers.Real) or not 0 < base < math.inf or base == 1:
            raise ValueError(f"base is {base!r}; pass a finite number above 0 but not 1: 2 for bits")
        scale *= math.log(base)
    return namespace(terms).astype(total(terms, axis) / scale, terms.dtype)


# -------------------------------------------------------------------------------------------------- refusals


def _distributions(axis: int, normalize: bool, **given: Any) -> tuple[Any, list[Array], int]:
    """The namespace, the distributions checked and of one dtype, and their axis counted from the end."""
    xp, arrays = as_arrays(*given.values())
    named = dict(zip(given, arrays, strict=True))
    axis = _from_the_end(axis, named)
    classes = [x.shape[axis] if x.ndim >= -axis else None for x in arrays]
    if any(n is None or n != classes[0] for n in classes):
        raise ValueError(
            f"{_shapes(named)}: along axis {axis} the numbers of classes differ; "
            "pass distributions over the same classes (only the other axes broadcast)"
        )
    for sizes in zip(*(reversed(x.shape) for x in arrays), strict=False):
        several = [n for n in sizes if n != 1]
        if any(n != several[0] for n in several):
            raise ValueError(
                f"{_shapes(named)}, which do not broadcast; make the other axes equal, or of size 1"
            )
    arrays = [_checked(name, x, (axis,), normalize) for name, x in zip(given, arrays, strict=True)]
    return xp, [xp.astype(x, xp.result_type(*arrays), copy=False) for x in arrays], axis


def _shapes(named: dict[str, Array]) -> str:
    """What an error says of the shapes of arrays."""
    return " and ".join(f"{name} has shape {tuple(x.shape)}" for name, x in named.items())


def _from_the_end(axis: int, named: dict[str, Array]) -> int:
    """`axis` of what these arrays broadcast to as a negative number, which broadcasting leaves alone."""
    ndim = max(x.ndim for x in named.values())
    if not isinstance(axis, numbers.Integral) or not -ndim <= axis < ndim:
        raise ValueError(f"axis is {axis!r} but {_shapes(named)}; pass the number of one of the axes")
    return int(axis) - ndim if axis >= 0 else int(axis)


def _checked(name: str, x: Array, axes: tuple[int, ...], normalize: bool) -> Array:
    """`x` in float32 or wider, once it is known to hold distributions over `axes`."""
    xp = namespace(x)
    if not xp.isdtype(x.dtype, "real floating"):
        fix = f"pass {name}.astype(float) or {name}.double(), for counts with normalize=True"
        raise TypeError(f"{name} has dtype {x.dtype}, but probabilities are floating; {fix}")
    tolerance = sum_tolerance(x)
    dtype, x = x.dtype, xp.astype(x, xp.float32) if _bits(x) < 32 else x

    wrong = ~((x >= 0) & (x < math.inf))
    if is_true(xp.any(wrong)):
        place = first_true(wrong)
        fix = "but probabilities are finite and at least 0; of logits, pass the softmax"
        raise ValueError(f"{name}[{', '.join(map(str, place))}] is {float(x[place])}, {fix}")
    sums = total(x, axes, keepdims=True)
    wrong = ~((sums > 0) & (sums < math.inf) if normalize else xp.abs(sums - 1) <= tolerance)
    if is_true(xp.any(wrong)):
        place = first_true(wrong)
        row = ", ".join(":" if k - x.ndim in axes else str(i) for k, i in enumerate(place))
        fix = f"not to 1 within {tolerance:g} ({dtype}); pass normalize=True to divide by the sum"
        fix = "which nothing can divide to 1; leave it out" if normalize else fix
        raise ValueError(f"{name}[{row}] sums to {float(sums[place])}, {fix}")
    return xp.astype(x / sums, x.dtype, copy=False) if normalize else x
