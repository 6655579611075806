"""Second derivatives of cross-entropies of tensors on the CPU, in one native sweep over the rows.

Where a row costs ``s (A ln Σ_c e^{u_c} − Σ_c a_c u_c)`` with ``u = z/T + b`` and constant masses ``a``, whose sum is
``A``, the gradient is ``s (A p − a)/T``, and the second derivative along ``v`` is ``s A p ⊙ (v − p · v)/T²``.
"""

from typing import Any

import torch
from torch import Tensor

from crossentropy._backends import total
from crossentropy._backends.modes import is_eager_mode
from crossentropy._engine.softmax.fused_cpu import FusedRows
from crossentropy._engine.softmax.native_links import NUMBER
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.terms import dense_masses, not_ignored_rows, target_weights, weigh
from crossentropy._statistics.torch.second import softmax_curvature
from crossentropy.links import CrossEntropy


def serves(problem: SoftmaxProblem, found: Any) -> bool:
    """Tell whether a loss of the native kernels is of this form, and PyTorch runs operations at once."""
    transform, N = problem.transform, problem.normalizer
    return (
        type(found) is FusedRows
        and type(problem.link) is CrossEntropy
        and (problem.formula is None or problem.formula.name == "cross-entropy" or _is_hinge(problem))
        and problem.target.mask is None
        and not problem.regularizers
        and isinstance(transform.temperature, NUMBER)
        and transform.softcap is None
        and transform.margin is None
        and not getattr(N, "ndim", 0)
        and is_eager_mode()
    )


def along(problem: SoftmaxProblem, found: FusedRows, logits: Tensor, upstream: Tensor, v: Tensor) -> Tensor:
    """The second derivatives by the logits along `v`, times `upstream`."""
    if _is_hinge(problem):
        return torch.zeros_like(logits)
    T, bias = float(problem.transform.temperature), problem.transform.logit_bias
    factors = _row_factors(problem) * found.share * upstream.double()
    return softmax_curvature(logits, problem.axis, 1.0 / T, bias, factors, v)


def _is_hinge(problem: SoftmaxProblem) -> bool:
    """Whether the loss is linear between its kinks."""
    return problem.formula is not None and problem.formula.name in ("crammer-singer", "weston-watkins")


def _row_factors(problem: SoftmaxProblem) -> Tensor:
    """``ω A`` of every row, in float64: 0 where the row counts for nothing."""
    target, w, epsilon = problem.target, problem.class_weight, problem.label_smoothing
    masses = torch.ones(problem.rows, dtype=torch.float64, device=problem.device)
    if target.dense is not None:
        masses = dense_masses(problem)
    elif problem.table is None:
        shares = target_weights(problem)
        masses = masses if shares is None else shares if problem.masses is None else shares.sum(-1)
    if epsilon:
        r = problem.smoothing_prior
        of_prior = 1.0 if r is None else total(r if w is None else r * w, -1)
        if r is None and w is not None:
            of_prior = total(w, -1) / problem.classes
        masses = (1 - epsilon) * masses + epsilon * of_prior
    keep = not_ignored_rows(problem)
    if keep is not None:
        masses = torch.where(keep, masses, 0.0)
    return masses if problem.sample_weight is None else weigh(problem.sample_weight.double(), masses)
