"""Every option of ``crossentropy train`` reaches the training; they are written in its signature and in `Options`."""

import dataclasses

import pytest
import typer
from typer.testing import CliRunner

from crossentropy.cli.app import app
from crossentropy.training import command

#: values that differ from the defaults
VALUES = {
    "class_weight": "setosa=2",
    "correct_weights": None,
    "decimal": ",",
    "dropout": "0.25",
    "hidden": "7",
    "learning_rate": "0.25",
    "merge_rare": None,
    "resume": None,
    "select": "accuracy",
    "separator": ";",
    "split": "50,25,25",
    "test": "wine",
    "weight_decay": "0.25",
}
OPTIONS = [
    name
    for name in (parameter.name for parameter in typer.main.get_command(app).commands["train"].params)
    if name not in ("data", "out", "overwrite", "help")
]


def passed(monkeypatch, folder, *arguments: str) -> dict:
    """What the command passes to the training, by name."""
    found = {}

    def run_command(options, losses, out, *, trials, resume):
        told = dataclasses.asdict(options)
        found.update(told | told.pop("reading"), losses=losses, trials=trials, resume=resume)

    monkeypatch.setattr(command, "run_command", run_command)
    (folder / "model.pt").touch()
    result = CliRunner().invoke(app, ["train", "iris", "--out", str(folder), *arguments])
    assert result.exit_code == 0, result.output
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_changes_one_choice(name, tmp_path, monkeypatch):
    common = ["--min-class", "3"] if name == "merge_rare" else []
    before = passed(monkeypatch, tmp_path, "--overwrite", *common)
    value = VALUES.get(name, "9")
    given = [f"--{name.replace('_', '-')}", *([] if value is None else [value])]
    after = passed(monkeypatch, tmp_path, *([] if name == "resume" else ["--overwrite"]), *given, *common)
    assert sum(before[key] != after[key] for key in before) == 1


def test_no_choice_is_without_an_option():
    known = {field.name for field in dataclasses.fields(command.Options)} - {"data", "reading"}
    assert known <= {*OPTIONS}
