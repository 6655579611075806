import copy
import dataclasses

import pytest

from crossentropy.sklearn import Epoch
from crossentropy.training.remarks import remarks
from crossentropy.training.scores import Scores


def changed(run, epochs=((1.0, 0.5), (0.8, 0.4), (0.7, 0.45)), most=9, nats=0.1, stopped=False, other=None):
    """A run with these objectives of training and validation rows, limit on the epochs, and held-out log loss."""
    history = [
        Epoch(i, x, x, 0.9, validation, validation, 0.9) for i, (x, validation) in enumerate(epochs, 1)
    ]
    classifier = copy.copy(run.model.classifier)
    classifier.history_ = history
    classifier.best_epoch_ = min(history, key=lambda epoch: epoch.validation_objective).epoch
    return dataclasses.replace(
        run,
        options=dataclasses.replace(run.options, epochs=most),
        model=dataclasses.replace(run.model, classifier=classifier),
        scores=Scores(nats, 0.9),
        other_scores=other,
        stopped=stopped,
    )


def test_nothing_is_said_of_a_run_that_converged_below_the_baseline(iris_run):
    assert remarks(changed(iris_run)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"most": 2, "epochs": ((1.0, 0.5), (0.9, 0.4))},
            "epoch 2, the last that --epochs allows, is the best",
        ),
        ({"stopped": True, "most": 3}, "stopped after epoch 3; --resume goes on"),
        ({"nats": 1.2}, "no better than the baseline"),
        ({"epochs": ((1.0, 0.5), (250.0, 9.0), (0.7, 0.6))}, "rose from 1 in epoch 1 to 250 in epoch 2"),
        (
            {"epochs": ((90.0, 9.0), (80.0, 8.0), (70.0, 8.5))},
            "was 90 nats in epoch 1, and it is 1.099 nats if",
        ),
    ],
    ids=["not converged", "stopped", "worse than the baseline", "exploded", "exploded in epoch 1"],
)
def test_what_is_wrong_with_a_run_is_said_in_one_sentence_each(iris_run, change, words):
    (remark,) = remarks(changed(iris_run, **change))
    assert words in remark


def test_weights_of_classes_are_said_with_what_they_do_to_the_log_loss(iris_run):
    run = changed(iris_run, nats=1.2, other=Scores(0.25, 0.9))
    (remark,) = remarks(run)
    assert "weights in the loss (setosa 1, versicolor 1, virginica 1)" in remark
    assert "(--correct-weights), the log loss is 0.2500 nats" in remark


def test_with_weights_it_is_the_corrected_log_loss_that_is_compared_with_the_baseline(iris_run):
    _, remark = remarks(changed(iris_run, nats=0.1, other=Scores(1.2, 0.9)))
    assert "with the weights taken out, is" in remark


def test_without_weights_there_is_nothing_to_take_out_of_the_probabilities(iris_run):
    options = dataclasses.replace(iris_run.options, correct_weights=True, epochs=9)
    (remark,) = remarks(dataclasses.replace(changed(iris_run), options=options))
    assert remark.startswith("--correct-weights has no effect")
