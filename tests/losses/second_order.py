"""Derivatives of gradients by PyTorch, for tests of second derivatives."""

import torch


def derivatives(function, z, upstream, v):
    """Of ``v · upstream · ∂ℓ/∂z`` by the logits and the upstream gradient, and of the former's square."""
    z, upstream = z.clone().requires_grad_(), upstream.clone().requires_grad_()
    (slope,) = torch.autograd.grad(function(z), z, upstream, create_graph=True)
    second, by_upstream = torch.autograd.grad((slope * v).sum(), [z, upstream], retain_graph=True)
    (graphed,) = torch.autograd.grad((slope * v).sum(), z, create_graph=True)
    (third,) = torch.autograd.grad((graphed**2).sum(), z)
    return slope.detach(), second, by_upstream, third
