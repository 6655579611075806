"""What a training shows while it runs."""

import io

from rich.console import Console

from crossentropy.sklearn import Epoch
from crossentropy.training.display import classes_table, training_progress
from crossentropy.training.scores import ClassScores, Scores
from crossentropy.training.terminal import terminal

EPOCH = Epoch(199, 0.1, 0.1, 0.9, 0.5, 0.5, 0.9)
TITLE = "generalized_cross_entropy(q=0.7): "


def test_below_its_title_the_bar_shows_both_losses_and_the_accuracy_in_80_columns():
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with training_progress(terminal, 200, TITLE) as show:
        show(EPOCH)
    shown = terminal.file.getvalue()
    assert shown.startswith(TITLE + "\n")
    last = shown.split("\x1b[2K")[-1]
    assert "epoch 199/200" in last
    assert "train 0.1000  validation 0.5000 nats  accuracy 90.0% 0:00:00" in last


def test_without_a_terminal_nothing_is_shown():
    console = Console(file=io.StringIO())
    with training_progress(console, 200, TITLE) as show:
        show(EPOCH)
    assert console.file.getvalue() == ""


def test_classes_are_shown_as_they_are_called(capsys):
    classes = ["[b]old", "[/]", ":cat:"]
    scores = Scores(0.5, 0.5, classes=(ClassScores(1, 1.0, 1.0, 1.0),) * 3)
    terminal().print(classes_table("rows of [b].csv", scores, classes))
    shown = capsys.readouterr().out
    assert all(f"│ {name} " in shown for name in classes)
    assert "rows of [b].csv" in shown
