"""Messages about values that are not known until a compiled program runs."""

import sys
import warnings

from crossentropy._backends import Array, is_jax, is_tensorflow

__all__ = ["say_when"]


def say_when(flag: Array, message: str) -> None:
    """Say `message` if an array of one bool turns out to be true when the traced program that computes it runs.

    A program of TensorFlow then fails with the message, but one that XLA compiles cannot speak. JAX warns. PyTorch's
    compiled programs say nothing.

    Examples
    --------
    >>> import numpy as np
    >>> say_when(np.asarray(True), "an array whose value is known already")
    """
    if is_tensorflow(flag):
        sys.modules["tensorflow"].debugging.Assert(~flag.value, [message])
    elif is_jax(flag):
        sys.modules["jax"].debug.callback(_warn, flag, message=message)


def _warn(flag: Array, *, message: str) -> None:
    """Warn, which Python does once for each message."""
    if flag:
        warnings.warn(message, stacklevel=1)
