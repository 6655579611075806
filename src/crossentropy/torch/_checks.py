"""Checks of arguments before anything is computed: kinds of values, shapes of weights."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

COUNTS = "torch.bincount(labels, minlength=C)"


def check_tensor(input: Any, name: str = "input") -> None:
    """Raise TypeError unless `input`, the argument of this name, is a tensor."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{name} is a {type(input).__module__}.{type(input).__name__}; pass a tensor, torch.as_tensor({name}), "
            "or use crossentropy's functions of the same kind, which take NumPy arrays too"
        )


def check_weight(name: str, weight: Any) -> None:
    """Raise TypeError unless a weight is a tensor, an array, a list or None: no dict or word as in scikit-learn."""
    if weight is None or isinstance(weight, (Tensor, np.ndarray, list, tuple)):
        return
    if isinstance(weight, dict):
        raise TypeError(
            f"{name} is a dict; pass the numbers alone, in the order of the classes: "
            f"{name}=torch.tensor([d[c] for c in range(len(d))]) of the dict d"
        )
    if isinstance(weight, str):
        raise TypeError(
            f"{name} is {weight!r}, a word that scikit-learn knows; pass the numbers: "
            f"{name}=crossentropy.losses.balanced_weights({COUNTS}) of the training labels and C classes"
        )
    raise TypeError(
        f"{name} is a {type(weight).__module__}.{type(weight).__name__}; pass a tensor of numbers, one for each class"
    )


def set_by_itself(name: str, option: str, other: str) -> TypeError:
    """Build the error for an option that a loss sets itself; `other` is the loss that takes any."""
    return TypeError(f"{name} has no option {option}, which it sets itself; {other} takes it")


def as_weight(weight: Any) -> Tensor | None:
    """Convert a weight to a tensor; None passes."""
    return weight if weight is None or isinstance(weight, Tensor) else torch.as_tensor(weight)


def broadcast(name: str, weight: Any, input: Tensor) -> Tensor | None:
    """Expand a weight to the shape of `input`, or raise ValueError."""
    check_weight(name, weight)
    weight = as_weight(weight)
    if weight is None:
        return None
    try:
        return weight.expand_as(input)
    except RuntimeError:
        raise ValueError(
            f"{name} has shape {tuple(weight.shape)}, which does not broadcast to the input's {tuple(input.shape)}"
            f"{_advice(name, weight, input)}"
        ) from None


def _advice(name: str, weight: Tensor, input: Tensor) -> str:
    """Advise how to pass a vector that belongs to an axis other than the last one."""
    fitting = [axis for axis in range(input.ndim - 1) if weight.shape == input.shape[axis : axis + 1]]
    if not fitting:
        return ""
    axis = 1 if 1 in fitting else fitting[0]
    view = ", ".join(["-1"] + ["1"] * (input.ndim - 1 - axis))
    keyword = "pos_weight" if name == "pos_weight" else "class_weight"
    return (
        f": its axis is set against the input's last. For an entry for each place on axis {axis} pass "
        f"{name}={name}.view({view}), or use crossentropy.sigmoid_cross_entropy({keyword}={name}, axis={axis})"
    )
