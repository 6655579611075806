"""With `apply`, no tensor of a step is nearly as large as the logits."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from tiny_transformers import make
from torch.utils._python_dispatch import TorchDispatchMode

from crossentropy.transformers import apply

V, TOKENS = 2048, 512


class Largest(TorchDispatchMode):
    """The most numbers that a tensor had which an operation returned."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(result):
            if isinstance(x, torch.Tensor):
                self.numbers = max(self.numbers, x.numel())
        return result


def largest(model):
    inputs = torch.randint(3, V, (1, TOKENS), generator=torch.Generator().manual_seed(0))
    with Largest() as seen:
        model(input_ids=inputs, labels=inputs).loss.backward()
    return seen.numbers


@pytest.mark.parametrize("name", ["llama", "gemma 2"])
def test_the_largest_tensor_of_a_step_is_smaller_than_the_logits(name):
    def model():
        return make(name, vocab_size=V, max_position_embeddings=TOKENS, num_attention_heads=1).float()

    assert largest(model()) >= TOKENS * V
    assert largest(apply(model(), memory_budget=64 * V * 4)) <= TOKENS * V // 4
