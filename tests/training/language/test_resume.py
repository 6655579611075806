"""A run that is killed goes on, and ends with the same bits as one that is not."""

import os
import subprocess
import sys

import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.files import write_language_run

KILL = """
import os, signal, sys
import torch
from crossentropy.training.language import fit
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.files import write_language_run
from crossentropy.training.language.options import LanguageOptions
from pathlib import Path

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def at_step(step):
    draw = fit.draw_batch
    fit.draw_batch = lambda tokens, now, options: die() if now == step else draw(tokens, now, options)

def while_file_is_written(number):
    save, calls = torch.save, []
    def kill(state, file):
        calls.append(file)
        if len(calls) < number:
            return save(state, file)
        with open(file, "wb") if isinstance(file, Path) else file as half:
            half.write(b"half of it")
            half.flush()
            die()
    torch.save = kill

options, out, moment = sys.argv[1:]
eval(moment)
write_language_run(train(prepare(eval(options), Path(out))), Path(out))
"""


def run(options, out):
    prepared = prepare(options, out)
    finished = train(prepared)
    write_language_run(finished, out)
    return prepared.notices, finished


def state_dict(out):
    return torch.load(out / "model.pt", weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("at_step(9)", "after step 8 of 12"),
        ("while_file_is_written(2)", "after step 4 of 12"),
        ("while_file_is_written(4)", "all of the 12 steps"),
    ],
    ids=[
        "between checkpoints",
        "while a checkpoint is written",
        "while the results are written",
    ],
)
def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_bits(
    tiny, tmp_path, bottles_run, moment, said
):
    options, out = tiny(), tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", KILL, repr(options), out, moment],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == -9
    assert not (out / "model.pt").exists()

    notices, finished = run(options, out)
    assert said in notices[0]
    write_language_run(bottles_run, tmp_path / "whole")
    for name, weight in state_dict(tmp_path / "whole").items():
        assert torch.equal(state_dict(out)[name], weight), name
    assert finished.history == bottles_run.history
    assert (out / "sample.txt").read_bytes() == (tmp_path / "whole" / "sample.txt").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["checkpoint.pt", *(path.name for path in (tmp_path / "whole").iterdir())]
    )


def test_a_finished_run_is_not_trained_again(tiny, tmp_path):
    _, first = run(tiny(), tmp_path)
    steps = []
    prepared = prepare(tiny(), tmp_path)
    assert "has all of the 12 steps" in prepared.notices[0]
    again = train(prepared, steps.append)
    assert not steps
    assert again.score == first.score
    assert again.memory == first.memory
    assert all(
        torch.equal(*pair) for pair in zip(again.model.parameters(), first.model.parameters(), strict=True)
    )


def test_a_run_goes_on_with_as_many_threads_as_it_began_with(tiny, tmp_path):
    seen = []

    def stop_at_6(history):
        seen.append(torch.get_num_threads())
        if len(history.losses) == 6 and len(seen) == 6:
            raise KeyboardInterrupt

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(KeyboardInterrupt):
            train(prepare(tiny(), tmp_path), stop_at_6)
        torch.set_num_threads(2)
        train(prepare(tiny(), tmp_path), stop_at_6)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert seen == [3] * (6 + 8)


def test_another_run_in_the_same_folder_is_refused(tiny, tmp_path, text_file):
    run(tiny(), tmp_path)
    with pytest.raises(InputError, match="--steps 12, not 13"):
        prepare(tiny(steps=13), tmp_path)
    (tmp_path / "other.txt").write_text(text_file.read_text() + "more\n")
    with pytest.raises(InputError, match="other text"):
        prepare(tiny(files=(str(tmp_path / "other.txt"),)), tmp_path)
