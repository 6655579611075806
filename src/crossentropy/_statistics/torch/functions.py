"""Autograd Functions that transforms can follow, applied without what only transforms need."""

from typing import Any

from torch._functorch.utils import unwrap_dead_wrappers
from torch.autograd.function import Function

from crossentropy._backends.modes import is_eager_mode

__all__ = ["applied"]


def applied(function: type[Function], *arguments: Any) -> Any:
    """Compute ``function.apply(*arguments)`` of a Function with a `setup_context`.

    For transforms PyTorch binds the arguments to the signature, which takes longer than a small matrix product.
    """
    if is_eager_mode():
        return super(Function, function).apply(*unwrap_dead_wrappers(arguments))  # type: ignore[misc]  # it is of C
    return function.apply(*arguments)
