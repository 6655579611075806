"""With `apply`, no tensor of a step is nearly as large as the logits."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch.profiler import ProfilerActivity, profile

from crossentropy.transformers import apply
from tiny_transformers import make

V, TOKENS = 2048, 512


def largest(model):
    """The most bytes that a step of training allocates at once."""
    inputs = torch.randint(3, V, (1, TOKENS), generator=torch.Generator().manual_seed(0))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        model(input_ids=inputs, labels=inputs).loss.backward()
    events = seen.profiler.kineto_results.events()
    return max(event.nbytes() for event in events if event.name() == "[memory]")


@pytest.mark.parametrize("name", ["llama", "gemma 2"])
def test_the_largest_tensor_of_a_step_is_smaller_than_the_logits(name):
    def model():
        return make(name, vocab_size=V, max_position_embeddings=TOKENS, num_attention_heads=1).float()

    assert largest(model()) >= TOKENS * V * 4
    assert largest(apply(model(), memory_budget=64 * V * 4)) <= TOKENS * V
