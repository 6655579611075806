"""Gradients by PyTorch's autograd, where no kernel has them: with a graph of their own, or for a batch of upstreams."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def gradients(
    value: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    needs: Sequence[bool],
    upstream: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Differentiate ``value(*inputs)`` with respect to the inputs that `needs` marks; None for the others.

    The gradients have a graph if one is being recorded. An output whose upstream gradient is None is left out.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases, for one input may be computed from another: the gradient must not flow through that as well.
        aliases = [
            x.view_as(x) if x is not None and need else x for x, need in zip(inputs, needs, strict=True)
        ]
        outputs = value(*aliases)
    pairs = [(x, g) for x, g in zip(outputs, upstream, strict=True) if g is not None and x.requires_grad]
    learning = [x for x, need in zip(aliases, needs, strict=True) if x is not None and need]
    each = iter(
        torch.autograd.grad(
            [x for x, _ in pairs],
            learning,
            [g for _, g in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return [next(each) if need else None for need in needs]
