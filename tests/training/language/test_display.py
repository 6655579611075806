import io

import pytest
from rich.console import Console

from crossentropy.evaluation import language_score
from crossentropy.training.language.display import language_progress
from crossentropy.training.language.fit import Evaluation, History

SCORE = language_score(log_probs=[-5000.0], tokens=[1000], bytes=[4000])  # 5 nats a token, 1.803 bits a byte


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)


def last_line(console: Console) -> str:
    return console.file.getvalue().split("\x1b[2K")[-1]


def test_the_bar_shows_nats_per_token_and_bits_per_byte_in_80_columns(terminal):
    with language_progress(terminal, 1000) as show:
        show(History([8.1234] * 999, [Evaluation(990, SCORE)]))
    assert "999/1000" in last_line(terminal)
    assert "nats/token 8.123, held out 5.000  bits/byte 1.803" in last_line(terminal)
    assert "…" not in last_line(terminal)


def test_before_the_first_evaluation_it_shows_the_training_loss(terminal):
    with language_progress(terminal, 10) as show:
        show(History([8.1234]))
    assert "nats/token 8.123 " in last_line(terminal)


def test_without_a_terminal_there_is_no_bar():
    console = Console(file=io.StringIO())
    with language_progress(console, 10) as show:
        show(History([8.1234]))
    assert console.file.getvalue() == ""
