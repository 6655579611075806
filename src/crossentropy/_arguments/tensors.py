"""Calls with tensors of TensorFlow, which follow no array API: they are wrapped for the call, and results unwrapped."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from crossentropy._backends import is_torch

__all__ = ["are_among", "call"]


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
            if are_among(x):
                return True
        elif (
            not is_torch(x)
            and is_dataclass(kind)
            and are_among(getattr(x, field.name, None) for field in fields(kind))
        ):
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
