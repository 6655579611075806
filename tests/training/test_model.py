import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.model import build_network, choose_device


def test_the_seed_decides_the_weights_and_the_global_random_state_stays():
    state = torch.get_rng_state()
    first, again, other = (build_network(3, (4,), 2, seed)[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_hidden_layers_the_network_is_linear():
    (layer,) = build_network(3, (), 2, 0)
    assert layer.weight.shape == (2, 3)


def test_auto_is_a_device_that_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match="has no device"):
        choose_device(name)
