"""The search of options on the validation rows."""

import math

import pytest

from crossentropy.training import tuning as module
from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare
from crossentropy.training.trials import found
from crossentropy.training.tuning import tune

OPTIONS = Options(data="iris", loss="focal(label_smoothing=0.1)", hidden=(8,), epochs=2, seed=3)


def iris(options=OPTIONS):
    return prepare(load_dataset("iris"), options)


@pytest.fixture(scope="module")
def tuning():
    return tune(iris(), OPTIONS, 5)


def chosen(tuning):
    return [trial.options for trial in tuning.trials]


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(tuning):
    assert chosen(tune(iris(), OPTIONS, 3)) == chosen(tuning)[:3]
    other = Options(**{**vars(OPTIONS), "seed": 4})
    drawn = chosen(tune(iris(other), other, 2))[1]
    assert drawn.learning_rate != chosen(tuning)[1].learning_rate


def test_the_held_out_rows_have_no_part_in_it(tuning):
    dataset = load_dataset("iris")
    held_out = prepare(dataset, OPTIONS).split.test
    dataset.features.iloc[held_out] = 1e6
    assert chosen(tune(prepare(dataset, OPTIONS), OPTIONS, 3)) == chosen(tuning)[:3]


def test_the_first_trial_has_the_given_options_and_the_best_is_no_worse(tuning):
    assert tuning.trials[0].options == OPTIONS
    assert tuning.best.value == min(trial.value for trial in tuning.trials)


def test_a_run_with_the_best_options_is_the_best_trial(tuning):
    run = train(iris(), tuning.best.options)
    assert run.best.validation_log_loss == pytest.approx(tuning.best.value, rel=1e-4)


def test_settings_are_searched_that_the_loss_leaves_at_defaults(tuning):
    losses = [options.loss for options in chosen(tuning)[1:]]
    assert all(loss.startswith("focal(label_smoothing=0.1, gamma=") for loss in losses)
    assert len(set(losses)) == 4


@pytest.mark.parametrize(
    ("loss", "select", "measure"),
    [
        ("focal", "objective", "log_loss"),
        ("hinge_loss", "objective", "accuracy"),
        ("brier_loss", "objective", "objective"),
        ("focal", "accuracy", "accuracy"),
    ],
)
def test_trials_are_compared_by_a_measure_that_their_losses_have_in_common(loss, select, measure):
    options = Options(data="iris", loss=loss, select=select, hidden=(8,), epochs=1)
    assert tune(iris(options), options, 1).measure == measure


def test_what_was_found_is_written_as_options(tuning):
    best = tuning.best.options
    assert f"--learning-rate {best.learning_rate}" in found(tuning)
    assert f"--loss '{best.loss}'" in found(tuning)


def test_a_stopped_search_has_the_trials_that_were_finished(tuning, monkeypatch):
    asked = iter([False, False, True])
    fit = module.fit_classifier
    monkeypatch.setattr(module, "fit_classifier", lambda *arguments: fit(*arguments) or next(asked))
    assert chosen(tune(iris(), OPTIONS, 5)) == chosen(tuning)[:2]


def test_trials_that_diverge_are_no_result():
    diverging = Options(**{**vars(OPTIONS), "learning_rate": 1e30})
    tuning = tune(iris(diverging), diverging, 2)
    assert math.isnan(tuning.trials[0].value)
    assert tuning.best is tuning.trials[1]
    with pytest.raises(InputError, match="smaller --learning-rate"):
        tune(iris(diverging), diverging, 1)
