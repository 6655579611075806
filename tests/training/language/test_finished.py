"""A finished model scores other texts and writes behind a prompt."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.training.language.files import write_language_run
from crossentropy.training.language.finished import load_language_model, score_files, write_text


@pytest.fixture(scope="module")
def folder(bottles_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    write_language_run(bottles_run, out)
    return out


def invoke(*arguments):
    return CliRunner().invoke(app, ["train-lm", *map(str, arguments)], env={"COLUMNS": "100"})


def test_the_score_of_the_held_out_text_is_the_one_that_training_gave(
    folder, bottles_run, text_file, tmp_path
):
    content = text_file.read_bytes()
    (tmp_path / "last.txt").write_bytes(content[-bottles_run.score.bytes :])
    score = score_files(load_language_model(folder), [str(tmp_path / "last.txt")])
    assert score.bytes == bottles_run.score.bytes
    assert score.bits_per_byte == pytest.approx(bottles_run.score.bits_per_byte, rel=1e-6)
    assert score.bits_per_byte_interval == pytest.approx(bottles_run.score.bits_per_byte_interval, rel=1e-5)


def test_several_files_are_documents_and_their_mean_is_that_of_all_bytes(folder, tmp_path):
    texts = ["1 green bottle\n" * 9, "some other text, of other words", "wall " * 40]
    paths = [tmp_path / f"{i}.txt" for i in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    language = load_language_model(folder)
    alone = [score_files(language, [str(path)]) for path in paths]
    together = score_files(language, [str(path) for path in paths])
    sizes = np.array([len(text) for text in texts])
    assert together.bytes == sizes.sum()
    bits = np.array([score.bits_per_byte for score in alone])
    assert together.bits_per_byte == pytest.approx((bits * sizes).sum() / sizes.sum(), rel=1e-9)
    low, high = together.bits_per_byte_interval
    assert low < together.bits_per_byte < high
    assert (together.documents, together.windows) == (3, None)
    assert (alone[0].documents, alone[0].windows) == (None, -(-alone[0].tokens // 16))


def test_writing_goes_on_behind_the_prompt_and_repeats_for_the_same_seed(folder):
    language = load_language_model(folder)
    written = write_text(language, "12 green", 30, 5)
    assert written
    assert written == write_text(language, "12 green", 30, 5) != write_text(language, "12 green", 30, 6)
    result = invoke("--out", folder, "--write", 30, "--prompt", "12 green", "--seed", 5)
    assert result.stdout == f"12 green{written}\n"


def test_the_command_prints_bits_per_byte_with_an_interval(folder, text_file):
    result = invoke("--out", folder, "--score", text_file)
    assert result.exit_code == 0, result.stderr
    assert "bits per byte" in result.stdout
    assert "windows of 16 tokens for independent" in " ".join(result.stdout.split())
    assert re.search(r"│ windows +│ \d", result.stdout)
    assert "documents" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to train on"),
        (["text.txt", "--write", "3"], "would be trained on"),
        (["--write", "0"], "at least 1"),
        (["text.txt", "--prompt", "12"], "pass --write N too"),
        (["--write", "3"], "has no finished language model"),
        (["--write", "3", "--seed", str(2**70)], "--seed is a whole number from 0"),
        (["--score", "no_such_text"], "There is no file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, arguments, words):
    result = invoke("--out", tmp_path / "none", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 half an archive"])
def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    result = invoke("--out", tmp_path, "--write", 3)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is no model of crossentropy train-lm: pass the folder of a finished run" in result.stderr
