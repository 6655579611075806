"""Softmax losses of PyTorch tensors.

Eager losses on the CPU and on CUDA whose gradient goes to the logits alone take one autograd Function from logits to
loss, since a chain of small operations costs more than the kernels at small sizes. On the CPU functional transforms
that differentiate take two, the loss and its gradient. Everything else is the composition, which PyTorch
differentiates: gradients to other inputs, `vmap`, compilation, other devices. A second derivative of the Functions is
a kernel's for plain cross-entropies (`curvature`), else the composition's.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from crossentropy._engine.softmax import curvature, evaluate, fused_cpu, fused_cuda
from crossentropy._engine.softmax.arithmetic import Arithmetic, on_host
from crossentropy._engine.softmax.autodiff import loss_by_autodiff
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._engine.softmax.statistics import find_statistics
from crossentropy._statistics import RowStatistics
from crossentropy._statistics.cpu.kernel import lay_out
from crossentropy._statistics.cpu.memory_torch import LOSSES, TorchMemory, is_plain, rounded
from crossentropy._statistics.torch import functional, transforms
from crossentropy._statistics.torch.gradients import gradients
from crossentropy._statistics.torch.kernels import kernels_serve
from crossentropy._statistics.torch.problem import partition
from crossentropy._statistics.torch.second import Pullback, pulled
from crossentropy.links.link import has_no_arrays


class LossKernels(NamedTuple):
    """How a loss is computed without a graph: its value, and from what was found its gradient.

    ``evaluate(problem)`` returns something with a `value`, from which ``gradient(problem, logits, found, upstream,
    into)`` makes the gradient by logits that the problem need not hold any more. ``serves(problem)`` tells whether
    they know the loss; if not, `others` may.
    """

    serves: Callable[[SoftmaxProblem], bool]
    evaluate: Callable[..., Any]
    gradient: Callable[..., Tensor]
    others: "LossKernels | None" = None

    def for_problem(self, problem: SoftmaxProblem) -> "LossKernels | None":
        """These, or others, whichever know the loss."""
        if self.serves(problem):
            return self
        return None if self.others is None else self.others.for_problem(problem)


def _combined(arithmetic: Arithmetic) -> LossKernels:
    """Statistics from the kernels, and formulas: for all links but those that act on every class."""
    return LossKernels(
        lambda problem: not problem.acts_per_class,
        partial(evaluate.evaluate, arithmetic),
        partial(evaluate.gradient, arithmetic),
    )


NATIVE = _combined(on_host(TorchMemory))
FUSED = LossKernels(
    fused_cpu.serves,
    partial(fused_cpu.evaluate, TorchMemory),
    partial(fused_cpu.gradient, TorchMemory),
    NATIVE,
)
ON_DEVICE = LossKernels(
    fused_cuda.serves, fused_cuda.evaluate, fused_cuda.gradient, _combined(fused_cuda.ON_DEVICE)
)


def kernels_for(*tensors: Tensor | None) -> LossKernels | None:
    """Those of whole losses for the device of the tensors, the first of which may not be None; None if none serve.

    A compiled, traced or transformed program, a subclass, another device: kernels are not to be called.
    """
    if not kernels_serve(*tensors):
        return None
    return FUSED if tensors[0].device.type == "cpu" else ON_DEVICE  # type: ignore[union-attr]


def engine_of(problem: SoftmaxProblem, tensors: Sequence[Tensor]) -> LossKernels | None:
    """The engine that computes a loss and its gradient by the logits; None if that is for the composition.

    `tensors` are those of the problem besides the logits.
    """
    own = FUSED if problem.tensors is not None else kernels_for(problem.logits, *tensors)
    if own is not None and not own.serves(problem):
        own = own.for_problem(problem)
    # A gradient by anything but the logits is left to PyTorch, with the statistics as one of its steps. Weights of
    # classes have none.
    if own is not None and torch.is_grad_enabled():
        for x in tensors:
            if x.requires_grad and x is not problem.class_weight and x is not problem.smoothing_prior:
                return None
        if own is not FUSED and link_learns(problem):
            return None
    return own


def loss(problem: SoftmaxProblem) -> Tensor:
    """The loss of `problem`, differentiable."""
    logits: Any = problem.logits
    tensors = tensors_of(problem) if problem.tensors is None else problem.tensors
    own = engine_of(problem, tensors)
    if own is not FUSED:
        fused_cpu.check_unread(problem)
    if own is None:
        native = _under_transforms(problem)
        return loss_by_autodiff(problem) if native is None else functional.differentiable(native, logits)
    if torch.is_grad_enabled() and logits.requires_grad:
        apply = _SoftmaxLoss.apply if problem.tensors is None else _apply_to_plain
        return apply(logits, problem, own, tensors)
    return rounded(own.evaluate(problem).value, LOSSES[logits.dtype])


def _under_transforms(problem: SoftmaxProblem) -> functional.DifferentiableLoss | None:
    """The loss as a function of the logits under transforms that differentiate it; None if kernels do not serve it.

    Large losses of labels are left to their statistics, whose second derivatives are the kernels' too.
    """
    logits: Any = problem.logits
    # In this order, for compilers trace what is asked first.
    if not functional.serves(logits) or not has_no_arrays(problem.link):
        return None
    if problem.formula is None and not problem.acts_per_class:
        settings, parts = partition(*problem.of_rows, validate=False)
        if transforms.transforms_serve(settings, parts):
            return None
    engine = FUSED.for_problem(problem)
    given = None if engine is None else functional.constant(replace(problem, logits=None))
    if engine is None or given is None:
        return None

    def value(z: Tensor) -> tuple[Tensor, Any]:
        own = given.with_logits(z)
        found = engine.evaluate(own)
        return rounded(found.value, LOSSES[z.dtype]), (own, found)

    def gradients(z: Sequence[Tensor], kept: Any, upstream: Tensor) -> list[Tensor]:
        own, found = kept
        return [engine.gradient(own, z[0], found, _upstream(upstream))]

    return functional.DifferentiableLoss(
        value, gradients, lambda z: _loss_of_every_order(problem, z)[0], problem.axis
    )


def tensors_of(problem: SoftmaxProblem) -> list[Tensor]:
    """What of the problem, besides the logits and what the link holds, is a tensor."""
    target = problem.target
    fixed = (target.indices, target.mask, problem.class_weight, problem.smoothing_prior)
    return [x for x in (*problem.other_inputs, *fixed, problem.normalizer) if isinstance(x, Tensor)]


def link_learns(problem: SoftmaxProblem) -> bool:
    """Whether what the link makes of a constant has a gradient, which then is that of a tensor the link holds."""
    link = problem.link
    if has_no_arrays(link):
        return False
    shape = problem.rows if problem.masses is None else tuple(problem.masses.shape)
    return bool(link.loss(torch.zeros(shape, dtype=torch.float64, device=problem.device)).requires_grad)


class _SoftmaxLoss(Function):
    """From logits to loss by an engine, with no graph in between."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, problem: SoftmaxProblem, own: LossKernels, tensors: Sequence[Tensor]
    ) -> Tensor:
        found = own.evaluate(problem)
        value = rounded(found.value, LOSSES[logits.dtype])
        found.value = None
        # Held by autograd as well, which sees if they are changed before the backward pass.
        kept, N = [logits], problem.normalizer
        for x in (*tensors, *getattr(problem.link, "__dict__", {}).values()):
            if not isinstance(x, Tensor) or (x is N and not N.ndim):  # one divisor is not read again
                continue
            kept.append(x)
        ctx.save_for_backward(*kept)
        problem.logits = None  # held by autograd alone, which lets go of them after the backward pass
        ctx.problem, ctx.found, ctx.engine = problem, found, own
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logits = ctx.saved_tensors[0]
        problem: SoftmaxProblem = ctx.problem
        cpu = logits.is_cpu
        plain = is_plain(grad, "cpu" if cpu else logits.device.type)
        if torch.is_grad_enabled() and plain and cpu and curvature.serves(problem, ctx.found):
            given = Pullback(
                lambda z, g: [ctx.engine.gradient(problem, z[0], ctx.found, _upstream(g))],
                lambda z, g, v: [curvature.along(problem, ctx.found, z[0], g, v[0])],
                lambda z: _loss_of_every_order(problem, z[0]),
                problem.axis,
            )
            return *pulled(given, [logits], grad), None, None, None
        if torch.is_grad_enabled() or not plain:
            return (
                *gradients(partial(_loss_of_every_order, problem), [logits], [True], [grad]),
                None,
                None,
                None,
            )
        into = overwritten(ctx, logits, problem.axis) if problem.inplace else None
        return ctx.engine.gradient(problem, logits, ctx.found, _upstream(grad), into), None, None, None


#: `_SoftmaxLoss.apply` of tensors found plain, without its search for wrappers that transforms leave behind.
_apply_to_plain = super(Function, _SoftmaxLoss).apply


def _upstream(grad: Tensor) -> Any:
    """An upstream gradient as engines take it."""
    return grad.item() if grad.is_cpu and not grad.ndim else grad


def _loss_of_every_order(problem: SoftmaxProblem, logits: Tensor) -> list[Tensor]:
    """The loss of a problem with these logits, with derivatives of every order."""
    return [loss_by_autodiff(problem.with_logits(logits), statistics=_statistics_of_every_order)]


def _statistics_of_every_order(problem: SoftmaxProblem) -> RowStatistics:
    """The statistics with derivatives of every order: by the kernels where they have them, else by formulas."""
    settings, tensors = partition(*problem.of_rows, validate=False)
    if transforms.transforms_serve(settings, tensors):
        return transforms.statistics(settings, tensors)
    return find_statistics(problem, reference=True)


def overwritten(ctx: Any, logits: Tensor, axis: int) -> Tensor | None:
    """The logits as memory for their gradient, once; None if their entries do not lie apart."""
    if lay_out(TorchMemory, logits, axis).array is not logits or _share_memory(logits):
        return None
    if getattr(ctx, "spent", False):
        raise RuntimeError(
            "the logits of this loss were overwritten by their gradient (inplace=True); "
            "for a second backward pass leave inplace out"
        )
    ctx.spent = True
    over = logits.detach()
    torch.autograd.graph.increment_version(logits)
    return over


def _share_memory(x: Tensor) -> bool:
    """Whether elements of `x` may be the same places in memory, as those of an expanded tensor are."""
    reach = 0
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False
