"""With the options that come by default, the held-out scores are good ones, whatever the seed."""

import numpy as np
import pytest

from crossentropy.training.data import load_dataset
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare


def held_out_losses(data: str) -> np.ndarray:
    dataset = load_dataset(data)
    options = [Options(data=data, seed=seed) for seed in range(10)]
    return np.array([train(prepare(dataset, each), each).scores.nats for each in options])


@pytest.mark.full
def test_digits_are_told_apart_within_a_tenth_of_a_nat():
    losses = held_out_losses("digits")
    assert losses.mean() <= 0.10
    assert losses.max() <= 0.15


def test_breast_cancer_is_recognized_within_0_11_nats():
    assert held_out_losses("breast_cancer").mean() <= 0.11
