import dataclasses

import pytest
import torch

from crossentropy.training.language.model import Shape, build_transformer

SHAPE = Shape(vocabulary=11, context=6, layers=2, width=8, heads=2)
TOKENS = torch.tensor([[1, 2, 3, 4, 5, 6]])


@pytest.fixture
def model():
    return build_transformer(SHAPE, seed=0).eval()


def test_the_seed_decides_the_weights_and_the_global_random_state_stays():
    state = torch.get_rng_state()
    first, again, other = (build_transformer(SHAPE, seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("place", range(6))
def test_a_hidden_state_depends_on_its_token_and_those_before_and_no_later_one(model, place):
    other = TOKENS.clone()
    other[0, place] = 9
    differs = (model(TOKENS) != model(other)).any(dim=-1)[0]
    assert differs.tolist() == [i >= place for i in range(6)]


@pytest.fixture
def attention():
    """The attention of a layer, sharp enough to tell its tokens apart."""
    model = build_transformer(dataclasses.replace(SHAPE, layers=1), seed=0)
    block = model.blocks[0]
    torch.nn.init.normal_(block.queries_keys_values.weight, generator=torch.Generator().manual_seed(1))
    hidden = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    return lambda order, first: block.attend(hidden[:, order], turns(model.angles + first * model.angles[1]))


def turns(angles):
    return angles.cos(), angles.sin()


def test_the_order_of_earlier_tokens_counts(attention):
    straight, swapped = (attention(order, 0)[0, -1] for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5]))
    assert (straight - swapped).abs().max() > 1e-3


def test_attention_sees_distances_and_not_places(attention):
    torch.testing.assert_close(attention(range(6), 0), attention(range(6), 3))


def test_the_embedding_is_the_output_layer(model):
    assert [name for name, p in model.named_parameters() if SHAPE.vocabulary in p.shape] == [
        "embedding.weight"
    ]


def test_an_untrained_model_gives_every_token_nearly_the_same_chance(model):
    log_p = torch.log_softmax(model(TOKENS) @ model.weight.T, dim=-1)
    torch.testing.assert_close(log_p, torch.full_like(log_p, 1 / 11).log(), atol=0.3, rtol=0)
