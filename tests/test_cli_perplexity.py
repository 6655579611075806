"""``crossentropy perplexity``: what is printed and written, gates, exit codes."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.evaluation import language_score

R = np.random.default_rng(0)
ROWS = [
    {"lp": [None, *(-R.gamma(2.0, 1.0, n)).tolist()], "text": "word " * n, "doc": i // 2}
    for i, n in enumerate(R.integers(2, 9, 40).tolist())
]
TRUTH = language_score(ROWS, log_probs="lp", text="text", document="doc", context=64, prefix="<s>")


def invoke(*arguments, **others):
    words = ["perplexity", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "80"}, **others)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def scored(path, *arguments):
    return invoke(path, "--log-probs", "lp", "--text-column", "text", "--document", "doc", *arguments)


def test_json_is_alone_on_standard_output_and_has_the_scores_of_the_same_call(path):
    result = scored(path, "--context", 64, "--prefix", "<s>", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json.loads(TRUTH.to_json())
    piped = invoke("-", *["--log-probs", "lp", "--text-column", "text", "--json"], input=path.read_bytes())
    assert json.loads(piped.stdout)["bits_per_byte"] == TRUTH.bits_per_byte


def test_the_table_has_scores_intervals_and_notes_in_eighty_columns(path):
    result = scored(path, "--stride", 32, "--interval", 0.9)
    assert (result.exit_code, result.stderr) == (0, "")
    low, high = language_score(
        ROWS, log_probs="lp", text="text", document="doc", interval=0.9
    ).bits_per_byte_interval
    assert f"{TRUTH.bits_per_byte:.6g}  (90 %: {low:.6g} to {high:.6g})" in result.stdout
    words = " ".join(result.stdout.split())
    assert "stride │ 32" in words
    assert "Note: 40 texts begin with a token that has no log-probability" in words
    assert "pass it as --prefix." in words
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_counts_may_be_columns(tmp_path):
    (tmp_path / "rows.csv").write_text("lp,n,b,c,w\n-6,3,10,9,2\n-4,2,10,8,3\n")
    names = "--log-probs lp --tokens-column n --bytes-column b --characters-column c --words-column w"
    got = json.loads(invoke(tmp_path / "rows.csv", *names.split(), "--json").stdout)
    assert [got[name] for name in ("nats", "tokens", "bytes", "characters", "words")] == [10, 5, 20, 17, 5]


def test_gates_are_decided_on_the_interval(path, tmp_path):
    bits, perplexity = TRUTH.bits_per_byte_interval, TRUTH.perplexity_interval
    junit = tmp_path / "gates.xml"
    passed = ("--max-bits-per-byte", bits[1], "--max-perplexity", perplexity[1])
    result = scored(path, *passed, "--junit", junit)
    assert (result.exit_code, result.stderr) == (0, "")
    suites = ElementTree.parse(junit).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "0")
    assert suites[0].get("name") == "crossentropy perplexity"
    between = (TRUTH.bits_per_byte + bits[1]) / 2
    result = scored(path, "--max-bits-per-byte", between, "--max-perplexity", perplexity[1], "--junit", junit)
    assert result.exit_code == 1
    sentence = f"bits per byte is {TRUTH.bits_per_byte:.6g}, its 95 % interval reaches to {bits[1]:.6g}"
    assert result.stderr == f"Failed: --max-bits-per-byte {between:g}: {sentence}\n"
    assert ElementTree.parse(junit).getroot().get("failures") == "1"
    alone = scored(path, "--max-perplexity", TRUTH.perplexity)
    assert (alone.exit_code, "Failed: --max-perplexity" in alone.stderr) == (1, True)


def test_a_score_without_an_interval_passes_no_gate(tmp_path):
    (tmp_path / "rows.csv").write_text("lp\n-1\n-2\n")
    result = invoke(tmp_path / "rows.csv", "--log-probs", "lp", "--max-perplexity", 100)
    assert result.exit_code == 1
    assert "it has no interval" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no.jsonl"], 2, "there is no file 'no.jsonl'"),
        (["a.csv"], 2, "a.csv is a table; pass --log-probs, the name of its column of log-probabilities"),
        (["a.csv", "--log-probs", "lp"], 3, "row 1: the log-probability is 2; it must be at most 0"),
        (["a.csv", "--log-probs", "lp"], 3, "--on-bad-rows skip leaves such rows out"),
        (["a.csv", "--log-probs", "ok", "--interval", "95"], 2, "--interval is 95"),
        (["a.csv", "--log-probs", "ok", "--context", "0"], 2, "context is 0"),
        (
            ["a.csv", "--log-probs", "ok", "--max-bits-per-byte", "1"],
            2,
            "pass --text-column or --bytes-column",
        ),
        (["a.csv", "--log-probs", "ok", "--state", "."], 2, "Cannot write to .: it is a folder"),
        (["a.jsonl"], 3, "or pass --log-probs, where they are"),
        (["a.jsonl", "--on-bad-rows", "skip"], 3, "there are no texts to score"),
    ],
)
def test_errors_are_one_sentence_with_the_words_of_the_command(arguments, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("lp,ok\n-1,-1\n2,-2\n")
    (tmp_path / "a.jsonl").write_text('{"choices": [{"text": "x", "logprobs": null}]}\n')
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
