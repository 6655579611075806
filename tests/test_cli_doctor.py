"""``crossentropy doctor``, from the outside."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from doctor_data import drawn, drawn_answers, softmax

pytest.importorskip("pyarrow")
NAMES = np.asarray(["cat", "cow", "dog"])
Z, Y = drawn(3, 400)


def invoke(*arguments: object):
    return CliRunner().invoke(
        app, ["doctor", *(str(argument) for argument in arguments)], env={"COLUMNS": "80"}
    )


def table(folder, columns):
    """A CSV file of columns by name."""
    path = folder / "t.csv"
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def of_classes(prefix, x, ends=(0, 1, 2)):
    return {f"{prefix}_{end}": x[:, k] for k, end in enumerate(ends)}


def test_nothing_is_found_in_a_file_with_nothing_wrong(tmp_path):
    path = table(tmp_path, {"y": Y, **of_classes("z", Z)})
    result = invoke(path, "--label", "y", "--logits", "z_*")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Nothing was found\n  looked at: 400 rows of 3 classes, logits")


def test_labels_from_one_are_found_and_the_exit_code_says_so(tmp_path):
    path = table(tmp_path, {"y": Y + 1, **of_classes("z", Z)})
    result = invoke(path, "--label", "y", "--logits", "z_*")
    assert result.exit_code == 1
    assert "loss = cross_entropy(logits, labels - 1)" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_names_of_labels_are_matched_with_the_columns(tmp_path):
    path = table(tmp_path, {"y": NAMES[Y], **of_classes("p", softmax(Z), NAMES)})
    assert invoke(path, "--label", "y", "--proba", "p_*").exit_code == 0
    found = invoke(path, "--label", "y", "--logits", "p_*", "--json")
    assert found.exit_code == 1
    assert [f["name"] for f in json.loads(found.stdout)["findings"]] == ["softmax_twice"]
    other = table(tmp_path, {"y": NAMES[(Y + 1) % 3], **of_classes("p", softmax(Z), NAMES)})
    said = " ".join(invoke(other, "--label", "y", "--proba", "p_*").stdout.split())
    assert "labels permuted" in said
    assert f"class 0 is '{NAMES[0]}', 1 is '{NAMES[1]}', 2 is '{NAMES[2]}'" in said


def test_a_column_of_log_odds_is_of_yes_or_no_answers(tmp_path):
    z, t = drawn_answers(None, 400)
    path = table(tmp_path, {"y": t, "z": z})
    assert invoke(path, "--label", "y", "--logits", "z").exit_code == 0
    exchanged = table(tmp_path, {"y": 1 - t, "z": z})
    assert "Yes and no are exchanged" in invoke(exchanged, "--label", "y", "--logits", "z").stdout


def test_numbers_that_cannot_be_scored_are_findings_and_no_errors(tmp_path):
    z = Z.copy()
    z[7, 1] = np.nan
    path = table(tmp_path, {"y": np.where(np.arange(400) % 9 == 0, -1, Y), **of_classes("z", z)})
    names = [
        f["name"]
        for f in json.loads(invoke(path, "--label", "y", "--logits", "z_*", "--json").stdout)["findings"]
    ]
    assert names == ["not_finite", "ignore_index_missing"]
    ignored = invoke(path, "--label", "y", "--logits", "z_*", "--ignore-index", -1, "--json")
    assert [f["name"] for f in json.loads(ignored.stdout)["findings"]] == ["not_finite"]


def test_a_page_is_written(tmp_path):
    path = table(tmp_path, {"y": Y, **of_classes("p", softmax(Z))})
    invoke(path, "--label", "y", "--logits", "p_*", "--html", tmp_path / "report.html")
    assert "softmax twice" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "pass one of --proba, --logits and --log-proba"),
        (("--logits", "q_*"), "matches 'q_*'; its columns are"),
        (("--logits", "z_*", "--classes", "a,b"), "3 columns of predictions for 2 classes"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(arguments, message, tmp_path):
    path = table(tmp_path, {"y": Y, **of_classes("z", Z)})
    result = invoke(path, "--label", "y", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_program_is_not_read_and_the_way_to_look_at_its_loop_is_named():
    result = invoke("train.py", "--label", "y", "--proba", "p_*")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: train.py is code; pass a file of predictions.")
    assert "crossentropy.doctor.watch()" in result.stderr


def test_a_line_to_write_instead_is_never_cut(tmp_path):
    path = table(tmp_path, {"y": Y, **of_classes("z", softmax(Z))})
    result = invoke(path, "--label", "y", "--logits", "z_*")
    assert (
        "loss = cross_entropy(scores, labels)  # scores before the softmax: drop nn.Softmax or softmax()\n"
        in (result.stdout)
    )
