"""Second derivatives of cross-entropies of tensors on the CPU, in one native sweep over the rows.

Where a row costs ``s (A ln Σ_c e^{u_c} − Σ_c a_c u_c)`` with ``u = z/T + b`` and constant masses ``a``, whose sum is
``A``, the gradient is ``s (A p − a)/T``, and the second derivative along ``v`` is ``s A p ⊙ (v − p · v)/T²``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.softmax.fused_cpu import NUMBER, FusedRows
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import not_ignored_rows, target_weights, weigh
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import CODES, TorchMemory, is_plain
from crossentropy._statistics.torch.gradients import gradients
from crossentropy.links import CrossEntropy


class Pullback(NamedTuple):
    """What takes an upstream gradient to the gradient of a loss by its logits, and what its derivatives need.

    ``pull(logits, upstream=...)`` computes it, ``formula(logits)`` is the loss with derivatives of every order.
    """

    pull: Callable[..., Tensor]
    problem: SoftmaxProblem
    found: FusedRows
    formula: Callable[[Tensor], Sequence[Tensor]]


def serves(problem: SoftmaxProblem, found: Any) -> bool:
    """Tell whether a loss of the native kernels is of this form, and PyTorch runs operations at once."""
    transform, N = problem.transform, problem.normalizer
    return (
        type(found) is FusedRows
        and type(problem.link) is CrossEntropy
        and (problem.formula is None or problem.formula.name == "cross-entropy")
        and problem.target.mask is None
        and not problem.regularizers
        and isinstance(transform.temperature, NUMBER)
        and transform.softcap is None
        and transform.margin is None
        and not getattr(N, "ndim", 0)
        and is_eager_mode()
    )


def pulled(given: Pullback, logits: Tensor, upstream: Tensor) -> Tensor:
    """The gradient of a loss by its logits, times `upstream`, differentiable by both."""
    result: Tensor = _Pull.apply(given, logits, upstream)
    return result


class _Pull(Function):
    @staticmethod
    def forward(ctx: Any, given: Pullback, logits: Tensor, upstream: Tensor) -> Tensor:
        ctx.given = given
        ctx.save_for_backward(logits, upstream)
        return given.pull(logits, upstream=upstream.double() if upstream.ndim else upstream.item())

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        given: Pullback = ctx.given
        logits, upstream = ctx.saved_tensors
        needs = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not is_plain(v) or v.dtype not in CODES or not is_eager_mode():
            return None, *_by_formula(given, logits, upstream, needs, v)
        of_logits = _along(given, logits, upstream, v) if needs[0] else None
        return None, of_logits, _by_upstream(given, logits, upstream, v) if needs[1] else None


def _by_formula(
    given: Pullback, logits: Tensor, upstream: Tensor, needs: Sequence[bool], v: Tensor
) -> list[Tensor | None]:
    """Differentiate ``v · pullback`` with derivatives of every order."""

    def pullback(z: Tensor, g: Tensor) -> list[Any]:
        return gradients(given.formula, [z], [True], [g])

    return gradients(pullback, [logits, upstream], needs, [v])


def _along(given: Pullback, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """The second derivatives by the logits along `v`, times `upstream`."""
    problem, memory = given.problem, TorchMemory
    x, direction = lay_out(memory, logits, problem.axis), lay_out(memory, v, problem.axis)
    out = memory.empty_like(x.array)
    T, bias = float(problem.transform.temperature), problem.transform.logit_bias
    factors = _row_factors(problem) * (given.found.share / T**2) * upstream.double()
    kept, (of_classes, of_rows) = memory.addressed((bias, factors.contiguous()), ("float64", "float64"))
    _native.curvature_rows(
        x.view(memory),
        _native.Shape(x.outer, x.classes, x.inner),
        1.0 / T,
        of_classes,
        of_rows,
        direction.view(memory),
        lay_out(memory, out, problem.axis).view(memory),
        memory.threads(),
    )
    del kept  # whose addresses were held until now
    return out


def _by_upstream(given: Pullback, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """The gradient along `v`, of every row or of all."""
    if not upstream.ndim:
        return (given.pull(logits, upstream=1.0) * v).sum(dtype=torch.float64).to(upstream.dtype)
    slope = given.pull(logits, upstream=torch.ones_like(upstream, dtype=torch.float64))
    return (slope * v).sum(given.problem.axis, dtype=torch.float64).to(upstream.dtype)


def _row_factors(problem: SoftmaxProblem) -> Tensor:
    """``ω A`` of every row, in float64: 0 where the row counts for nothing."""
    target, w, epsilon = problem.target, problem.class_weight, problem.label_smoothing
    masses = torch.ones(problem.rows, dtype=torch.float64, device=problem.device)
    if target.dense is not None:
        t = target.dense.movedim(problem.axis, -1)
        masses = t.sum(-1, dtype=torch.float64) if w is None else t.double() @ w.double()
    elif problem.table is None:
        shares = target_weights(problem)
        masses = masses if shares is None else shares if problem.masses is None else shares.sum(-1)
    if epsilon:
        r = problem.smoothing_prior
        of_prior = 1.0 if r is None else r.sum(dtype=torch.float64)
        if w is not None:
            of_prior = w.double().mean() if r is None else w.double() @ r.double()
        masses = (1 - epsilon) * masses + epsilon * of_prior
    keep = not_ignored_rows(problem)
    if keep is not None:
        masses = torch.where(keep, masses, 0.0)
    return masses if problem.sample_weight is None else weigh(problem.sample_weight.double(), masses)
