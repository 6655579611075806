"""`Memory` for PyTorch tensors on the CPU, and whether a tensor's memory may be addressed at all."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from crossentropy._backends.modes import is_eager_mode
from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import LARGE

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


def is_plain(x: Tensor, device_type: str = "cpu") -> bool:
    """Tell whether `x` is a dense strided tensor on that device: no subclass, transform, batching or negative view."""
    return (
        type(x) in (Tensor, Parameter)
        and x.device.type == device_type
        and x.layout is torch.strided
        and not x.is_nested
        and not x.is_neg()
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and not torch._C._functorch.is_legacy_batchedtensor(x)  # from is_grads_batched=True
    )


runs_plainly = is_eager_mode

CPU = torch.device("cpu")  # always passed explicitly, for the default device may be another


def large(shape: Sequence[int], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """Allocate an uninitialized tensor, from reused memory if it is large and on the CPU."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE or device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.frombuffer(_native.acquire_memory(nbytes), dtype=dtype).view(shape)


def scalar(value: float, dtype: torch.dtype) -> Tensor:
    """Make a 0-d tensor on the CPU; a value too large for the dtype becomes infinite."""
    try:
        return torch.scalar_tensor(value, dtype=dtype, device=CPU)  # half the time of torch.tensor
    except RuntimeError:
        return torch.tensor(value, dtype=dtype, device=CPU)


class TorchMemory:
    """`Memory` for tensors, by `data_ptr`: a tenth of a microsecond, where DLPack takes two."""

    @staticmethod
    def code(x: Tensor) -> int:
        return CODES[x.dtype]

    @staticmethod
    def address(x: Tensor) -> int:
        return x.data_ptr()

    @staticmethod
    def strides(x: Tensor) -> tuple[int, ...]:
        return x.stride()

    @staticmethod
    def contiguous(x: Any, dtype: str | None = None) -> Tensor:
        if dtype is None and isinstance(x, Tensor) and x.is_contiguous():
            return x  # the usual case, whose address is all that is wanted
        tensor = x.detach() if isinstance(x, Tensor) else torch.as_tensor(x, device=CPU)
        return (tensor if dtype is None else tensor.to(DTYPES[dtype])).contiguous()

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: str) -> Tensor:
        return torch.empty(shape, dtype=DTYPES[dtype], device=CPU)

    @staticmethod
    def planes(n: int, shape: tuple[int, ...]) -> Sequence[Tensor]:
        return large((n, *shape), torch.float64).unbind()

    @staticmethod
    def empty_like(x: Tensor, dtype: str | None = None) -> Tensor:
        wanted = x.dtype if dtype is None else DTYPES[dtype]
        if x.numel() * wanted.itemsize < LARGE or x.device.type != "cpu":
            return torch.empty_like(x, dtype=wanted)
        if x.is_contiguous():
            return large(x.shape, wanted)
        stride = torch.empty_like(x, device="meta").stride()
        return large(x.shape, wanted).as_strided(x.shape, stride)

    @staticmethod
    def scalar(value: float, dtype: str) -> Tensor:
        return scalar(value, DTYPES[dtype])

    @staticmethod
    def threads() -> int:
        return torch.get_num_threads()
