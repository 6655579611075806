"""The network, and the device that it is trained on."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from crossentropy.sklearn._products import exact_product

__all__ = ["build_network", "choose_device", "logits_in_double", "network_of_state", "widths_of"]

#: rows that are passed through the network at once where no gradient is needed: bounds the memory of hidden layers
ROWS_AT_ONCE = 8192
#: inputs that are converted to float64, and split for exact products, at once
INPUTS_AT_ONCE = 1 << 20


def build_network(widths: list[int], dropout: float, seed: int) -> nn.Sequential:
    """Make a multilayer perceptron with ReLUs, on the CPU; with two widths, a linear model.

    The weights are PyTorch's own; they depend on `seed` alone, and the global random state is left as it was.

    Parameters
    ----------
    widths : list of int
        Number of inputs, widths of the hidden layers, number of classes.
    dropout : float
        Share of a hidden layer's outputs that is set to 0 in training.
    seed : int
    """
    # The dropout is inside the activation, so that the names of the parameters do not depend on it.
    activation = nn.Sequential(nn.ReLU(), nn.Dropout(dropout)) if dropout else nn.ReLU()
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), activation]
    return nn.Sequential(*layers[:-1])


def network_of_state(state: Mapping[str, Tensor], dropout: float) -> nn.Sequential:
    """Make a network with the parameters of another, whose widths are read from their shapes."""
    network = build_network(_widths(state), dropout, 0)
    network.load_state_dict(state)
    return network


def widths_of(network: nn.Module) -> list[int]:
    """Return the number of inputs, the widths of the hidden layers and the number of classes."""
    return _widths(network.state_dict())


def _widths(state: Mapping[str, Tensor]) -> list[int]:
    weights = [value for name, value in state.items() if name.endswith("weight")]
    return [weights[0].shape[1], *(weight.shape[0] for weight in weights)]


def logits_in_double(network: nn.Module, inputs: Tensor) -> Tensor:
    """Compute the logits (rows, C) of inputs (rows, features) on the CPU, float64, without a gradient.

    A row has the same logits, to the bit, whatever rows are passed with it (see `exact_product`).
    """
    device = next(network.parameters()).device
    network.eval()
    parts = []
    rows = min(ROWS_AT_ONCE, max(1, INPUTS_AT_ONCE // inputs.shape[1]))
    with torch.no_grad():
        for part in inputs.split(rows):
            values = part.to(device).double()
            for layer in network.children():
                if isinstance(layer, nn.Linear):
                    values = exact_product(values, layer.weight.double()) + layer.bias.double()
                else:
                    values = layer(values)
            parts.append(values.cpu())
    return torch.cat(parts)


def choose_device(name: str) -> torch.device:
    """Find a device by name; ``"auto"`` is CUDA if available, else the CPU.

    Raises
    ------
    ValueError
        If PyTorch has no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise ValueError(
            f"device is {name!r}, which PyTorch does not have here; pass 'cpu', or 'auto' for CUDA if available"
        ) from None
    return device
