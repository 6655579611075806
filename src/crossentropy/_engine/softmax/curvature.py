"""Second derivatives of softmax losses of tensors on the CPU, in one native sweep over the rows.

Where a row costs ``s (A ln Σ_c e^{u_c} − Σ_c a_c u_c)`` with ``u = z/T + b`` and constant masses ``a``, whose sum is
``A``, the gradient is ``s (A p − a)/T``, and the second derivative along ``v`` is ``s A p ⊙ (v − p · v)/T²``. Of other
losses of every class native code differentiates the formula of the gradient (native/common/dual.hpp), and those of
statistics of a row take the derivatives of these (`_statistics.torch.transforms`).
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy._backends import total
from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.softmax.fused_cpu import FORMULAS, FusedRows, gradient_along, known_formula
from crossentropy._engine.softmax.native_links import NUMBER
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import dense_masses, not_ignored_rows, target_weights, weigh
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory_torch import TorchMemory
from crossentropy._statistics.torch.second import softmax_curvature
from crossentropy.links import CrossEntropy
from crossentropy.links._advantage import Advantage


def serves(problem: SoftmaxProblem, found: Any) -> bool:
    """Whether native code has the second derivatives, and PyTorch runs operations at once."""
    return (
        type(found) is FusedRows
        and (_has_duals(problem, found) or _is_log_partition(problem))
        and is_eager_mode()
    )


def along(problem: SoftmaxProblem, found: FusedRows, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """The second derivatives by the logits along `v`, times `upstream`."""
    if _is_hinge(problem):
        return torch.zeros_like(logits)
    if _has_duals(problem, found):
        each = upstream if upstream.ndim else upstream.item()
        return gradient_along(TorchMemory, problem, logits, found, each, v)
    factors = _row_factors(problem) * found.share * upstream.double()
    return softmax_curvature(logits, problem.axis, problem.transform, factors, v)


def _has_duals(problem: SoftmaxProblem, found: FusedRows) -> bool:
    """Whether the loss is one of every class whose gradient native code can differentiate."""
    if type(found.rows) is not _native.ClassLoss:
        return False
    return FORMULAS[known_formula(problem.link, problem.formula)[0]].has_duals


def _is_log_partition(problem: SoftmaxProblem) -> bool:
    """Whether all of a loss that is not linear, but for kinks, is the log-partition of its rows."""
    transform, N = problem.transform, problem.normalizer
    return (
        type(problem.link) in (CrossEntropy, Advantage)
        and (problem.formula is None or problem.formula.name == "cross-entropy" or _is_hinge(problem))
        and problem.target.mask is None
        and not problem.regularizers
        and isinstance(transform.temperature, NUMBER)
        and transform.softcap is None
        and transform.margin is None
        and not getattr(N, "ndim", 0)
    )


def _is_hinge(problem: SoftmaxProblem) -> bool:
    """Whether the loss is linear between its kinks."""
    return problem.formula is not None and problem.formula.name in ("crammer-singer", "weston-watkins")


def _row_factors(problem: SoftmaxProblem) -> Tensor:
    """``ω A`` of every row, times its advantage if it has one, in float64: 0 where the row counts for nothing."""
    target, w, epsilon = problem.target, problem.class_weight, problem.label_smoothing
    masses = torch.ones(problem.rows, dtype=torch.float64, device=problem.device)
    if target.dense is not None:
        masses = dense_masses(problem)
    elif problem.table is None:
        shares = target_weights(problem)
        masses = masses if shares is None else shares if problem.masses is None else shares.sum(-1)
    if epsilon:
        r = problem.smoothing_prior
        of_prior = 1.0 if r is None else total(r if w is None else r.double() * w.double(), -1)
        if r is None and w is not None:
            of_prior = total(w, -1) / problem.classes
        masses = (1 - epsilon) * masses + epsilon * of_prior
    if type(problem.link) is Advantage:
        masses = masses * problem.link.advantages
    keep = not_ignored_rows(problem)
    if keep is not None:
        masses = torch.where(keep, masses, 0.0)
    return masses if problem.sample_weight is None else weigh(problem.sample_weight.double(), masses)
