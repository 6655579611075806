"""The sigmoid loss by the Triton kernels: tensors on a GPU, in any layout, cross-entropy and focal links.

Nothing waits for the device, but for ``empty="raise"``: labels are not checked, and an integer other than 0 and 1
gives NaN.
"""

import torch
from torch import Tensor

from crossentropy._engine.reductions import check_divisor, fixed_divisor, value_of_nothing
from crossentropy._engine.sigmoid.problem import Problem
from crossentropy._kernels.triton.means import Mean
from crossentropy._kernels.triton.sigmoid import Elements, Formula, element_losses, mean_loss
from crossentropy._kernels.triton.sigmoid import gradient as kernel_gradient


def loss(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """The loss and, if it is one number, what its gradient is divided by."""
    options, elements, formula = problem.options, _elements(problem), _formula(problem)
    if options.reduction == "none":
        return element_losses(elements, formula), None
    mean = Mean(_divisor(problem), value_of_nothing(options.empty))
    value, divisor = mean_loss(elements, formula, mean)
    check_divisor(divisor, options.empty)
    return value, divisor


def gradient(problem: Problem, upstream: Tensor, divisor: Tensor | None) -> Tensor:
    """With respect to the logits."""
    return kernel_gradient(_elements(problem), _formula(problem), upstream, divisor)


def _elements(problem: Problem) -> Elements:
    logits, options = problem.logits, problem.options
    sample_weight = problem.sample_weight
    if sample_weight is not None and problem.weight_per_row:
        sample_weight = sample_weight.unsqueeze(options.axis).expand(logits.shape)

    def of_classes(vector: Tensor | None) -> Tensor | None:
        if vector is None:
            return None
        after = (1,) * (logits.ndim - options.axis - 1)
        return vector.reshape((options.classes, *after) if logits.ndim else ()).expand(logits.shape)

    labels = problem.labels
    return Elements(
        logits,
        labels.view(torch.uint8) if labels.dtype == torch.bool else labels,
        sample_weight,
        of_classes(problem.positive_weight),
        of_classes(problem.negative_weight),
    )


def _formula(problem: Problem) -> Formula:
    options = problem.options
    return Formula(
        options.label_smoothing,
        options.gamma or 0.0,
        options.negative_gamma or 0.0,
        options.negative_shift,
    )


def _divisor(problem: Problem) -> float | Tensor | None:
    """``N`` beside the logits; None where the kernel is to sum the weights."""
    options, logits = problem.options, problem.logits
    N = fixed_divisor(
        options.reduction, options.normalizer, float(logits.numel()), weighted=problem.is_weighted
    )
    return N.to(logits.device) if isinstance(N, Tensor) else N if N is None else float(N)
