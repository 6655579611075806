"""``crossentropy compare``: what is printed, gates by the paired test, JUnit, exit codes."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.evaluation import compare, evaluate
from evaluation_data import synthetic
from evaluation_files import write

P, Y = synthetic()
MODELS = {
    "old": P,
    "new": P**1.5,
    "same": np.clip(P + 0.001 * np.random.default_rng(0).normal(size=1000), 1e-4, 1 - 1e-4),
}


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, p in MODELS.items():
        table = pa.table({"id": np.arange(1000), "y": Y, "prob": p, "half": np.arange(1000) // 500, "one": Y})
        write(
            table if name == "old" else table.take(pa.array(np.arange(1000)[::-1])), tmp_path / f"{name}.csv"
        )


def invoke(*arguments, verb="compare"):
    common = ("--label", "y", "--proba", "prob")
    return CliRunner().invoke(app, [verb, *map(str, arguments), *common], env={"COLUMNS": "90"})


def test_json_is_what_python_returns():
    done = invoke("old.csv", "new.csv", "same.csv", "--key", "id", "--slice", "half", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    sources = ["old.csv", "new.csv", "same.csv"]
    truth = compare(sources, labels="y", proba="prob", key="id", slice="half")
    assert json.loads(done.stdout) == json.loads(truth.to_json())


def test_tables_and_sentences_have_the_difference_and_what_makes_it():
    done = invoke("old.csv", "new.csv", "--key", "id", "--slice", "half")
    (difference,) = compare(["old.csv", "new.csv"], labels="y", proba="prob", key="id").differences
    assert (done.exit_code, done.stderr) == (0, "")
    for words in (
        difference.sentence(),
        f"│ 95 % interval                │ {difference.interval[0]:.4g} to {difference.interval[1]:.4g}",
        f"│ p of sign flips              │ {difference.permutation_p_value:.4g}",
        f"│ rows better, worse           │ {difference.n_better}, {difference.n_worse}",
        "slices, by their part of the difference",
        "rows that make most of the difference",
        f"│ {difference.rows[0]['row']}",
    ):
        assert words in done.stdout
    assert "…" not in done.stdout


def test_rows_without_keys_are_named_by_their_file():
    done = invoke("new.csv", "same.csv", "--by-position")
    (row, *_) = (
        compare(["new.csv", "same.csv"], labels="y", proba="prob", by_position=True).differences[0].rows
    )
    assert row["origin"] == "new.csv"
    assert f"│ new.csv │ {row['row']} " in done.stdout


# -------------------------------------------------------------------------------------------------------- gates


@pytest.mark.parametrize(
    ("candidate", "baseline", "options", "passed"),
    [
        ("new", "old", (), True),
        ("old", "new", (), False),
        ("same", "old", (), True),  # not worse beyond chance
        ("same", "old", ("--margin", "0.001"), True),  # and no worse by more than 0.001
        ("same", "old", ("--margin", "0"), False),  # which is not shown of 0
        ("old", "new", ("--margin", "0.05"), True),
        ("old", "new", ("--margin", "0.03"), False),  # the difference is 0.027, its interval reaches to 0.044
        ("old", "old", ("--margin", "0"), None),
    ],
)
def test_the_paired_test_decides(candidate, baseline, options, passed):
    done = invoke(f"{candidate}.csv", "--key", "id", "--not-worse-than", f"{baseline}.csv", *options)
    if passed is None:
        assert (done.exit_code, "pass two different files or more" in done.stderr) == (2, True)
        return
    assert done.exit_code == (0 if passed else 1), done.stderr
    assert done.stderr == "" or "by the paired test from" in done.stderr


def test_every_candidate_has_its_gate_in_the_junit_report(tmp_path):
    done = invoke("old.csv", "same.csv", "--key", "id", "--not-worse-than", "new.csv", "--junit", "gates.xml")
    assert done.exit_code == 1
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [
        "--not-worse-than new.csv (old.csv)",
        "--not-worse-than new.csv (same.csv)",
    ]
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        "crossentropy compare",
        "2",
        "2",
    )
    assert suite[0].get("classname") == "crossentropy.compare"


def test_a_result_without_rows_allows_an_unpaired_test_alone(tmp_path):
    printed = invoke("new.csv", "--json", verb="evaluate").stdout
    (tmp_path / "evaluation.json").write_text(printed)
    old, new = (evaluate(labels=Y, proba=MODELS[name]) for name in ("old", "new"))
    difference, error = old.log_loss - new.log_loss, np.hypot(old.standard_error, new.standard_error)
    assert difference / error < 1.1  # of the paired test it is 3.09
    done = invoke("old.csv", "--not-worse-than", "evaluation.json")
    assert (done.exit_code, done.stderr) == (0, "")
    done = invoke(
        "old.csv", "--not-worse-than", "evaluation.json", "--margin", "0.05", "--junit", "gates.xml"
    )
    assert done.exit_code == 1
    low, high = (difference + sign * 1.96234 * error for sign in (-1, 1))  # Student's quantile of 999
    found = re.search(r"is (\S+), unpaired from (\S+) to ([^;]+);", done.stderr)
    assert [float(x) for x in found.groups()] == pytest.approx([difference, low, high], rel=1e-4)
    assert "a file of predictions in place of evaluation.json would allow the paired test" in done.stderr
    done = invoke("old.csv", "--not-worse-than", "evaluation.json", "--out", "page.html")
    assert (done.exit_code, (tmp_path / "page.html").exists()) == (2, False)
    assert "evaluation.json has no rows; pass the predictions" in done.stderr


# --------------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("old.csv", "--key", "id"), 2, "pass two different files or more"),
        (
            ("old.csv", "new.csv"),
            2,
            "pass --key, the column that names each row in every source, or --by-position",
        ),
        (("old.csv", "new.csv", "--key", "id", "--by-position"), 2, "pass one of them"),
        (("old.csv", "new.csv", "--key", "idd"), 2, "Did you mean 'id'?"),
        (
            ("old.csv", "new.csv", "--key", "id", "--interval", "95"),
            2,
            "--interval is 95; pass the confidence",
        ),
        (("old.csv", "new.csv", "--key", "id", "--horizon", "0"), 2, "horizon is 0"),
        (("old.csv", "new.csv", "--key", "id", "--margin", "1"), 2, "--margin is how much worse"),
        (("old.csv", "none.csv", "--key", "id"), 2, "there is no file 'none.csv'"),
        (("old.csv", "new.csv", "--key", "half"), 3, "old.csv has two rows with key"),
        (("old.csv", "new.csv", "--by-position"), 3, "the label of row"),
        (("old.csv", "--not-worse-than", "none.json"), 2, "none.json"),
        (
            ("old.csv", "--not-worse-than", "bad.json"),
            3,
            "bad.json is no result of crossentropy evaluate --json",
        ),
    ],
)
def test_wrong_commands_and_data_have_their_exit_codes(arguments, code, words, tmp_path):
    (tmp_path / "bad.json").write_text('{"log_loss": 1}')
    done = invoke(*arguments, "--junit", "gates.xml")
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
    assert not (tmp_path / "gates.xml").exists()


def test_a_report_is_written_as_its_name_ends(tmp_path):
    for name, start in (("r.html", "<!DOCTYPE html>"), ("r.md", "# Comparison of models"), ("r.json", "{")):
        result = invoke("old.csv", "new.csv", "--key", "id", "--out", name)
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).read_text().startswith(start)
    assert "SHA-256" in (tmp_path / "r.md").read_text()
    assert json.loads((tmp_path / "r.json").read_text())["reference"] == "old.csv"
    assert invoke("old.csv", "new.csv", "--key", "id", "--out", "r.pdf").exit_code == 2


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [("new.csv", "Kept: --not-worse-than old.csv"), ("same.csv", "Failed: --not-worse-than old.csv")],
)
def test_a_report_has_the_outcome_of_the_gate(candidate, outcome, tmp_path):
    margin = ("--margin", "0.00001") if candidate == "same.csv" else ()
    gate = (candidate, "--key", "id", "--not-worse-than", "old.csv", *margin, "--junit", "gates.xml")
    for name in ("r.html", "r.md"):
        done = invoke(*gate, "--out", name)
        assert done.exit_code == (1 if outcome.startswith("Failed") else 0), done.output
        text = re.sub(r"<[^>]+>", "", (tmp_path / name).read_text())
        (case,) = ElementTree.parse(tmp_path / "gates.xml").getroot()[0]
        measured = case[0].get("message") or case[0].text
        assert f"{outcome}{' --margin 1e-05' if margin else ''} ({candidate}): {measured}." in text


def test_a_report_without_a_gate_speaks_of_no_limits(tmp_path):
    for name in ("r.html", "r.md"):
        invoke("old.csv", "new.csv", "--key", "id", "--out", name)
        assert "Limits" not in (tmp_path / name).read_text()
