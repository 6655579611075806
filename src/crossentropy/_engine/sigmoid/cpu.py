"""The sigmoid loss by the native kernel: contiguous arrays on the CPU, cross-entropy and focal links."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from crossentropy._backends import loss_dtype
from crossentropy._engine.checks import dtype_name
from crossentropy._engine.reductions import negative_weight_error, of_nothing
from crossentropy._engine.sigmoid.problem import Problem, label_error
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.links.cross_entropy import focal_gamma

Array = Any

FLOATS = {"float32": 0, "float64": 1, "bfloat16": 2, "float16": 3}
INTEGERS = {"int8": 4, "int16": 5, "int32": 6, "int64": 7}
ELEMENTS = {**FLOATS, **INTEGERS, **{f"u{name}": code for name, code in INTEGERS.items()}, "bool": 4}


def is_supported(problem: Problem) -> bool:
    """Whether the kernel has the links and types of `problem`."""
    options = problem.options
    return (
        focal_gamma(options.link) is not None
        and focal_gamma(options.negative_link) is not None
        and not options.divides_by_element
        and dtype_name(problem.logits) in FLOATS
        and dtype_name(problem.labels) in ELEMENTS
    )


def kernel_problem(problem: Problem, address: Callable[[Array], int]) -> Any:
    """`problem`, whose arrays are contiguous, as the kernel takes it. The arrays have to be kept alive."""
    options = problem.options
    return _native.SigmoidProblem(
        logits=address(problem.logits),
        logits_type=ELEMENTS[dtype_name(problem.logits)],
        labels=address(problem.labels),
        labels_type=ELEMENTS[dtype_name(problem.labels)],
        size=math.prod(problem.logits.shape),
        classes=options.classes,
        inner=options.inner,
        sample_weight=0 if problem.sample_weight is None else address(problem.sample_weight),
        weight_per_row=problem.weight_per_row,
        positive_weight=0 if options.positive_weight is None else address(options.positive_weight),
        negative_weight=0 if options.negative_weight is None else address(options.negative_weight),
        smoothing=options.label_smoothing,
        positive_gamma=focal_gamma(options.link) or 0.0,
        negative_gamma=focal_gamma(options.negative_link) or 0.0,
        negative_shift=options.negative_shift,
    )


def run_forward(problem: Problem, kernel: Any, losses: int, threads: int) -> tuple[float, float]:
    """The loss, if it is one number, and what the gradient is divided by; element losses go to an address."""
    options = problem.options
    loss, weight, least_weight, invalid = _native.sigmoid_loss(kernel, losses, threads)
    if options.validate and invalid >= 0:
        raise label_error(problem.labels, _place(invalid, problem.logits.shape))
    if options.reduction != "mean":
        return loss, 1.0
    if options.divides_by_weight and least_weight < 0:
        raise negative_weight_error(least_weight)
    if options.divides_by_weight and problem.is_weighted:
        divisor = weight
    elif isinstance(options.normalizer, str):
        divisor = float(math.prod(problem.logits.shape))
    else:
        divisor = float(options.normalizer)
    if divisor == 0:
        return of_nothing(options.empty), math.inf
    return loss / divisor, divisor


def _place(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, tuple(shape)))


def numpy_loss(problem: Problem) -> tuple[Array, Callable[[Array], Array]]:
    """The loss of NumPy arrays, and what takes the gradient by it to that by the logits."""
    contiguous = Problem(
        np.ascontiguousarray(problem.logits).reshape(problem.logits.shape),
        np.ascontiguousarray(problem.labels).reshape(problem.logits.shape),
        None if problem.sample_weight is None else np.ascontiguousarray(problem.sample_weight),
        problem.options,
    )
    kernel = kernel_problem(contiguous, NumpyMemory.address)
    dtype = loss_dtype(problem.logits)
    losses = np.empty(problem.logits.shape, dtype) if problem.options.reduction == "none" else None
    address = 0 if losses is None else NumpyMemory.address(losses)
    value, divisor = run_forward(contiguous, kernel, address, NumpyMemory.threads())

    def gradient(upstream: Array) -> Array:
        result = NumpyMemory.empty_like(contiguous.logits)
        each = np.ascontiguousarray(upstream, dtype) if losses is not None else None
        scale, address = (float(upstream) / divisor, 0) if each is None else (1.0, NumpyMemory.address(each))
        _native.sigmoid_gradient(kernel, scale, address, NumpyMemory.address(result), NumpyMemory.threads())
        return result

    return (np.asarray(value, dtype)[()] if losses is None else losses), gradient
