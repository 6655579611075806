"""What a training shows while it runs."""

import io

from rich.console import Console

from crossentropy.sklearn import Epoch
from crossentropy.training.display import training_progress

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
