"""The command with several losses, and with a search."""

import json
import os
import signal
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.training import command
from crossentropy.training.runs.load import load_model
from crossentropy.training.tables.encoder import ColumnEncoder


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["train", "iris", "--epochs", "2", "--hidden", "8", *map(str, arguments)])


LOSSES = ("--loss", "cross_entropy", "--loss", "focal(gamma=2)", "--loss", "brier_loss")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    result = invoke(*LOSSES, "--out", out)
    assert result.exit_code == 0, result.output
    return result, out, json.loads((out / "history.json").read_text())


def test_history_has_a_run_for_each_loss_on_the_same_rows(compared):
    _, out, history = compared
    runs = history["comparison"]["runs"]
    assert [run["loss"] for run in runs] == list(LOSSES[1::2])
    alone = out / "alone"
    assert invoke("--loss", "focal(gamma=2)", "--out", alone).exit_code == 0
    told = json.loads((alone / "history.json").read_text())
    assert told["held_out"] == runs[1]["held_out"]
    assert told["epochs"] == runs[1]["epochs"]


def test_the_run_that_is_kept_is_the_one_that_is_applied(compared):
    _, out, history = compared
    kept = history["comparison"]["kept"]
    values = [
        run["epochs"][run["best_epoch"] - 1]["validation_log_loss"] for run in history["comparison"]["runs"]
    ]
    assert kept == LOSSES[1::2][int(np.argmin(values))]
    assert load_model(out).options["loss"] == history["options"]["loss"] == kept
    log_loss = history["comparison"]["runs"][int(np.argmin(values))]["held_out"]["log_loss_nats"]
    table = pd.read_parquet(out / "predictions.parquet")
    p = [row[f"p[{row['label']}]"] for _, row in table.iterrows()]
    assert -np.log(p).mean() == pytest.approx(log_loss, rel=1e-9)


def test_every_loss_and_the_conclusion_are_printed(compared):
    result, _, history = compared
    text = " ".join(result.stdout.split())
    assert all(sentence in text for sentence in history["comparison"]["conclusions"])
    assert "Losses on the same 30 held-out rows" in text


def test_the_table_is_encoded_once_for_all_trainings_and_what_is_said_of_it_is_said_once(
    tmp_path, monkeypatch
):
    fitted = []
    fit = ColumnEncoder.fit

    def counting(encoder, X, y=None):
        fitted.append(len(X))
        fit(encoder, X)
        encoder.notices_ = ["Categories share an input."]
        return encoder

    monkeypatch.setattr(ColumnEncoder, "fit", counting)
    result = invoke("--loss", "focal", "--loss", "brier_loss", "--tune", 2, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert fitted == [90]
    assert result.stderr.count("Categories share an input.") == 1


def test_history_has_every_line_that_was_printed_before_the_report(compared):
    result, _, history = compared
    rates = [f"{run['rows_per_second']:,.0f} rows per second" for run in history["comparison"]["runs"]]
    lines = [line for line in result.stderr.splitlines() if not any(rate in line for rate in rates)]
    assert lines == history["notices"]


def test_losses_that_have_not_converged_are_named(compared):
    _, _, history = compared
    losses = "cross_entropy, focal(gamma=2) and brier_loss"
    words = f"The training with {losses} has not converged"
    assert any(sentence.startswith(words) for sentence in history["comparison"]["conclusions"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--loss", "focal", "--loss", "focal"), "more than once"),
        (("--loss", "focal", "--loss", "cross_entrpy"), "'cross_entrpy' is the name of no loss"),
        (("--loss", "focal", "--loss", "brier_loss", "--resume"), "--resume goes on with one run"),
        (("--tune", 3, "--resume"), "--resume goes on with one run"),
        (("--tune", 0), "at least 1"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, arguments, words):
    result = invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_search_leaves_its_trials_and_a_run_that_goes_on_with_the_options_that_it_prints(tmp_path):
    result = invoke("--tune", 3, "--loss", "brier_loss", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    history = json.loads((tmp_path / "history.json").read_text())
    trials = history["tuning"]["trials"]
    best = trials[history["tuning"]["best"]]
    assert len(trials) == 3
    assert history["tuning"]["found"] in " ".join(result.stderr.split())
    assert all(
        history["options"][name] == best[name] for name in ("loss", "learning_rate", "hidden", "dropout")
    )
    options = [
        f"--{name.replace('_', '-')}={best[name]:g}" for name in ("learning_rate", "weight_decay", "dropout")
    ]
    hidden = ",".join(map(str, best["hidden"]))
    again = invoke(
        "--resume", "--loss", best["loss"], *options, "--hidden", hidden, "--epochs", 3, "--out", tmp_path
    )
    assert again.exit_code == 0, again.output


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_loss_that_diverges_does_not_end_the_others(tmp_path):
    diverging = "cross_entropy(z_loss=1)"  # squares logits that are too large for it
    result = invoke("--loss", diverging, "--loss", "brier_loss", "--learning-rate", 1e12, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    comparison = json.loads((tmp_path / "history.json").read_text())["comparison"]
    assert [run["loss"] for run in comparison["runs"]] == ["brier_loss"]
    assert "smaller --learning-rate" in comparison["failed"][diverging]
    assert f"No run with {diverging}: The training diverged" in " ".join(result.stdout.split())


def test_control_c_ends_the_comparison_with_the_losses_that_were_trained(tmp_path, monkeypatch):
    @contextmanager
    def pressed_in_the_second_loss(console, epochs, title):
        yield lambda epoch: os.kill(os.getpid(), signal.SIGINT) if title.startswith("focal") else None

    monkeypatch.setattr(command, "training_progress", pressed_in_the_second_loss)
    result = invoke(*LOSSES, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    comparison = json.loads((tmp_path / "history.json").read_text())["comparison"]
    assert [len(run["epochs"]) for run in comparison["runs"]] == [2, 1]
    assert list(comparison["failed"]) == ["brier_loss"]


def test_if_every_loss_diverges_there_is_no_run(tmp_path):
    result = invoke("--loss", "focal", "--loss", "brier_loss", "--learning-rate", 1e30, "--out", tmp_path)
    assert result.exit_code == 2
    assert "No loss could be trained" in result.stderr
    assert not (tmp_path / "model.pt").exists()
