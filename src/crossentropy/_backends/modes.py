"""Tests of the mode that operations run in: at once, recorded by a compiler or an exporter, or traced by a transform.

PyTorch is asked only if it has been imported already, JAX likewise.
"""

import sys
from typing import Any

from crossentropy._backends.types import PYTHON_VALUES
from crossentropy._versions import torch_is_exporting

__all__ = [
    "is_compiling",
    "is_eager_mode",
    "is_exporting",
    "is_jax_tracer",
    "is_legacy_onnx_export",
    "is_nested_forward_mode",
    "is_recorded",
    "is_tracer",
    "only_differentiates",
]


def is_eager_mode() -> bool:
    """Tell whether PyTorch runs operations at once: not compiled, traced, transformed or differentiated forwards."""
    torch = sys.modules["torch"]
    return (
        not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch.autograd.forward_ad._current_level < 0
    )


def is_compiling() -> bool:
    """Tell whether `torch.compile` records operations; it takes custom operators, but no `jvp` of a Function."""
    torch = sys.modules["torch"]
    return torch.compiler.is_compiling() and not torch_is_exporting()


def is_exporting() -> bool:
    """Tell whether operations are recorded for a program without this package, of PyTorch's operators alone.

    This is so under `torch.export`, `torch.jit.trace` and the ONNX exporters, which are built on these.
    """
    torch = sys.modules["torch"]
    return torch_is_exporting() or torch.jit.is_tracing()


def is_legacy_onnx_export() -> bool:
    """Tell whether the older ONNX exporter, which is built on `torch.jit.trace`, records operations."""
    torch = sys.modules["torch"]
    return torch.jit.is_tracing() and torch.onnx.is_in_onnx_export()


def is_nested_forward_mode() -> bool:
    """Tell whether PyTorch takes forward derivatives of forward derivatives, of which an autograd Function loses one.

    In the `jvp` of a Function forward mode is off, so that an outer one sees constants, without a word.
    """
    functorch = sys.modules["torch"]._C._functorch
    return sum(level.key().name == "Jvp" for level in functorch.get_interpreter_stack() or ()) > 1


def only_differentiates() -> bool:
    """Tell whether functional transforms of PyTorch are active that all differentiate: `grad`, `vjp`, `jvp`, no `vmap`.

    Forward derivatives of forward derivatives are left out, and so is whatever a compiler or a tracer follows.
    """
    torch = sys.modules["torch"]
    if torch.compiler.is_compiling() or torch._C._is_tracing() or torch._C._len_torch_dispatch_stack():
        return False
    levels = torch._C._functorch.get_interpreter_stack() or ()
    differentiate = all(level.key().name in ("Grad", "Jvp") for level in levels)
    return bool(levels) and differentiate and not is_nested_forward_mode()


def is_recorded(x: Any) -> bool:
    """Tell whether operations on the tensor `x` are being recorded, to be run later with other values.

    This is so under `torch.compile`, `torch.export`, `torch.jit.trace` and `tf.function`, where sizes may be symbols or
    tensors, and a value read from a tensor would become a constant. For arrays of other libraries the answer is False.

    Examples
    --------
    >>> import numpy as np
    >>> is_recorded(np.ones(2))
    False
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return getattr(x, "is_traced", False)  # of TensorFlow's
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_jax_tracer(x: Any) -> bool:
    """Tell whether `x` is a number or an array whose value JAX does not know yet.

    Examples
    --------
    >>> is_jax_tracer(0.5)
    False
    """
    if isinstance(x, PYTHON_VALUES):  # first, for torch.compile cannot trace the rest
        return False
    tracer = getattr(getattr(sys.modules.get("jax"), "core", None), "Tracer", None)
    return tracer is not None and isinstance(x, tracer)


def is_tracer(x: Any) -> bool:
    """Tell whether `x` stands for values that a compiled or transformed function gets later.

    Examples
    --------
    >>> import numpy as np
    >>> is_tracer(np.ones(2))
    False
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return is_recorded(x) or torch._C._functorch.is_functorch_wrapped_tensor(x)
    return is_jax_tracer(x) or is_recorded(x)
