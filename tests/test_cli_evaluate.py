"""``crossentropy evaluate`` and ``merge``: what is printed and written, gates, exit codes."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.cli.evaluation_errors import in_options
from crossentropy.evaluation import State, evaluate
from crossentropy.evaluation._gates import check_gates
from evaluation_files import CLASSES, columns, of_arrays, table, write

DATA = columns()


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def scored(source, *arguments):
    return invoke("evaluate", source, "--label", "y", "--proba", "p_*", *arguments)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(table(DATA), tmp_path_factory.mktemp("predictions") / "rows.csv")


def test_json_is_alone_on_standard_output_and_has_the_scores_of_the_arrays(path):
    result = scored(
        path,
        "--weight",
        "w",
        "--cluster",
        "user",
        "--slice",
        "country",
        "--classes",
        ",".join(CLASSES),
        "--json",
    )
    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    truth = json.loads(of_arrays(DATA).to_json())
    for rows in (printed["worst_rows"], truth["worst_rows"]):
        for row in rows:
            row.pop("origin", None)
    assert printed == truth


def test_brackets_and_colons_in_names_are_printed_as_they_are(tmp_path):
    frame = table(DATA).rename_columns({"country": "by[/]"})
    path = write(frame, tmp_path / "rows[b] :cat:.csv")
    result = scored(path, "--slice", "by[/]")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = result.stdout.replace("\n", "")
    assert "rows[b] :cat:.csv" in shown
    assert "slices of by[/], by their share of the loss" in shown


def test_the_tables_have_scores_classes_and_slices_in_eighty_columns(path):
    result = scored(path, "--slice", "country", "--slice", "user", "--interval", "0.9")
    assert (result.exit_code, result.stderr) == (0, "")
    truth = evaluate(labels=DATA["y"], proba=DATA["p"], classes=CLASSES, interval=0.9)
    low, high = truth.interval
    assert f"{truth.log_loss:.6g}  (90 %: {low:.6g} to {high:.6g})" in result.stdout
    assert re.search(r"classes\s+┏", result.stdout)
    words = " ".join(result.stdout.split())
    assert "slices of country, by their share of the loss ┏" in words
    assert "slices of user, by their share of the loss (20 of 40)" in words
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout


def test_options_reach_the_scores(tmp_path):
    text = "y,p,w\nno,0.25,1\nyes,0,2\nyes,0.5,1\nyes,7,1\n"
    (tmp_path / "rows.csv").write_text(text)
    common = ("--label", "y", "--json", "--on-bad-rows", "skip", "--weight", "w")
    result = invoke(
        "evaluate", tmp_path / "rows.csv", "--proba", "p", "--positive", "yes", "--clip", "spark", *common
    )
    got = json.loads(result.stdout)
    losses = -np.log([0.75, 1e-15, 0.5])
    assert got["log_loss"] == pytest.approx(np.average(losses, weights=[1, 2, 1]), rel=1e-14)
    assert (got["bad_rows"], got["n_infinite"]) == ({"range": 1}, 0)
    result = invoke(
        "evaluate", tmp_path / "rows.csv", "--logits", "p", "--classes", "no,yes", "--prior", "0.5", *common
    )
    got = json.loads(result.stdout)
    losses = np.logaddexp(0, [0.25, 0, -0.5, -7])
    assert got["log_loss"] == pytest.approx(np.average(losses, weights=[1, 2, 1, 1]), rel=1e-14)
    assert got["skill"] == pytest.approx(1 - got["log_loss"] / np.log(2), rel=1e-14)


def test_probabilities_passed_as_logits_are_scored_with_a_warning_in_options(tmp_path):
    source = tmp_path / "p.csv"
    source.write_text("y,p_a,p_b,p_c\na,0.5,0.25,0.25\nb,0.125,0.75,0.125\n")
    wrong = invoke("evaluate", source, "--label", "y", "--logits", "p_*", "--classes", "a,b,c")
    assert wrong.exit_code == 0
    assert wrong.stderr == (
        "Warning: each of the first 2 rows of logits lies in [0, 1] and sums to 1, as probabilities do; pass "
        "probabilities as --proba\n"
    )
    right = invoke("evaluate", source, "--label", "y", "--proba", "p_*", "--classes", "a,b,c")
    assert right.stderr == ""


def test_soft_labels_and_a_tolerance_of_sums(tmp_path):
    (tmp_path / "rows.csv").write_text("t_a,t_b,p_a,p_b\n0.5,0.5,0.505,0.505\n")
    common = ("evaluate", tmp_path / "rows.csv", "--label", "t_*", "--proba", "p_*", "--soft-labels")
    assert "pass distributions, or a larger --sum-tolerance" in invoke(*common).stderr
    result = invoke(*common, "--sum-tolerance", "0.02", "--json")
    assert json.loads(result.stdout)["log_loss"] == pytest.approx(-np.log(0.505), rel=1e-14)


def test_states_of_parts_add_up_to_the_state_of_the_whole(tmp_path):
    whole = table(DATA)
    for name, rows in (("a", whole.slice(0, 99)), ("b", whole.slice(99))):
        write(rows, tmp_path / f"{name}.parquet")
        assert scored(tmp_path / f"{name}.parquet", "--state", tmp_path / f"{name}.state").exit_code == 0
    parts = [tmp_path / "a.state", tmp_path / "b.state"]
    options = ["--interval", 0.8, "--prior", "0.5,0.2,0.3", "--json"]
    merged = invoke("merge", *parts, "--state", tmp_path / "all.state", *options)
    assert merged.exit_code == 0
    assert json.loads(merged.stdout)["confidence"] == 0.8
    both = scored(tmp_path / "*.parquet", *options)
    assert json.loads(merged.stdout) == json.loads(both.stdout)
    assert invoke("merge", parts[1], parts[0]).exit_code == 0
    assert State.from_bytes((tmp_path / "all.state").read_bytes()).finalize().n == len(whole)
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.parquet",
        "b.parquet",
        "a.state",
        "b.state",
        "all.state",
    }


# -------------------------------------------------------------------------------------------------------- gates


def of_coins(n):
    """Scores of predictions of 3/4, which are right: log loss 0.5623, skill 0."""
    return evaluate(labels=np.arange(n) % 4 != 0, proba=np.full(n, 0.75), prior=0.5)


def test_the_interval_decides_and_not_the_score():
    few, many = of_coins(40), of_coins(40000)
    assert few.log_loss == pytest.approx(many.log_loss, rel=1e-12)
    for limits in ({"max_log_loss": 0.6}, {"max_ece": 0.02}, {"min_skill": 0.15}):
        for result, passed in ((few, False), (many, True)):
            (gate,) = check_gates(result, **limits)
            assert gate.passed is passed, gate


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("1,0\n0,0.5\n", ("--max-log-loss", "1e9")),  # an infinite loss
        ("1,0.5\n", ("--max-log-loss", "1")),  # one row has no interval
        ("1,0.9\n1,0.8\n", ("--min-skill", "-100")),  # one class has no skill
        ("1,0\n0,0.5\n", ("--max-infinite", "0")),
    ],
)
def test_a_score_without_an_interval_passes_no_gate(text, options, tmp_path):
    (tmp_path / "rows.csv").write_text(f"y,p\n{text}")
    result = invoke("evaluate", tmp_path / "rows.csv", "--label", "y", "--proba", "p", *options)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Failed: {options[0]} ")
    assert len(result.stderr.splitlines()) == 1


def test_gates_that_fail_are_a_line_each_and_all_are_in_the_report(path, tmp_path):
    gates = ("--max-log-loss", 0.1, "--min-skill", 0.9, "--max-ece", 0.9, "--max-infinite", 0)
    result = scored(path, *gates, "--junit", tmp_path / "gates.xml", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["n"] == len(DATA["y"])
    lines = result.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["--max-log-loss 0.1", "--min-skill 0.9"]
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["--max-log-loss 0.1", "--min-skill 0.9"]


def test_a_page_says_which_gates_are_kept(path, tmp_path):
    scored(path, "--max-log-loss", 0.1, "--max-infinite", 0, "--out", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "- Failed: --max-log-loss 0.1: log loss is " in text
    assert "- Kept: --max-infinite 0: 0 rows have an infinite loss.\n" in text


def test_gates_that_are_kept_are_silent(path, tmp_path):
    result = scored(path, "--max-log-loss", 9, "--max-infinite", 0, "--junit", tmp_path / "gates.xml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert ElementTree.parse(tmp_path / "gates.xml").getroot().get("failures") == "0"


# --------------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--label", "y"), "pass one of --proba, --logits and --log-proba"),
        (
            ("--label", "y", "--proba", "p_*", "--logits", "p_*"),
            "pass one of --proba, --logits and --log-proba",
        ),
        (("--label", "y"), "such as --proba 'p_*'; passed: none"),
        (("--label", "y", "--proba", "p_*", "--log-proba", "p_*"), "passed: --proba and --log-proba"),
        (("--label", "why", "--proba", "p_*"), "has no column 'why'"),
        (("--label", "y", "--proba", "p_cta"), "Did you mean 'p_cat'?"),
        (
            ("--label", "y", "--proba", "p_*", "--classes", "a,b,c"),
            "pass --classes that name the columns, or list",
        ),
        (
            ("--label", "y", "--proba", "p_cat"),
            "pass --positive, the one that the column of predictions is for",
        ),
        (
            ("--label", "y", "--proba", "p_*", "--interval", "95"),
            "--interval is 95; pass the confidence of intervals, between 0 and 1",
        ),
        (("--label", "y", "--proba", "p_*", "--prior", "a"), "--prior is 'a'; pass numbers"),
        (
            ("--label", "y", "--proba", "p_*", "--prior", "0.5,0.5"),
            "prior has shape (2,), and there are 3 classes",
        ),
        (
            ("--label", "y", "--logits", "p_*", "--clip", "spark"),
            "--clip 'spark' reproduces a tool that takes",
        ),
        (("--label", "y", "--proba", "p_*", "--state", "/dev/null/x/state"), "Cannot write to /dev/null/x"),
    ],
)
def test_a_wrong_command_ends_with_code_2(arguments, words, path):
    result = invoke("evaluate", path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_bad_data_end_with_code_3_and_leave_no_file(path, tmp_path):
    with open(path) as file:
        (tmp_path / "rows.csv").write_text(file.read() + "0.5,0.5,0.5,cat,1,1,de\n")
    out = ("--state", tmp_path / "state", "--junit", tmp_path / "gates.xml")
    result = scored(tmp_path / "rows.csv", *out)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"row {len(DATA['y'])}: the probabilities sum to 1.5" in result.stderr
    assert "--on-bad-rows skip leaves such rows out" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("name", "line"), [("rows.csv", "a,0.5\n"), ("rows.jsonl", '{"y": "a", "p": 0.5}\n')]
)
def test_a_command_that_gives_up_in_a_large_file_ends(name, line, tmp_path):
    (tmp_path / name).write_text(("y,p\n" if name == "rows.csv" else "") + line * 1_000_000)
    call = "from crossentropy.cli import main; main()"
    command = [sys.executable, "-c", call, "evaluate", tmp_path / name, "--label", "y", "--proba", "p"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pass --positive" in done.stderr


def test_a_file_that_is_not_there_ends_with_code_2():
    result = scored("nowhere.csv")
    assert (result.exit_code, result.stderr.splitlines()[0][:34]) == (2, "Error: there is no file 'nowhere.c")


def test_what_is_no_state_cannot_be_merged(path, tmp_path):
    result = invoke("merge", path)
    assert result.exit_code == 3
    assert f"{path}: these" in result.stderr
    scored(path, "--state", tmp_path / "a")
    scored(path, "--state", tmp_path / "b", "--weight", "w")
    result = invoke("merge", tmp_path / "a", tmp_path / "b", "--state", tmp_path / "c")
    assert result.exit_code == 3
    assert "the states are declared differently: weighted False and True" in result.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ('on_bad_rows="skip" leaves', "--on-bad-rows skip leaves"),
        ("pass soft_labels=True if", "pass --soft-labels if"),
        ("pass classes=(negative, positive), or", "pass --classes NEGATIVE,POSITIVE, or"),
        ("positive='c' is one", "--positive 'c' is one"),
        ("log_proba= if these", "--log-proba if these"),
    ],
)
def test_messages_name_options_as_they_are_written(python, command):
    assert in_options(python) == command


def test_out_writes_a_page_that_says_how_it_was_made(path, tmp_path):
    page = tmp_path / "new" / "report.html"
    result = scored(path, "--out", page)
    assert (result.exit_code, result.stderr) == (0, "")
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() in text
    assert f"{of_arrays(DATA).n:,}" in text


def test_of_what_can_be_read_only_once_a_page_has_the_name_alone(tmp_path):
    """As of ``<(zcat rows.csv.gz)`` in a shell; a second reading would wait, or find nothing."""
    source, end = os.pipe()
    with os.fdopen(end, "wb") as file:
        file.write(b"y,p\n0,0.2\n1,0.7\n")
    done = invoke(
        *("evaluate", f"/dev/fd/{source}", "--label", "y", "--proba", "p", "--out", tmp_path / "report.html")
    )
    os.close(source)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report.html").read_text()
    assert f"/dev/fd/{source}" in text
    assert hashlib.sha256(b"").hexdigest() not in text


def test_merge_writes_a_page_of_states(path, tmp_path):
    state, page = tmp_path / "1.state", tmp_path / "report.html"
    assert scored(path, "--state", state).exit_code == 0
    assert invoke("merge", state, "--out", page).exit_code == 0
    assert hashlib.sha256(state.read_bytes()).hexdigest() in page.read_text()


def test_out_writes_markdown_and_json(path, tmp_path):
    for name in ("report.md", "report.json"):
        assert scored(path, "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "report.md").read_text().startswith("# Evaluation of predictions")
    assert json.loads((tmp_path / "report.json").read_text())["n"] == len(DATA["y"])


def test_out_of_another_format_is_refused_before_any_work(path, tmp_path):
    out = tmp_path / "report.pdf"
    result = scored("no such file", "--out", out)
    assert result.exit_code == 2
    assert f"--out is {str(out)!r}; pass a file that ends in .html, .md, .json" in result.stderr


def test_a_slice_that_is_asked_for_twice_is_scored_once(path):
    once, twice = (scored(path, *("--slice", "country") * k, "--json").stdout for k in (1, 2))
    assert once == twice
