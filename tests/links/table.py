"""Every link with parameters, and the truth about it: φ and its gain from log p and log(1 − p), in mpmath."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from crossentropy import links
from oracle import ctx, log_sigmoid, mpf

DIGITS = 700  # e^−690 may cancel against itself
ODDS = np.array(
    [-690, -300.5, -60, -37, -20, -9.5, -3.25, -1.25, -1e-3, 0, 1e-9, 0.5, 2, 2.75, 17, 36.5, 100, 690]
)

HUGE = np.exp(np.log(np.finfo(np.float64).max) - 16.01)  # finite, for 0 · ∞ would be NaN
TRUTHS: dict[tuple[int, float], tuple[Any, Any, Any]] = {}
CURVATURES: dict[tuple[int, float], Any] = {}


@dataclass(frozen=True)
class Case:
    """A link; `phi` and `gain` take p, q = 1 − p and their logarithms.

    `ends` are φ and the gain at p = 1 and at p = 0. `factor` is what rounding errors are multiplied by where terms of
    φ cancel, or a power does it. A gain that has no end is given as HUGE.
    """

    link: Any
    phi: Callable[..., Any]
    gain: Callable[..., Any]
    ends: tuple[tuple[float, float], tuple[float, float]]
    factor: float = 1.0

    def __repr__(self) -> str:
        return repr(self.link)

    def truth(self, D: float) -> tuple[Any, Any, Any]:
        """φ, the gain and dφ/dD at log-odds D."""
        known = (id(self), D)
        if known not in TRUTHS:
            TRUTHS[known] = self._truth(D)
        return TRUTHS[known]

    def _truth(self, D: float) -> tuple[Any, Any, Any]:
        with ctx.workdps(DIGITS):
            log_p, log_q = log_sigmoid(-mpf(D)), log_sigmoid(mpf(D))
            p, q = ctx.exp(log_p), ctx.exp(log_q)
            gain = self.gain(p, q, log_p, log_q)
            return self.phi(p, q, log_p, log_q), gain, gain * q

    def curvature(self, D: float) -> Any:
        """d²φ/dD² at log-odds D: a difference of dφ/dD over a step that some hundred digits resolve."""
        known = (id(self), D)
        if known not in CURVATURES:
            CURVATURES[known] = self._curvature(D)
        return CURVATURES[known]

    def _curvature(self, D: float) -> Any:
        step = mpf(10) ** -250
        with ctx.workdps(DIGITS):
            before, after = (self._slope(mpf(D) + move) for move in (0, step))
            return (after - before) / step

    def _slope(self, D: Any) -> Any:
        log_p, log_q = log_sigmoid(-D), log_sigmoid(D)
        p, q = ctx.exp(log_p), ctx.exp(log_q)
        return self.gain(p, q, log_p, log_q) * q


def poly(*epsilons: float) -> Case:
    e = [mpf(x) for x in epsilons]
    return Case(
        links.Poly(epsilons if len(epsilons) > 1 else epsilons[0]),
        lambda p, q, log_p, log_q: -log_p + ctx.fsum(x * q**j for j, x in enumerate(e, start=1)),
        lambda p, q, log_p, log_q: 1 + p * ctx.fsum(j * x * q ** (j - 1) for j, x in enumerate(e, start=1)),
        ((0.0, 1 + epsilons[0]), (np.inf, 1.0)),
        # between 1/4 and 1/2 of the loss −log p − q, which is at least 1/8 of its terms, is left
        factor=8.0 ** len(epsilons) if min(epsilons) < 0 else 1.0,
    )


def power(link: Any, q: float) -> Case:
    """(1 − p^q)/q."""
    most = 1 / q if q > 0 else np.inf
    return Case(
        link,
        lambda p, _, log_p, log_q: -ctx.expm1(mpf(q) * log_p) / mpf(q),
        lambda p, _, log_p, log_q: ctx.exp(mpf(q) * log_p),
        ((0.0, 1.0), (most, 0.0 if q > 0 else HUGE)),
        factor=1 + abs(q),
    )


def truncated(q: float, k: float) -> Case:
    most = (1 - mpf(k) ** mpf(q)) / mpf(q)
    plain = power(None, q)
    return Case(
        links.GeneralizedCrossEntropy(q, truncation=k),
        lambda p, *rest: most if p <= k else plain.phi(p, *rest),
        lambda p, *rest: mpf(0) if p <= k else plain.gain(p, *rest),
        ((0.0, 1.0), (float(most), 0.0)),
        factor=1 + q,
    )


def symmetric(forward_weight: float, reverse_weight: float, log_zero: float) -> Case:
    a, b = mpf(forward_weight), -mpf(reverse_weight) * mpf(log_zero)
    return Case(
        links.SymmetricCrossEntropy(forward_weight, reverse_weight, log_zero),
        lambda p, q, log_p, log_q: -a * log_p + b * q,
        lambda p, q, log_p, log_q: a + b * p,
        ((0.0, float(a + b)), (np.inf if forward_weight else float(b), forward_weight)),
    )


def taylor(order: int) -> Case:
    return Case(
        links.Taylor(order),
        lambda p, q, log_p, log_q: ctx.fsum(q**j / j for j in range(1, order + 1)),
        lambda p, q, log_p, log_q: 1 - q**order,
        ((0.0, 1.0), (sum(1 / j for j in range(1, order + 1)), 0.0)),
        factor=2.0,
    )


def huberized(tau: float) -> Case:
    t = mpf(tau)
    return Case(
        links.PartiallyHuberized(tau),
        lambda p, q, log_p, log_q: ctx.log(t) + 1 - t * p if t * p <= 1 else -log_p,
        lambda p, q, log_p, log_q: min(mpf(1), t * p),
        ((0.0, 1.0), (float(ctx.log(t) + 1), 0.0)),
        factor=2.0,
    )


CASES = [
    poly(1.0),
    poly(2.0),
    poly(-1.0),
    poly(-0.75),
    poly(0.5, -0.25, 2.0),
    poly(-1.0, -0.5, 0.0),
    *(power(links.GeneralizedCrossEntropy(q), q) for q in (0.7, 0.5, 1.0, 1e-3)),
    truncated(0.7, 0.4),
    truncated(0.5, 0.9),
    *(power(links.Tsallis(t), float(1 - mpf(t))) for t in (0.25, -1.0, 0.0, 1.5, 1 + 2.0**-10)),
    symmetric(0.1, 1.0, -4.0),
    symmetric(6.0, 0.1, -9.21),
    symmetric(0.0, 1.0, -4.0),
    *(taylor(t) for t in (1, 2, 6, 40)),
    *(huberized(t) for t in (1.0, 2.0, 10.0, 50.0)),
    Case(
        links.MeanAbsoluteError(),
        lambda p, q, log_p, log_q: 2 * q,
        lambda p, q, log_p, log_q: 2 * p,
        ((0.0, 2.0), (2.0, 0.0)),
    ),
    Case(
        links.Unlikelihood(),
        lambda p, q, log_p, log_q: -log_q,
        lambda p, q, log_p, log_q: -p / q,
        ((np.inf, -HUGE), (0.0, 0.0)),
    ),
    Case(
        links.Tsallis(1.0),
        lambda p, q, log_p, log_q: -log_p,
        lambda p, q, log_p, log_q: mpf(1),
        ((0.0, 1.0), (np.inf, 1.0)),
    ),
    Case(
        links.CrossEntropy(),
        lambda p, q, log_p, log_q: -log_p,
        lambda p, q, log_p, log_q: mpf(1),
        ((0.0, 1.0), (np.inf, 1.0)),
    ),
    *(
        Case(
            links.Focal(g),
            lambda p, q, log_p, log_q, g=g: -log_p * q**g,
            lambda p, q, log_p, log_q, g=g: q**g - g * p * q ** (g - 1) * log_p,
            ((0.0, 0.0), (np.inf, 1.0)),
            factor=1 + g,
        )
        for g in (0.25, 2.0, 5.0)
    ),
]
each_link = pytest.mark.parametrize("case", CASES, ids=repr)
one_of_each = pytest.mark.parametrize("case", {type(c.link): c for c in CASES}.values(), ids=repr)

LIBRARIES = ("numpy", "torch", "jax", "array_api_strict")
each_library = pytest.mark.parametrize("library", LIBRARIES)
each_autodiff = pytest.mark.parametrize("library", ["torch", "jax"])


def each_link_in(*libraries: str) -> Any:
    """Every link in these libraries; JAX compiles the last of each kind, and all of them in the full suite."""
    compiled = list({type(case.link): case for case in CASES}.values())
    return pytest.mark.parametrize(
        ("case", "library"),
        [
            pytest.param(
                case,
                library,
                id=f"{case!r}-{library}",
                marks=() if library != "jax" or any(case is x for x in compiled) else pytest.mark.full,
            )
            for case in CASES
            for library in libraries
        ],
    )


def module(library: str) -> Any:
    return pytest.importorskip("jax.numpy" if library == "jax" else library)


def wide(library: str) -> Any:
    """A context with 64-bit numbers, which JAX has only when told."""
    return pytest.importorskip("jax").enable_x64(True) if library == "jax" else nullcontext()


def array(library: str, values: Any) -> Any:
    xp = module(library)
    return xp.tensor(np.array(values)) if library == "torch" else xp.asarray(np.array(values))


def back(values: Any) -> np.ndarray:
    return np.asarray(values.detach() if hasattr(values, "detach") else values, dtype=np.float64)


class Values(NamedTuple):
    """A link's loss, gain and slope at some log-odds, and its loss's first and second derivative."""

    loss: np.ndarray
    gain: np.ndarray
    slope: np.ndarray
    first: np.ndarray
    second: np.ndarray


PADDED = 40  # log-odds of one shape, so that JAX compiles a link once for each dtype


@functools.cache
def compiled(link: Any) -> Callable[[Any], tuple[Any, ...]]:
    """Compile all of `Values` of a link as one function of JAX arrays."""
    jax = pytest.importorskip("jax")
    first = jax.grad(lambda D: link.loss(D).sum())
    second = jax.grad(lambda D: first(D).sum())

    def values(D: Any) -> tuple[Any, ...]:
        return link.loss(D), link.gain(D), links.link.slope(link, D), first(D), second(D)

    return jax.jit(values)


def jax_values(link: Any, D: Any) -> Values:
    """`Values` of a link in JAX at the log-odds `D`, in the dtype of `D`."""
    D = np.asarray(D)
    padded = np.zeros(PADDED, D.dtype)
    padded[: len(D)] = D
    with wide("jax"):
        return Values(*(back(x)[: len(D)] for x in compiled(link)(module("jax").asarray(padded))))


def loss_gain_slope(link: Any, D: Any, library: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A link's loss, gain and slope at the log-odds `D`."""
    if library == "jax":
        return jax_values(link, D)[:3]
    x = array(library, D)
    return back(link.loss(x)), back(link.gain(x)), back(links.link.slope(link, x))


def derivatives(link: Any, D: np.ndarray, library: str) -> tuple[np.ndarray, np.ndarray]:
    """The first and second derivative of a link's loss by D, automatically."""
    if library == "jax":
        values = jax_values(link, D)
        return values.first, values.second
    torch = module("torch")
    x = torch.tensor(D, requires_grad=True)
    (first,) = torch.autograd.grad(link.loss(x).sum(), x, create_graph=True)
    second = torch.zeros_like(x)
    if first.requires_grad:
        (again,) = torch.autograd.grad(first.sum(), x, allow_unused=True)
        second = second if again is None else again
    return back(first), back(second)
