"""The sigmoid loss by the native kernel: arrays in the CPU's memory, cross-entropy and focal links.

One call forward and one back, for every library whose arrays `Memory` can address: PyTorch's and NumPy's.
"""

from functools import cache
from math import prod
from typing import Any

from crossentropy._backends import Array
from crossentropy._backends.conditions import unravel
from crossentropy._engine.reductions import fixed_divisor, mean_of_totals, negative_weight_error
from crossentropy._engine.sigmoid.problem import Problem, label_error
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import Memory
from crossentropy.links.cross_entropy import focal_gamma

FLOATS = {"float32": 0, "float64": 1, "bfloat16": 2, "float16": 3}
INTEGERS = {"int8": 4, "int16": 5, "int32": 6, "int64": 7}
ELEMENTS = {**FLOATS, **INTEGERS, **{f"u{name}": code for name, code in INTEGERS.items()}, "bool": 4}


def is_supported(problem: Problem) -> bool:
    """Whether the kernel has the links, the types and the denominator of `problem`."""
    options = problem.options
    return (
        focal_gamma(options.link) is not None
        and focal_gamma(options.negative_link) is not None
        and not options.divides_by_element
        and 0 <= _element(problem.logits.dtype) < len(FLOATS)
        and _element(problem.labels.dtype) >= 0
    )


def evaluate(problem: Problem, memory: type[Memory]) -> tuple[float | Array, float]:
    """The loss, a number or an array of elements, and what its gradient is divided by."""
    options, logits = problem.options, problem.logits
    kernel, _arrays = _kernel(problem, memory)
    losses = None
    if options.reduction == "none":
        wide = _element(logits.dtype) == FLOATS["float64"]
        losses = memory.empty(tuple(logits.shape), "float64" if wide else "float32")
    total, weight, least_weight, invalid = _native.sigmoid_loss(
        kernel, 0 if losses is None else memory.address(losses), memory.threads()
    )
    if options.validate and invalid >= 0:
        raise label_error(problem.labels, unravel(invalid, logits.shape))
    if losses is not None:
        return losses, 1.0
    if options.divides_by_weight and least_weight < 0:
        raise negative_weight_error(least_weight)
    N = fixed_divisor(options.reduction, options.normalizer, prod(logits.shape), weighted=problem.is_weighted)
    return mean_of_totals(total, weight if N is None else float(N), options.empty)


def gradient(problem: Problem, upstream: Array | float, divisor: float, memory: type[Memory]) -> Array:
    """The gradient with respect to the logits; `upstream` is a number, or one for each element's loss."""
    kernel, arrays = _kernel(problem, memory)
    result = memory.empty_like(arrays[0])
    scale, each = 1.0, None
    if problem.options.reduction == "none":
        each = memory.contiguous(upstream)
    else:
        scale = float(upstream) / divisor
    _native.sigmoid_gradient(
        kernel, scale, 0 if each is None else memory.address(each), memory.address(result), memory.threads()
    )
    return result


def _kernel(problem: Problem, memory: type[Memory]) -> tuple[Any, list[Array | None]]:
    """`problem` as the kernel takes it, and the contiguous arrays whose addresses that has."""
    options, logits = problem.options, problem.logits
    arrays = [
        None if x is None else memory.contiguous(x)
        for x in (
            *(logits, problem.labels, problem.sample_weight),
            *(options.positive_weight, options.negative_weight),
        )
    ]
    z, t, omega, positive, negative = (0 if x is None else memory.address(x) for x in arrays)
    kernel = _native.SigmoidProblem(
        logits=z,
        logits_type=_element(logits.dtype),
        labels=t,
        labels_type=_element(problem.labels.dtype),
        size=prod(logits.shape),
        classes=options.classes,
        inner=options.inner,
        sample_weight=omega,
        weight_per_row=problem.weight_per_row,
        positive_weight=positive,
        negative_weight=negative,
        smoothing=options.label_smoothing,
        positive_gamma=focal_gamma(options.link) or 0.0,
        negative_gamma=focal_gamma(options.negative_link) or 0.0,
        negative_shift=options.negative_shift,
    )
    return kernel, arrays


@cache
def _element(dtype: Any) -> int:
    """The kernel's number of a library's dtype; −1 where it has none."""
    return ELEMENTS.get(str(dtype).rpartition(".")[2], -1)
