"""``crossentropy merge`` of states of language models, and of both kinds."""

import json

import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.evaluation import Declaration, LanguageState, State, language_score

ROWS = [[-1.0, -2.0], [-3.0], [-0.5, -0.25]]
TEXTS = ["one two", "three", "four five"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


@pytest.fixture
def parts(tmp_path):
    """Two files of rows, and the states that `perplexity --state` writes of them."""
    states = []
    for i, here in enumerate((slice(0, 2), slice(2, 3))):
        rows = [{"lp": x, "text": text} for x, text in zip(ROWS[here], TEXTS[here], strict=True)]
        (tmp_path / f"{i}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        states.append(tmp_path / f"{i}.state")
        done = invoke(
            *("perplexity", tmp_path / f"{i}.jsonl", "--log-probs", "lp", "--text-column", "text"),
            *("--context", 64, "--state", states[-1]),
        )
        assert done.exit_code == 0, done.output
    return states


def test_states_of_parts_have_the_scores_of_all_texts(parts, tmp_path):
    truth = language_score(log_probs=ROWS, text=TEXTS, context=64)
    merged = invoke("merge", *parts, "--json", "--state", tmp_path / "whole.state")
    assert json.loads(merged.stdout) == json.loads(truth.to_json())
    whole = LanguageState.from_bytes((tmp_path / "whole.state").read_bytes())
    assert whole.finalize() == truth


def test_states_of_two_kinds_are_refused(parts, tmp_path):
    (tmp_path / "p.state").write_bytes(State(Declaration("proba", (0, 1), one_column=True)).to_bytes())
    result = invoke("merge", parts[0], tmp_path / "p.state")
    assert result.exit_code == 3
    assert (
        "p.state: this is a state of predictions, and those before are of a language model" in result.stderr
    )


def test_options_of_predictions_are_refused_for_language_models(parts, tmp_path):
    result = invoke("merge", *parts, "--out", tmp_path / "report.html")
    assert result.exit_code == 2
    assert "--prior and --out are for predictions" in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_scores_of_other_windows_are_refused(parts, tmp_path):
    (tmp_path / "b.state").write_bytes(LanguageState(context=32).to_bytes())
    result = invoke("merge", parts[0], tmp_path / "b.state")
    assert (result.exit_code, "merge states of one kind" in result.stderr) == (3, True)


def test_a_state_that_is_named_twice_is_refused(parts):
    result = invoke("merge", *parts, parts[0])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{parts[0]} is named twice, and would count twice; pass each file once" in result.stderr
