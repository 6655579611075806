import errno
import json
import os
import xml.etree.ElementTree

import numpy as np
import pandas as pd
import pytest

from crossentropy.evaluation import evaluate
from crossentropy.training import load
from crossentropy.training.data import load_dataset
from crossentropy.training.errors import InputError
from crossentropy.training.output import check_writable
from crossentropy.training.runs import files
from crossentropy.training.runs.files import write_run

NAMES = {"model.pt", "history.json", "predictions.parquet", "curves.svg", "evaluation.json"}


def test_the_five_files_and_nothing_else_are_written(tmp_path, iris_run):
    write_run(iris_run, tmp_path / "new" / "out")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == NAMES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_the_same_run_gives_the_same_bytes(tmp_path, iris_run):
    for out in ("a", "b"):
        write_run(iris_run, tmp_path / out)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_model_file_alone_gives_the_predictions(tmp_path, iris_run):
    write_run(iris_run, tmp_path)
    (tmp_path / "history.json").unlink()
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    features = load_dataset("iris").features.iloc[predictions["row"]]
    columns = predictions[[f"p[{value}]" for value in ("setosa", "versicolor", "virginica")]]
    np.testing.assert_array_equal(load(tmp_path).predict_proba(features), columns)


def test_the_predictions_are_of_the_held_out_rows_and_give_the_scores(tmp_path, iris_run):
    write_run(iris_run, tmp_path)
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert predictions["row"].tolist() == iris_run.split.test.tolist()
    dataset = iris_run.dataset
    assert predictions["label"].tolist() == [dataset.classes[i] for i in dataset.labels[predictions["row"]]]
    assert (predictions["label"] == predictions["predicted"]).mean() == iris_run.scores.accuracy
    of_label = [line[f"p[{line['label']}]"] for line in predictions.to_dict("records")]
    assert -np.log(of_label).mean() == pytest.approx(iris_run.scores.nats, rel=1e-12)


def test_the_evaluation_is_that_of_the_predictions(tmp_path, iris_run):
    write_run(iris_run, tmp_path)
    written = json.loads((tmp_path / "evaluation.json").read_text())
    path = tmp_path / "predictions.parquet"
    result = evaluate(path, labels="label", proba="p[*]", key="row")
    assert (written["log_loss"], written["n"]) == (iris_run.scores.nats, result.n)
    assert written["log_loss"] == pytest.approx(result.log_loss, rel=1e-12)
    assert [c["label"] for c in written["classes"]] == ["setosa", "versicolor", "virginica"]
    worst = [(row["row"], row["label"]) for row in written["worst_rows"]]
    assert worst == [(row["row"], row["label"]) for row in result.worst_rows]


def test_the_history_holds_options_epochs_and_scores(tmp_path, iris_run):
    write_run(iris_run, tmp_path)
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["options"]["hidden"] == [16]
    assert history["options"]["select"] == "objective"
    assert history["selection"].endswith("(--select objective).")
    assert [epoch["epoch"] for epoch in history["epochs"]] == list(range(1, 9))
    assert history["held_out"]["log_loss_nats"] == iris_run.scores.nats
    assert history["baseline"]["training_entropy_nats"] == pytest.approx(np.log(3))
    best = min(history["epochs"], key=lambda epoch: epoch["validation_objective"])
    assert history["best_epoch"] == best["epoch"]


def test_the_curves_are_a_picture_with_words_in_it(tmp_path, iris_run):
    write_run(iris_run, tmp_path)
    picture = xml.etree.ElementTree.parse(tmp_path / "curves.svg")
    words = " ".join(picture.getroot().itertext())
    assert "log loss in nats" in words
    assert "training frequencies" in words


def test_earlier_results_are_replaced_and_other_files_are_left_alone(tmp_path, iris_run):
    for name in [*NAMES, "notes.txt"]:
        (tmp_path / name).write_text("earlier")
    write_run(iris_run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "earlier"
    assert all(not (tmp_path / name).read_bytes().startswith(b"earlier") for name in NAMES)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_when_writing_fails_nothing_is_left_and_earlier_results_stay(tmp_path, iris_run, monkeypatch, error):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.pt").write_text("earlier")

    def fail(run, path):
        path.write_text("half")
        raise error

    monkeypatch.setattr(files, "draw_curves", fail)
    with pytest.raises((InputError, KeyboardInterrupt)):
        write_run(iris_run, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.pt"]
    assert (tmp_path / "out" / "model.pt").read_text() == "earlier"


def test_of_a_full_disk_the_error_says_so_and_nothing_is_left(tmp_path, iris_run, small_files):
    with small_files, pytest.raises(InputError, match=r"Cannot write to .*out: File too large\.$"):
        write_run(iris_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_may_be_on_a_disk_of_its_own(tmp_path, iris_run, monkeypatch):
    replace = os.replace

    def within_a_disk(source, target):
        if (out := tmp_path / "out") not in source.parents or out not in target.parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(os, "replace", within_a_disk)
    write_run(iris_run, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == NAMES


def test_a_folder_that_cannot_be_is_refused_beforehand(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="Cannot write to"):
            check_writable(out)
    check_writable(tmp_path / "new" / "newer")
    assert not (tmp_path / "new").exists()
