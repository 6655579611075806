"""A run that is killed goes on from its last checkpoint, and takes the steps that it would have taken.

What it begins with there is what was kept, to the bit. Its further steps multiply matrices by PyTorch, which is not
promised to round twice alike: they agree with those of a run that was not killed as two such runs agree.
"""

import copy
import dataclasses
import os
import subprocess
import sys

import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.language import experiment, fit
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.files import write_language_run
from crossentropy.training.language.model import Transformer

#: Two uninterrupted runs on a processor where PyTorch's products round differently from run to run differed by 1e-6 of
#: a loss after 40 steps.
CLOSE = 1e-4
#: AdamW moves an entry by the step size however small its gradient: where that is rounding, the sign may be another.
STEP_OF_ROUNDING = 12 * 2 * 3e-3

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
        pytest.param("while_file_is_written(2)", "after step 4 of 12", marks=pytest.mark.full),
        ("while_file_is_written(4)", "all of the 12 steps"),
    ],
    ids=[
        "between checkpoints",
        "while a checkpoint is written",
        "while the results are written",
    ],
)
def test_a_killed_run_goes_on_from_its_last_checkpoint(tiny, tmp_path, bottles_run, moment, said):
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
        torch.testing.assert_close(state_dict(out)[name], weight, rtol=0, atol=STEP_OF_ROUNDING, msg=name)
    assert finished.history.losses == pytest.approx(bottles_run.history.losses, rel=CLOSE)
    assert [e.step for e in finished.history.evaluations] == [4, 8, 12]
    for found, expected in zip(finished.history.evaluations, bottles_run.history.evaluations, strict=True):
        assert found.score.nats == pytest.approx(expected.score.nats, rel=CLOSE)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["checkpoint.pt", *(path.name for path in (tmp_path / "whole").iterdir())]
    )


def stop_after(steps):
    """What stops a run after so many steps."""

    def stop(history):
        if len(history.losses) == steps:
            raise KeyboardInterrupt

    return stop


def test_what_a_run_goes_on_with_is_what_was_kept_to_the_bit(tiny, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(prepare(tiny(), tmp_path), stop_after(9))
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    begun = []

    def begin(model, optimizer, history, *others):
        begun.append(copy.deepcopy((model.state_dict(), optimizer.state_dict(), dataclasses.asdict(history))))
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "fit", begin)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(tiny(), tmp_path))
    ((model, optimizer, history),) = begun
    assert len(history["losses"]) == 8
    assert history == kept["history"]
    assert list(model) == list(kept["model"])
    assert all(torch.equal(model[name], kept["model"][name]) for name in model)
    assert optimizer["param_groups"] == kept["optimizer"]["param_groups"]
    assert list(optimizer["state"]) == list(kept["optimizer"]["state"])
    for parameter, moments in optimizer["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, kept["optimizer"]["state"][parameter][name]), (parameter, name)


def test_a_run_that_goes_on_draws_the_batches_and_the_dropout_of_one_that_does_not(
    tiny, tmp_path, monkeypatch
):
    drawn = []

    def draw(tokens, step, options):
        windows = draw_batch(tokens, step, options)
        drawn.append((step, windows[0].tolist()))
        return windows

    def forward(model, inputs):
        if model.training:
            drawn.append(torch.default_generator.initial_seed())
        return transform(model, inputs)

    draw_batch, transform = fit.draw_batch, Transformer.forward
    monkeypatch.setattr(fit, "draw_batch", draw)
    monkeypatch.setattr(Transformer, "forward", forward)
    train(prepare(tiny(), tmp_path / "whole"))
    whole, drawn[:] = list(drawn), []
    with pytest.raises(KeyboardInterrupt):
        train(prepare(tiny(), tmp_path / "stopped"), stop_after(9))
    drawn.clear()
    torch.manual_seed(17)
    train(prepare(tiny(), tmp_path / "stopped"))
    assert drawn == whole[-8:]  # of steps 8 to 11
    assert drawn[0][0] == 8


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
