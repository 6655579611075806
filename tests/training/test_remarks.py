import dataclasses

import pytest

from crossentropy.training.fit import Epoch
from crossentropy.training.remarks import remarks
from crossentropy.training.scores import Scores


def changed(run, epochs=((1.0, 0.5), (0.8, 0.4), (0.7, 0.45)), most=9, nats=0.1):
    """A run with these objectives and validation losses, this limit on the epochs, and this held-out log loss."""
    history = [Epoch(i, x, x, validation, 0.9) for i, (x, validation) in enumerate(epochs, start=1)]
    options = dataclasses.replace(run.options, epochs=most)
    return dataclasses.replace(run, options=options, history=history, scores=Scores(nats, 0.9))


def test_nothing_is_said_of_a_run_that_converged_below_the_baseline(iris_run):
    assert remarks(changed(iris_run)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"most": 2, "epochs": ((1.0, 0.5), (0.9, 0.4))},
            "epoch 2, the last that --epochs allows, is the best",
        ),
        ({"nats": 1.2}, "no better than the baseline"),
        ({"epochs": ((1.0, 0.5), (250.0, 9.0), (0.7, 0.6))}, "rose from 1 in epoch 1 to 250 in epoch 2"),
    ],
    ids=["not converged", "worse than the baseline", "exploded"],
)
def test_what_is_wrong_with_a_run_is_said_in_one_sentence_each(iris_run, change, words):
    (remark,) = remarks(changed(iris_run, **change))
    assert words in remark
