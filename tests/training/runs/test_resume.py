"""A run goes on where it stopped."""

import json
import os
import signal
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.experiment import train
from crossentropy.training.options import Options
from crossentropy.training.prepare import prepare
from crossentropy.training.runs.load import load_model


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["train", "iris", "--hidden", "8", *map(str, arguments)])


def history(out):
    told = json.loads((out / "history.json").read_text())
    del told["rows_per_second"]  # which no two runs have in common
    return told


@pytest.fixture(scope="module")
def four_epochs(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    assert invoke("--epochs", 4, "--dropout", 0.2, "--out", out).exit_code == 0
    return out


def test_a_run_that_went_on_is_the_run_that_was_not_stopped(four_epochs, tmp_path):
    assert invoke("--epochs", 2, "--dropout", 0.2, "--out", tmp_path).exit_code == 0
    result = invoke("--epochs", 4, "--dropout", 0.2, "--out", tmp_path, "--resume")
    assert result.exit_code == 0, result.output
    assert history(tmp_path) == history(four_epochs)
    assert (tmp_path / "predictions.parquet").read_bytes() == (
        four_epochs / "predictions.parquet"
    ).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loss", "focal(gamma=2)", "--dropout", 0.2], "--loss cross_entropy, not focal(gamma=2)"),
        ([], "--dropout 0.2, not 0.0"),
    ],
)
def test_with_other_options_it_does_not_go_on(four_epochs, options, words):
    result = invoke("--epochs", 9, *options, "--out", four_epochs, "--resume")
    assert result.exit_code == 2
    assert words in result.stderr


def test_with_another_table_it_does_not_go_on(four_epochs):
    options = Options(data="wine", hidden=(8,), dropout=0.2, epochs=9)
    with pytest.raises(InputError, match="another table"):
        prepare(load_dataset("wine"), options, earlier=load_model(four_epochs))


def test_with_the_rows_in_another_order_it_does_not_go_on(four_epochs):
    options = Options(data="iris", hidden=(8,), dropout=0.2, epochs=9)
    iris = load_dataset("iris")
    other = iris.features.iloc[[1, 0, *range(2, 150)]].reset_index(drop=True)  # both of the first class
    with pytest.raises(InputError, match="another table"):
        prepare(replace(iris, features=other), options, earlier=load_model(four_epochs))


def test_another_run_is_not_overwritten_unless_asked(four_epochs):
    before = history(four_epochs)
    result = invoke("--epochs", 1, "--out", four_epochs)
    assert result.exit_code == 2
    assert "holds another run (model.pt, history.json, predictions.parquet)" in result.stderr
    assert history(four_epochs) == before


def test_overwritten_it_is_the_new_run(tmp_path):
    assert invoke("--epochs", 1, "--out", tmp_path).exit_code == 0
    assert invoke("--epochs", 2, "--out", tmp_path, "--overwrite").exit_code == 0
    assert len(history(tmp_path)["epochs"]) == 2


def test_ctrl_c_ends_the_training_after_the_epoch_and_the_run_can_go_on(monkeypatch):
    said = []

    def interrupt(epoch):
        if epoch.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    options = Options(data="iris", hidden=(8,), epochs=4)
    run = train(prepare(load_dataset("iris"), options), options, interrupt, said.append)
    assert signal.getsignal(signal.SIGINT) is before
    assert run.stopped
    assert len(run.history) == 2
    assert "Stopping after this epoch" in said[0]
    whole = train(prepare(load_dataset("iris"), options), options)
    rest = prepare(load_dataset("iris"), options, earlier=run.model)
    assert train(rest, options).history == whole.history
