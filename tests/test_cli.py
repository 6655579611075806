"""The command line, from the outside: exit codes, what is printed, what is left on disk."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import crossentropy
import crossentropy.losses
from crossentropy.cli.app import app

RUN = [sys.executable, "-c", "from crossentropy.cli import main; main()"]
PROJECT = Path(__file__).parent.parent / "pyproject.toml"
ROWS = range(30)
GOOD = "size,label\n" + "".join(f"{7 * i % 10},{'ab'[i % 2]}\n" for i in ROWS)


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def test_training_prints_the_scores_beside_the_baseline_and_writes_the_files(tmp_path):
    result = invoke("train", "iris", "--epochs", 2, "--out", tmp_path / "out")
    assert result.exit_code == 0
    for words in (
        "30 held-out rows",
        "model",
        "baseline",
        "log loss, nats",
        "log loss, bits",
        "perplexity",
        "accuracy",
    ):
        assert words in result.stdout
    assert "entropy of the training frequencies is 1.0986 nats" in " ".join(result.stdout.split())
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "model.pt",
        "history.json",
        "predictions.parquet",
        "curves.svg",
        "evaluation.json",
    }


def test_a_file_is_trained_on_and_what_is_left_out_of_it_is_said(tmp_path):
    table = "id,size,kind\n" + "".join(f"row {i},{7 * i % 10},{'ab'[i % 2]}\n" for i in ROWS)
    (tmp_path / "table.csv").write_text(table)
    result = invoke(
        "train", tmp_path / "table.csv", "--label", "kind", "--epochs", 1, "--out", tmp_path / "out"
    )
    assert result.exit_code == 0
    assert re.search(r"id +│ id .* 30 different texts", result.stderr)


def table_of_columns() -> str:
    """A table with a column of each fate, labels that a number tells with noise, and a comma as decimal mark."""
    random = np.random.default_rng(0)
    lines = [";kg;plant;year;place;note;label"]
    for i in range(100):
        x = random.normal()
        label = "yes" if x + random.normal() > 0 else "no"
        kg = f"{x:.2f} kg".replace(".", ",")
        lines.append(f"{i};{kg};{random.choice([7, 8])};2020-0{1 + i % 9}-11;p{i};{i * 7919 % 100};{label}")
    return "\n".join(lines)


def test_what_becomes_of_columns_is_printed_and_kept_with_all_that_was_said(tmp_path):
    (tmp_path / "t.csv").write_text(table_of_columns())
    options = ["--text", "plant", "--id", "place", "--drop", "note", "--epochs", 1]
    result = invoke("train", tmp_path / "t.csv", *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    uses = {column["column"]: column["use"] for column in history["columns"]}
    assert uses == {
        "unnamed column 1": "id",
        "kg": "number",
        "plant": "category",
        "year": "date",
        "place": "id",
        "note": "dropped",
        "label": "label",
    }
    said = result.stderr.replace("│", " ")
    for column, use in uses.items():
        assert re.search(rf"^ +{column} +{use}", said, re.MULTILINE)
    assert history["options"]["reading"]["ids"] == ["place"]
    assert len(history["notices"]) == 2
    for notice in history["notices"]:
        assert notice in result.stderr
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert [f"p{row}" for row in predictions["row"]] == predictions["id[place]"].tolist()


def test_a_table_of_held_out_rows_is_scored_and_the_rest_split_in_two(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "held_out.csv").write_text("label,extra,size\na,0,3\nb,0,10\nc,0,5\nb,0,7\n")
    arguments = ["train", tmp_path / "t.csv", "--test", tmp_path / "held_out.csv", "--epochs", 1]
    result = invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history["rows"] == {"train": 22, "validation": 8, "test": 3}
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert predictions["row"].tolist() == [0, 1, 3]
    assert predictions["label"].tolist() == ["a", "b", "b"]
    for words in (
        "not used: 'extra'",
        "1 row has no label in column 'label', or one that training did not have",
    ):
        assert words in result.stderr
        assert any(words in notice for notice in history["notices"])
    assert "held_out.csv: 3 held-out rows" in "".join(result.stdout.split("\n"))


def test_held_out_rows_need_a_column_of_labels(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "new.csv").write_text("size\n3\n10\n")
    arguments = ["train", tmp_path / "t.csv", "--test", tmp_path / "new.csv", "--epochs", 1]
    result = invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "new.csv has no column 'label', that of the labels: to predict its rows, train" in result.stderr


def test_weights_by_name_weigh_these_classes(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    arguments = ["train", tmp_path / "t.csv", "--class-weight", "b=60", "--epochs", 2]
    result = invoke(*arguments, "--out", tmp_path / "out")
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history["class_weights"] == [1.0, 60.0]
    assert "The classes have weights in the loss (a 1, b 60)" in " ".join(result.stdout.split())
    assert set(pd.read_parquet(tmp_path / "out" / "predictions.parquet")["predicted"]) == {"b"}


def test_a_column_that_a_rule_leaves_out_can_be_kept(tmp_path):
    (tmp_path / "t.csv").write_text("n,label\n" + "".join(f"{i},{'ab'[i // 20]}\n" for i in range(40)))
    arguments = ["train", tmp_path / "t.csv", "--epochs", 1, "--out", tmp_path / "out"]
    assert (
        "no column left to predict 'label' from ('n' is left out: it counts the rows)"
        in invoke(*arguments).stderr
    )
    kept = invoke(*arguments, "--keep", "n")
    assert kept.exit_code == 0
    assert "kept although it counts the rows" in " ".join(kept.stderr.replace("│", " ").split())


def test_rows_of_rare_classes_are_left_out_or_merged_by_option(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD + "3,c\n4,d\n5,d\n6,e\n7,e\n")
    arguments = ["train", tmp_path / "t.csv", "--epochs", 1, "--out", tmp_path / "out"]
    assert (
        "fewer are in 'c', 'd', 'e'. To leave such classes out, pass --min-class 5"
        in invoke(*arguments).stderr
    )
    left_out = invoke(*arguments, "--min-class", 5)
    assert "'c', 'd', 'e'; 5 rows) are left out" in left_out.stderr
    merged = invoke(*arguments, "--min-class", 5, "--merge-rare", "--overwrite")
    assert "merged into one, 'other'" in merged.stderr
    assert (left_out.exit_code, merged.exit_code) == (0, 0)
    assert "p[other]" in pd.read_parquet(tmp_path / "out" / "predictions.parquet")


def test_classes_around_two_to_the_63_have_a_probability_each(tmp_path):
    labels = [2**63 - 1, 2**63, 2**63 + 1, -1]
    (tmp_path / "t.csv").write_text(
        "x,label\n" + "".join(f"{7 * i % 10},{labels[i % 4]}\n" for i in range(40))
    )
    result = invoke("train", tmp_path / "t.csv", "--epochs", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    predictions = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert [name for name in predictions if name.startswith("p[")] == [
        f"p[{label}]" for label in sorted(labels)
    ]
    assert set(predictions["label"]) == set(map(str, labels))


@pytest.mark.parametrize(
    ("table", "arguments", "words"),
    [
        (GOOD, ["--label", "kind"], "no column 'kind'"),
        (GOOD.replace("label", "kind"), [], "--label"),
        ("", [], "is empty"),
        ("size,label\n", [], "no rows"),
        (GOOD.replace("b", "a").replace("laael", "label"), [], "one class only"),
        (GOOD.replace("a\n", "0.5\n"), ["--label", "size"], "at least 5 rows"),
        ("size,label\n" + "".join(f"{i},{i / 4}\n" for i in ROWS), [], "regression"),
        (GOOD.replace("a\n", "\n"), [], "15 rows have no label"),
        (GOOD, ["--loss", "hinge"], "'hinge' is the name of no loss. Did you mean hinge_loss?"),
        (GOOD, ["--loss", "focal(gama=2)"], "'gama'"),
        (GOOD, ["--loss", "hard_example_loss"], "needs keep=number"),
        (GOOD, ["--loss", "cross_entropy(class_weight=heavy)"], "class_weight=balanced"),
        (GOOD, ["--hidden", "wide"], "256,128"),
        (GOOD, ["--hidden", "0"], "at least one unit"),
        (GOOD, ["--epochs", "0"], "at least 1"),
        (GOOD, ["--learning-rate", "0"], "above 0"),
        (GOOD, ["--learning-rate", "1e30"], "diverged"),
        (GOOD, ["--weight-decay", "-1"], "--weight-decay is a number, 0 or above, so not -1"),
        (GOOD, ["--seed", "-1"], "seed"),
        (GOOD, ["--batch", "0"], "--batch is a whole number of at least 1"),
        (GOOD, ["--patience", "0"], "--patience is a whole number of at least 1"),
        (GOOD, ["--dropout", "1"], "below 1"),
        (GOOD, ["--select", "loss"], "objective, log_loss or accuracy, and not 'loss'"),
        (GOOD, ["--split", "60,40"], "three positive numbers such as 60,20,20"),
        (GOOD, ["--split", "60,40,0"], "three positive numbers"),
        (GOOD, ["--class-weight", "heavy"], "such as yes=60,no=1, and not 'heavy'"),
        (GOOD, ["--class-weight", "a=0"], "positive numbers"),
        (GOOD, ["--class-weight", "c=2"], "no class 'c'; the classes are 'a', 'b'"),
        (GOOD, ["--test", "no_such.csv"], "no file 'no_such.csv'"),
        (GOOD, ["--test", "iris"], "--test: The table has no column 'size', which the model was trained on"),
        (GOOD, ["--resume"], "There is no folder"),
        (GOOD, ["--id", "size", "--drop", "size"], "--drop and --id both name 'size'"),
        (GOOD, ["--label", "Label"], "Did you mean 'label'?"),
        (GOOD, ["--merge-rare"], "pass --min-class too"),
        (GOOD, ["--hidden", "10000000,10000000"], "pass a smaller --hidden than 10000000,10000000"),
        (GOOD, ["--resume", "--overwrite"], "pass one of them"),
        (GOOD, ["--device", "abacus"], "'abacus', which PyTorch does not have"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_error_on_stderr_exit_code_2_and_no_output(tmp_path, table, arguments, words):
    (tmp_path / "table.csv").write_text(table)
    result = invoke("train", tmp_path / "table.csv", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("Error: ") == 1
    error = result.stderr[result.stderr.index("Error: ") :]
    assert words in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_output_folder_is_looked_at_before_the_work_is_done(tmp_path):
    (tmp_path / "out").write_text("a file")
    result = invoke("train", "no_such_data", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr


def test_an_option_that_is_no_number_is_a_usage_error(tmp_path):
    result = invoke("train", "iris", "--epochs", "many", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--epochs" in result.stderr


@pytest.mark.parametrize(("module", "options"), [("sklearn", []), ("typer", []), ("optuna", ["--tune", "2"])])
def test_a_missing_package_is_named_with_a_line_that_installs_what_is_needed(tmp_path, module, options):
    check = f"import sys; sys.modules[{module!r}] = None; from crossentropy.cli import main; main()"
    command = [sys.executable, "-c", check, "train", "iris", "--out", str(tmp_path / "out"), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert result.stderr.startswith(f"Error: The package {module} is not installed")
    assert result.stderr.count("\n") == 1
    packages = re.findall(r'"([^"]+)"', result.stderr.partition("pip install ")[2])
    (wanted,) = re.findall(r"^train = (\[.*?\])", PROJECT.read_text(), re.MULTILINE | re.DOTALL)
    assert sorted(packages) == sorted(re.findall(r'"([^"]+)"', wanted))


@pytest.mark.parametrize("loss", ["ldam_loss(scale=1)", "cross_entropy(class_weight=balanced)"])
def test_a_loss_of_the_class_counts_trains(tmp_path, loss):
    result = invoke("train", "iris", "--epochs", 2, "--loss", loss, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr


def listed_losses():
    """The lines of `crossentropy losses` by loss, and the headings above them."""
    lines = invoke("losses").stdout.splitlines()
    return {line.split()[0]: line for line in lines if line.startswith("  ")}, [
        line for line in lines if ": when " in line
    ]


def test_losses_are_listed_by_family_with_when_to_use_it():
    from crossentropy._loss_expressions.known_losses import public_losses
    from crossentropy.training.families import FAMILIES

    lines, headings = listed_losses()
    assert headings == [f"{family.title}: when {family.use_when}" for family in FAMILIES]
    assert "Focusing: when easy examples drown the hard ones" in headings
    assert all(len(heading) <= 110 for heading in headings)
    members = [name for family in FAMILIES for name in family.losses]
    assert sorted(members) == sorted(public_losses())  # each in one family
    assert list(lines) == members


def test_losses_are_listed_a_line_each_with_their_paper():
    lines, _ = listed_losses()
    public = {name for name in crossentropy.losses.__all__ if name.endswith(("_loss", "_cross_entropy"))}
    assert public <= set(lines)
    assert "ldam_margins" not in lines
    assert lines["focal_loss"].split(maxsplit=2)[1] == "--loss"
    assert lines["focal_loss"].endswith("−(1 − p)^γ log p. (Lin et al., ICCV 2017)")
    assert "--loss" not in lines["ctc_loss"]


def test_every_loss_that_says_its_paper_is_listed_with_a_paper():
    lines, _ = listed_losses()
    for name, line in lines.items():
        if "References" in getattr(crossentropy.losses, name).__doc__:
            assert re.search(r" \(.* \d{4}\)$", line), line


def test_losses_are_listed_without_the_packages_that_train():
    missing = ("torch", "sklearn", "pandas", "pyarrow", "matplotlib")
    check = (
        f"import sys; sys.modules.update(dict.fromkeys({missing})); import crossentropy.cli as c; c.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", check, "losses"], capture_output=True, text=True, check=True
    )
    assert "focal_loss" in result.stdout


def test_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"{crossentropy.__version__}\n")


def test_help_does_not_wait_for_the_heavy_packages():
    check = "import sys, crossentropy.cli.app; print({'torch', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize("data", ["no_such_file.csv", "."])
def test_a_path_that_is_not_there_is_said_before_the_heavy_imports(tmp_path, data):
    check = f"""
import sys, crossentropy.cli
sys.argv = ["crossentropy", "train", {data!r}, "--out", {str(tmp_path / "out")!r}]
try:
    crossentropy.cli.main()
except SystemExit as end:
    print(end.code, {{"torch", "sklearn", "pandas", "pyarrow", "matplotlib", "scipy"}} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stderr.startswith(("Error: There is no file", "Error: . is a folder"))
    assert result.stdout == "2 set()\n"


@pytest.mark.full
def test_two_processes_with_the_same_seed_write_the_same_history_and_predictions(tmp_path: Path):
    for out in ("a", "b"):
        command = [*RUN, "train", "wine", "--epochs", "3", "--seed", "7", "--out", tmp_path / out]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        # no terminal, no bar; and a bundled table needs no remark
        assert re.fullmatch(r"An epoch of .* rows per second\.\n", result.stderr)
        assert "log loss, nats" in result.stdout
    first, second = (json.loads((tmp_path / out / "history.json").read_text()) for out in ("a", "b"))
    assert first | {"rows_per_second": None} == second | {"rows_per_second": None}
    for name in ("predictions.parquet", "curves.svg", "evaluation.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
