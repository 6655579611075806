"""The network, and the device it is trained on."""

from itertools import pairwise

import torch
from torch import nn

from crossentropy.training.errors import InputError


def build_network(inputs: int, hidden: tuple[int, ...], classes: int, seed: int) -> nn.Sequential:
    """Make a multilayer perceptron with ReLUs; without hidden layers, a linear model.

    The weights depend on `seed` alone, and the global random state is left as it was.
    """
    widths = [inputs, *hidden, classes]
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def choose_device(name: str) -> torch.device:
    """Find a device by name; ``"auto"`` is CUDA if available, else the CPU.

    Raises
    ------
    InputError
        If PyTorch has no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"PyTorch has no device {name!r} here.") from None
    return torch.device(name)
