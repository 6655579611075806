"""``crossentropy explain``, from the outside."""

import json

import pytest
from typer.testing import CliRunner

import crossentropy as ce
from crossentropy.cli.app import app


def invoke(*arguments: object):
    return CliRunner().invoke(
        app, ["explain", *(str(argument) for argument in arguments)], env={"COLUMNS": "80"}
    )


def test_a_loss_is_explained_within_eighty_columns():
    result = invoke("--logits", "2,1,-1", "--label", 0)
    assert result.exit_code == 0, result.stderr
    assert "0.349012 nats = 0.503518 bits" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


OPTIONS = {
    "softcap": 3.0,
    "margin": 0.5,
    "temperature": 2.0,
    "logit_bias": [0.1, 0.2, 0.3],
    "label_smoothing": 0.1,
    "smoothing_prior": [0.5, 0.25, 0.25],
    "class_weight": [1.0, 2.0, 3.0],
    "sample_weight": 2.0,
    "link": ce.links.Focal(2),
    "z_loss": 0.01,
    "entropy_bonus": 0.1,
}


def written(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return repr(value)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_loss_is_one_of_the_command(name):
    options = {"label_smoothing": 0.1} if name == "smoothing_prior" else {}
    options[name] = OPTIONS[name]
    given = [x for key, value in options.items() for x in (f"--{key.replace('_', '-')}", written(value))]
    result = invoke("--logits", "-1,1,2", "--label", 1, *given, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == ce.explain([-1.0, 1.0, 2.0], 1, **options).to_dict()


def test_every_option_of_explain_is_tested():
    from crossentropy._engine.options import ExplainedOptions

    assert set(OPTIONS) == set(ExplainedOptions.__annotations__)


def test_probabilities_names_and_masses_are_taken():
    by_name = invoke("--proba", "0.2,0.3,0.5", "--label", "dog", "--classes", "cat,dog,cow", "--json")
    assert json.loads(by_name.stdout)["loss"] == pytest.approx(1.2039728043259361)
    by_masses = invoke("--proba", "0.25,0.75", "--label", "0.5,0.5", "--json")
    assert json.loads(by_masses.stdout)["loss"] == pytest.approx(0.8369882167858358)


def test_a_page_is_written(tmp_path):
    result = invoke("--logits", "2,1,-1", "--label", 0, "--html", tmp_path / "loss.html")
    assert result.exit_code == 0, result.stderr
    assert "0.349012" in (tmp_path / "loss.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["loss.html"]


def test_probabilities_given_as_logits_are_answered_by_a_warning_without_a_line_of_code():
    result = invoke("--logits", "0.2,0.8", "--label", 0)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: the logits are probabilities already")
    assert ".py" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "0"], "pass one of --logits and --proba"),
        (["--logits", "2,x", "--label", "0"], "--logits is '2,x'; pass numbers"),
        (["--logits", "2,1", "--label", "cat"], "--label is 'cat'; pass the number of the class"),
        (["--logits", "2,1", "--label", "cat"], "or names by --classes"),
        (["--logits", "2,1", "--label", "0", "--link", "Fokal"], "there is no link 'Fokal'; there are"),
        (["--logits", "2,1", "--label", "0", "--link", "Focal(gamma=-1)"], "gamma"),
        (["--logits", "2,1", "--label", "0", "--link", "Focal(2)"], "cannot be read; write a name"),
        (["--logits", "2,1", "--label", "0", "--link", "Focal(beta=2)"], "Focal has no 'beta'; it has gamma"),
        (["--logits", "2,1", "--label", "0", "--link", "Focal(gamma='a')"], "gamma of the link Focal is 'a'"),
        (["--logits", "nan,1", "--label", "0"], "the logit of class 0 is nan"),
        (["--logits", "2,1", "--label", "0", "--html", "."], "Cannot write to .: it is a folder"),
        (
            ["--logits", "2,1", "--label", "cat", "--classes", "cat,dog", "--temperature", "0"],
            "temperature is 0",
        ),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
