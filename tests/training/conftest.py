"""A finished run, small enough to be made once for all the tests that look at one."""

import pytest

from crossentropy.training.data import load_dataset
from crossentropy.training.experiment import Run, train
from crossentropy.training.options import Options


@pytest.fixture(scope="session")
def iris_run() -> Run:
    options = Options(data="iris", hidden=(16,), epochs=8, learning_rate=0.01)
    return train(load_dataset("iris"), options)
