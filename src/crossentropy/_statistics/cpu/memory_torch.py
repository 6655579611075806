"""`Memory` for PyTorch tensors on the CPU, and whether a tensor's memory may be addressed at all."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import array_api_compat.torch
import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor
from torch.nn import Parameter

from crossentropy._backends.modes import is_eager_mode
from crossentropy._kernels import COMPILED, _native
from crossentropy._statistics.cpu.memory import LARGE
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

# Dtypes of losses, by those of logits.
NAMESPACE: Any = array_api_compat.torch  # what `namespace` returns for tensors
LOSSES = {torch.float64: torch.float64} | dict.fromkeys(
    (torch.float32, torch.bfloat16, torch.float16), torch.float32
)
CODES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int64": torch.int64,
    "bool": torch.bool,
    "uint8": torch.uint8,
}
SINGLE, DOUBLE = torch.float32, torch.float64
# Numbers that are widened here: for fewer, PyTorch's conversion costs a fifth of the loss of 64 rows.
FEW = 4096

TENSORS = (Tensor, Parameter)
STRIDED = torch.strided
NO_ARRAYS = frozenset({type(None), float, int, bool, str})
TARGETS = (LabelSet, OneHot, Probabilities, Sparse)
# Dtypes of logits, labels and weights.
READY = frozenset({*CODES, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool})


def is_plain(x: Tensor, device_type: str = "cpu") -> bool:
    """Tell whether `x` is a dense strided tensor on that device, and its memory holds its numbers.

    No subclass, transform, batching or negative view, nor zeros without memory, which forward differentiation makes.
    """
    return (
        type(x) in TENSORS
        and (x.is_cpu if device_type == "cpu" else x.device.type == device_type)
        and x.layout is STRIDED
        and not x.is_nested
        and not x.is_neg()
        and not x._is_zerotensor()
        and not is_functorch_wrapped_tensor(x)
        and not is_legacy_batchedtensor(x)  # from is_grads_batched=True
    )


def is_constant(x: Any) -> bool:
    """Tell whether `x` is a plain tensor on the CPU without a gradient."""
    return isinstance(x, Tensor) and is_plain(x) and not x.requires_grad


def in_memory(x: Tensor) -> Tensor:
    """The same numbers in memory: zeros may have none, and those of a negative view have the other sign."""
    return x.clone() if x._is_zerotensor() or x.is_neg() else x


def innermost(x: Tensor) -> Tensor:
    """The tensor within the wrappers of functional transforms."""
    while is_functorch_wrapped_tensor(x):
        x = torch._C._functorch.get_unwrapped(x)
    return x


def are_readable(*tensors: Tensor | None) -> bool:
    """Tell whether the kernels of the CPU may read all of these tensors, of whatever dtype, by their addresses.

    There are kernels, no compiler, transform or tracer follows operations, and all tensors are plain.
    """
    return COMPILED and is_eager_mode() and all(x is None or is_plain(x) for x in tensors)


def are_positive(x: Tensor) -> bool:
    """Tell whether all numbers of a floating tensor in the CPU's memory are above 0, which NaN is not."""
    return (
        _native.all_positive(x.data_ptr(), CODES[x.dtype], x.numel())
        if x.is_contiguous()
        else bool((x > 0).all())
    )


def ready_tensors(logits: Tensor, labels: Any, options: tuple[Any, ...]) -> list[Tensor] | None:
    """The tensors besides the logits, if in eager mode kernels on the CPU can take all as they are, else None.

    Options may be None, numbers and words, too.
    """
    if not COMPILED:
        return None
    given = tuple(vars(labels).values()) if type(labels) in TARGETS else (labels,)
    if not NO_ARRAYS.issuperset(map(type, options)):
        given += options
    tensors = []
    for x in given:
        if type(x) in NO_ARRAYS:
            continue
        tensors.append(x)
    for x in (logits, *tensors):
        # `is_plain` written out, since a call for each array takes as long as the checks.
        if not (
            type(x) in TENSORS
            and x.is_cpu
            and x.dtype in READY
            and x.layout is STRIDED
            and not x.is_nested
            and not x.is_neg()
            and not is_functorch_wrapped_tensor(x)
            and not is_legacy_batchedtensor(x)
        ):
            return None
    return tensors


CPU = torch.device("cpu")  # always passed explicitly, for the default device may be another


def large(shape: Sequence[int], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """Allocate an uninitialized tensor, from reused memory if it is large and on the CPU."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE or device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.frombuffer(_native.acquire_memory(nbytes), dtype=dtype).view(shape)


def rounded(value: float | Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a tensor, or make a 0-d one on the CPU of a number; one too large for the dtype becomes infinite."""
    if not isinstance(value, float):
        return value.to(dtype)
    try:
        return torch.scalar_tensor(value, dtype=dtype, device=CPU)  # half the time of torch.tensor
    except RuntimeError:
        return torch.tensor(value, dtype=dtype, device=CPU)


class TorchMemory:
    """`Memory` for tensors, by `data_ptr`: a tenth of a microsecond, where DLPack takes two."""

    codes: ClassVar[Mapping[Any, int]] = CODES
    address: ClassVar[Callable[[Tensor], int]] = staticmethod(Tensor.data_ptr)
    strides: ClassVar[Callable[[Tensor], tuple[int, ...]]] = staticmethod(Tensor.stride)

    @staticmethod
    def contiguous(x: Any, dtype: str | None = None) -> Tensor:
        if dtype is None and isinstance(x, Tensor) and x.is_contiguous():
            return x  # the usual case, whose address is all that is wanted
        tensor = x.detach() if isinstance(x, Tensor) else torch.as_tensor(x, device=CPU)
        return (tensor if dtype is None else tensor.to(DTYPES[dtype])).contiguous()

    @staticmethod
    def addressed(arrays: Sequence[Tensor | None], dtypes: Sequence[str]) -> tuple[list[Any], list[int]]:
        kept, addresses = list[Any](), [0] * len(arrays)
        for i, x in enumerate(arrays):
            if x is None:
                continue
            dtype, own = DTYPES[dtypes[i]], x.dtype
            if own is SINGLE and dtype is DOUBLE and x.numel() <= FEW and x.is_contiguous():
                wide = _native.Widened(x.data_ptr(), x.numel())
                kept.append(wide)
                addresses[i] = wide.address
                continue
            x = (x if own is dtype else x.to(dtype)).contiguous()
            kept.append(x)
            addresses[i] = x.data_ptr()
        return kept, addresses

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Tensor:
        return torch.empty(shape, dtype=DTYPES[dtype], device=CPU)

    @staticmethod
    def empty_stack(n: int, shape: tuple[int, ...]) -> Sequence[Tensor]:
        return large((n, *shape), torch.float64).unbind()

    @staticmethod
    def empty_like(x: Tensor, dtype: str | None = None) -> Tensor:
        requested = x.dtype if dtype is None else DTYPES[dtype]
        if x.numel() * requested.itemsize < LARGE or x.device.type != "cpu":
            return torch.empty_like(x, dtype=requested)
        if x.is_contiguous():
            return large(x.shape, requested)
        stride = torch.empty_like(x, device="meta").stride()
        return large(x.shape, requested).as_strided(x.shape, stride)

    threads: ClassVar[Callable[[], int]] = staticmethod(torch.get_num_threads)

    @staticmethod
    def scalar(value: float, dtype: str) -> Tensor:
        return rounded(value, DTYPES[dtype])
