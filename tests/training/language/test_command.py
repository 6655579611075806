"""``crossentropy train-lm`` from the outside: exit codes, what is printed, what is left on disk."""

import json
import sys

import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app

SMALL = (
    "--vocabulary 300 --context 16 --layers 1 --width 16 --heads 2 --batch 4 --steps 6 --checkpoint-every 3"
)


def invoke(*arguments: object):
    words = ["train-lm", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "80"})


def test_training_prints_the_scores_beside_the_baselines_and_writes_the_files(text_file, tmp_path):
    result = invoke(text_file, "--out", tmp_path / "out", *SMALL.split())
    assert result.exit_code == 0, result.stderr
    for words in ("model", "unigram", "xz", "xz alone", "nats per token", "bits per byte", "perplexity"):
        assert words in result.stdout
    assert "Peak memory of the training process" in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert (tmp_path / "out" / "model.pt").exists()
    again = invoke(text_file, "--out", tmp_path / "out", *SMALL.split())
    assert again.exit_code == 0
    assert again.stdout == result.stdout
    assert "nothing is left to train" in again.stderr


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, [], "There is no file"),
        ("", [], "is empty"),
        (b"\0", [], "is binary"),
        (b"\xff\n", [], "no UTF-8 text"),
        ("x", [], "cannot be split"),
        ("a\nb\nc\n", [], "too short"),
        ("a\nb\nc\n", ["--vocabulary", "3"], "at least 257"),
        ("a\nb\nc\n", ["--steps", "0"], "--steps"),
        ("a\nb\nc\n", ["--width", "10"], "width"),
        ("a\nb\nc\n", ["--held-out", "2"], "between 0 and 1"),
        ("a\nb\nc\n", ["--learning-rate", "nan"], "above 0"),
        ("a\nb\nc\n", ["--logits", "none"], "linear or materialized"),
    ],
    ids=str,
)
def test_bad_input_is_one_error_on_stderr_exit_code_2_and_no_output(tmp_path, content, arguments, words):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = invoke(path, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_is_refused_with_the_files_to_pass_instead(tmp_path):
    result = invoke(tmp_path, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is a folder" in result.stderr


def test_the_output_folder_is_looked_at_before_the_work_is_done(tmp_path):
    (tmp_path / "out").write_text("a file")
    result = invoke("no_such_text", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr


def test_the_run_of_a_classifier_is_not_replaced(text_file, tmp_path):
    (tmp_path / "predictions.parquet").write_bytes(b"predictions")
    result = invoke(text_file, "--out", tmp_path, *SMALL.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert "holds a run of crossentropy train" in result.stderr


def test_a_model_that_is_no_better_than_frequencies_is_said_to_be_so(text_file, tmp_path):
    options = [*SMALL.split(), "--learning-rate", 1e-9]
    result = invoke(text_file, "--out", tmp_path, *options)
    history = json.loads((tmp_path / "history.json").read_text())
    (remark,) = history["remarks"]
    assert remark.startswith("The model is no better than the unigram coder")
    assert f"Note: {remark}" in " ".join(result.stdout.split())
    assert history["notices"] == result.stderr.splitlines()


def test_other_options_than_those_of_the_checkpoint_are_refused(text_file, tmp_path):
    assert invoke(text_file, "--out", tmp_path, *SMALL.split()).exit_code == 0
    result = invoke(text_file, "--out", tmp_path, *SMALL.split(), "--seed", 1)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--seed 0, not 1" in result.stderr


def test_without_the_package_for_tokens_what_to_install_is_said(text_file, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("crossentropy.training.language.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    result = invoke(text_file, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert (
        "The package tokenizers is not installed; install what the command needs by: pip install"
        in result.stderr
    )


@pytest.mark.parametrize("sizes", [["--width", 10**12], ["--batch", 10**14]], ids=str)
def test_too_little_memory_is_an_error_that_says_what_to_make_smaller(text_file, tmp_path, sizes):
    result = invoke(text_file, "--out", tmp_path / "out", *SMALL.split(), *sizes)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "The memory is not enough for the model and its batches: pass a smaller --batch" in result.stderr
