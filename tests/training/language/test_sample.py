import pytest
import torch

from crossentropy.training.language.model import Shape, build_transformer
from crossentropy.training.language.sample import TEMPERATURE, sample_tokens


@pytest.fixture
def model():
    return build_transformer(Shape(vocabulary=5, context=4, layers=1, width=8, heads=2), seed=0)


def test_the_seed_decides_the_sample(model):
    first, again, other = (sample_tokens(model, [0], 4, 30, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(first) == 30


def test_tokens_are_drawn_from_the_models_chances_at_the_temperature(model):
    torch.nn.init.normal_(model.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    drawn = torch.tensor([sample_tokens(model, [0], 4, 1, seed)[0] for seed in range(2000)])
    logits = model(torch.tensor([[0]]))[0, -1] @ model.weight.T
    chances, at_one = torch.softmax(logits / TEMPERATURE, dim=0), torch.softmax(logits, dim=0)
    assert (chances - at_one).abs().max() > 0.05
    shares = torch.bincount(drawn, minlength=5) / 2000
    assert (shares - chances).abs().max() < 0.04  # four standard deviations
