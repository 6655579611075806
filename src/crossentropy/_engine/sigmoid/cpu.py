"""The sigmoid loss by the native kernel: arrays in the CPU's memory, cross-entropy and focal links.

One call forward and one back, for every library whose arrays `Memory` can address: PyTorch's and NumPy's.
"""

from math import prod
from typing import Any

from crossentropy._backends import Array
from crossentropy._backends.conditions import unravel
from crossentropy._backends.dtypes import dtype_name
from crossentropy._engine.reductions import check_least_weight, fixed_divisor, mean_of_totals
from crossentropy._engine.sigmoid.labels import binary_label_error
from crossentropy._engine.sigmoid.problem import Problem
from crossentropy._kernels import COMPILED, _native
from crossentropy._statistics.cpu.memory import Memory

FLOATS = {"float32": 0, "float64": 1, "bfloat16": 2, "float16": 3}
INTEGERS = {"int8": 4, "int16": 5, "int32": 6, "int64": 7}
ELEMENTS = {**FLOATS, **INTEGERS, **{f"u{name}": code for name, code in INTEGERS.items()}, "bool": 4}


def is_supported(problem: Problem) -> bool:
    """Whether the kernel has the links, the types and the denominator of `problem`."""
    options = problem.options
    return (
        COMPILED
        and options.gamma is not None
        and options.negative_gamma is not None
        and not options.divides_by_element
        and dtype_name(problem.logits) in FLOATS
        and dtype_name(problem.labels) in ELEMENTS
    )


def evaluate(problem: Problem, memory: type[Memory]) -> tuple[Array, float]:
    """The loss, a number or the losses of elements, and what its gradient is divided by."""
    options, logits = problem.options, problem.logits
    kernel, _arrays = _kernel(problem, memory)
    wide = memory.codes[logits.dtype] == FLOATS["float64"]
    dtype, losses, address = "float64" if wide else "float32", None, 0
    if options.reduction == "none":
        losses = memory.empty(logits.shape, dtype)
        address = memory.address(losses)
    total, weight, least_weight, invalid = _native.sigmoid_loss(kernel, address, memory.threads())
    if options.validate and invalid >= 0:
        raise binary_label_error(problem.labels, unravel(invalid, logits.shape))
    if losses is not None:
        return losses, 1.0
    if options.divides_by_weight:
        check_least_weight(least_weight)
    N = fixed_divisor(options.reduction, options.normalizer, prod(logits.shape), weighted=problem.is_weighted)
    value, divisor = mean_of_totals(total, weight if N is None else float(N), options.empty)
    return memory.scalar(value, dtype), divisor


def gradient(problem: Problem, upstream: Array, divisor: float, memory: type[Memory]) -> Array:
    """The gradient with respect to the logits; `upstream` has the shape of the loss."""
    kernel, arrays = _kernel(problem, memory)
    result = memory.empty_like(arrays[0])
    scale, address = 1.0, 0
    if problem.options.reduction == "none":
        upstream = memory.contiguous(upstream)
        address = memory.address(upstream)
    else:
        scale = float(upstream) / divisor
    _native.sigmoid_gradient(kernel, scale, address, memory.address(result), memory.threads())
    return result


def derivatives(problem: Problem, positive: bool, memory: type[Memory]) -> tuple[Array, Array]:
    """The first and second derivative of every element's loss, or without a negative shift a bound of the second."""
    kernel, arrays = _kernel(problem, memory)
    wide = memory.codes[arrays[0].dtype] == FLOATS["float64"]
    result = memory.empty((2, *problem.logits.shape), "float64" if wide else "float32")
    first = memory.address(result)
    second = first + prod(problem.logits.shape) * (8 if wide else 4)
    invalid = _native.sigmoid_derivatives(kernel, positive, first, second, memory.threads())
    if problem.options.validate and invalid >= 0:
        raise binary_label_error(problem.labels, unravel(invalid, problem.logits.shape))
    return result[0], result[1]


def _kernel(problem: Problem, memory: type[Memory]) -> tuple[Any, tuple[Any, ...]]:
    """`problem` as the kernel takes it, and the contiguous arrays whose addresses that has."""
    options = problem.options
    z, t = memory.contiguous(problem.logits), memory.contiguous(problem.labels)
    omega, positive, negative = problem.sample_weight, problem.positive_weight, problem.negative_weight
    omega, positive, negative = [
        None if x is None else memory.contiguous(x) for x in (omega, positive, negative)
    ]
    kernel = _native.SigmoidProblem(
        logits=memory.address(z),
        logits_type=memory.codes[z.dtype],
        labels=memory.address(t),
        labels_type=ELEMENTS[dtype_name(t)],
        size=prod(z.shape),
        classes=options.classes,
        inner=options.inner,
        sample_weight=0 if omega is None else memory.address(omega),
        weight_per_row=omega is not None and omega.ndim < z.ndim,
        positive_weight=0 if positive is None else memory.address(positive),
        negative_weight=0 if negative is None else memory.address(negative),
        smoothing=options.label_smoothing,
        positive_gamma=options.gamma or 0.0,
        negative_gamma=options.negative_gamma or 0.0,
        negative_shift=options.negative_shift,
    )
    return kernel, (z, t, omega, positive, negative)
