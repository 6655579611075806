"""`Memory` for PyTorch tensors on the CPU."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor
from torch.autograd import forward_ad
from torch.jit._trace import is_tracing
from torch.nn import Parameter

from crossentropy._kernels import _native
from crossentropy._statistics.cpu.memory import LARGE
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

LOSSES = dict.fromkeys((torch.float32, torch.bfloat16, torch.float16), torch.float32) | {
    torch.float64: torch.float64
}  # the dtypes of losses, by those of logits
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

TENSORS = (Tensor, Parameter)
STRIDED = torch.strided
TARGETS = (LabelSet, OneHot, Probabilities, Sparse)
READY = frozenset(
    {*CODES, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
)  # of logits, labels and weights


def is_plain(x: Tensor, device_type: str = "cpu") -> bool:
    """Whether `x` is memory there and nothing else: no subclass, no transform, no trace, no view of negatives."""
    return (
        type(x) in TENSORS
        and x.device.type == device_type
        and x.layout is STRIDED
        and not x.is_nested
        and not x.is_neg()
        and not is_functorch_wrapped_tensor(x)
        and not is_legacy_batchedtensor(x)  # from is_grads_batched=True
    )


def are_ready(logits: Tensor, labels: Any, options: Sequence[Any]) -> bool:
    """Whether kernels on the CPU can take all these as they are; options may be None, numbers and words, too."""
    if not runs_plainly():
        return False
    given = (logits, *vars(labels).values()) if type(labels) in TARGETS else (logits, labels)
    for x in given:
        if not (
            hasattr(x, "dtype") or type(x) is bool
        ):  # that of soft labels says whether they are normalized
            return False
    for x in (*given, *options):
        if x is None or isinstance(x, (float, str, int)):
            continue
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
            return False
    return True


def runs_plainly() -> bool:
    """Whether operations are simply run: not compiled, transformed, traced or differentiated forwards."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and forward_ad._current_level < 0
    )


def is_compiled() -> bool:
    """Whether operations are recorded by `torch.compile`, which takes operators of our own but no jvp of a Function."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def is_exported() -> bool:
    """Whether operations are recorded for a program that runs without this package, of PyTorch's operators alone.

    That is under `torch.export`, `torch.jit.trace` and the exporters to ONNX, which are built on these.
    """
    return torch.compiler.is_exporting() or is_tracing()


CPU = torch.device("cpu")  # said of everything made there: the default device may be another


def large(shape: Sequence[int], dtype: torch.dtype, device: torch.device = CPU) -> Tensor:
    """Memory not yet written, for a large result."""
    nbytes = prod(shape) * dtype.itemsize
    if nbytes < LARGE or device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.frombuffer(_native.take_memory(nbytes), dtype=dtype).view(shape)


def rounded(value: float | Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in another dtype, or a number as one on the CPU; one that is too large for the dtype is infinite."""
    if isinstance(value, Tensor):
        return value.to(dtype)
    try:
        return torch.scalar_tensor(value, dtype=dtype, device=CPU)  # half the time of torch.tensor
    except RuntimeError:
        return torch.tensor(value, dtype=dtype, device=CPU)


class TorchMemory:
    """Tensors by address, which costs a tenth of a microsecond, where DLPack costs two."""

    codes: ClassVar[Mapping[Any, int]] = CODES
    address: ClassVar[Callable[[Tensor], int]] = staticmethod(Tensor.data_ptr)
    strides: ClassVar[Callable[[Tensor], tuple[int, ...]]] = staticmethod(Tensor.stride)

    @staticmethod
    def contiguous(x: Any, dtype: str | None = None) -> Tensor:
        tensor = x.detach() if isinstance(x, Tensor) else torch.as_tensor(x, device=CPU)
        return (tensor if dtype is None else tensor.to(DTYPES[dtype])).contiguous()

    @staticmethod
    def addressed(arrays: Sequence[Tensor | None], dtypes: Sequence[str]) -> tuple[list[Tensor], list[int]]:
        kept, addresses = [], [0] * len(arrays)
        for i, x in enumerate(arrays):
            if x is not None:
                dtype = DTYPES[dtypes[i]]
                x = (x if x.dtype is dtype else x.to(dtype)).contiguous()
                kept.append(x)
                addresses[i] = x.data_ptr()
        return kept, addresses

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

    threads: ClassVar[Callable[[], int]] = staticmethod(torch.get_num_threads)
