"""Calls with tensors of TensorFlow, which follow no array API: they are wrapped for the call, and results unwrapped."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["are_in_call", "call"]


def are_in_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether a tensor or a variable of TensorFlow is among the arguments of a call.

    Never while PyTorch compiles, which could not trace the search.

    Examples
    --------
    >>> are_in_call(([0.5], [1]), {})
    False
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.compiler.is_compiling():
        return False
    return are_among(args) or are_among(kwargs.values())


def are_among(arguments: Iterable[Any]) -> bool:
    """Tell whether a tensor or a variable of TensorFlow is among arguments, or inside a target, a link or a list.

    Examples
    --------
    >>> are_among(([0.5], 1))
    False
    """
    for x in arguments:
        kind = type(x)
        if hasattr(kind, "__tf_tensor__") or (
            hasattr(kind, "assign_add") and "tensorflow" in kind.__module__
        ):
            return True
        if kind in (tuple, list):
            inside: Iterable[Any] = x
        else:
            inside = [getattr(x, f.name, None) for f in fields(kind)] if is_dataclass(kind) else ()
        if inside and are_among(inside):
            return True
    return False


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function with its tensors wrapped, and return what it returns with tensors in their place.

    A loss of eager logits on the CPU and labels without a gradient is computed by the kernels for NumPy. What has
    attributes that compute arrays, such as target statistics, has a method `mapped`, which takes the function that
    unwraps them.
    """
    from crossentropy._backends import tensorflow_eager
    from crossentropy._backends.tensorflow import unwrapped, wrapped

    if len(args) == 2 and not are_among(kwargs.values()) and tensorflow_eager.serves(*args):
        loss = tensorflow_eager.loss(function, *args, kwargs)
        if loss is not None:
            return loss
    result = function(*wrapped(args), **{name: wrapped(value) for name, value in kwargs.items()})
    return result.mapped(unwrapped) if hasattr(result, "mapped") else unwrapped(result)
