"""Sampling of text from a model."""

from collections.abc import Sequence

import torch

from crossentropy.training.language.model import Transformer

TEMPERATURE = 0.8


@torch.no_grad()
def sample_tokens(
    model: Transformer, prompt: Sequence[int], context: int, length: int, seed: int
) -> list[int]:
    """Draw `length` tokens one by one after those of the `prompt`, from the softmax at a temperature of 0.8."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    tokens = list(prompt)
    for _ in range(length):
        hidden = model(torch.tensor([tokens[-context:]]))[0, -1]
        probabilities = torch.softmax(hidden @ model.weight.T / TEMPERATURE, dim=0)
        tokens.append(int(torch.multinomial(probabilities, 1, generator=generator)))
    return tokens[len(prompt) :]
