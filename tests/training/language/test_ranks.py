"""`train-lm` on several processes has the losses of one, and goes on with another number of them."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

from crossentropy.cli.app import app
from crossentropy.training.language import experiment

ARGUMENTS = (
    "--vocabulary 300 --context 16 --layers 1 --width 16 --heads 2 --batch 5 --checkpoint-every 4 --steps 8"
)
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_ranks
test_ranks.train(*sys.argv[2:])
"""


class Stopped(Exception):
    """A run was stopped."""


def train(text_file, out, stop=0):
    """Run the command; with `stop`, until that many steps are in the checkpoint."""
    save = experiment.save_checkpoint

    def save_and_stop(state, path):
        save(state, path)
        if len(state["history"]["losses"]) == int(stop):
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "save_checkpoint", save_and_stop)
        app(["train-lm", str(text_file), "--out", str(out), *ARGUMENTS.split()], standalone_mode=False)


def train_on_two(*arguments):
    """Run the command with these arguments on two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = arguments[1].parent / "program.py"
    program.write_text(PROGRAM)
    return subprocess.run(
        [*launch, str(program), os.path.dirname(__file__), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def history(out):
    return json.loads((out / "history.json").read_text())


@pytest.fixture(scope="module")
def alone(text_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    train(text_file, out)
    return history(out)


def assert_same_run(found, expected):
    """Sums of gradients in another order round differently, and AdamW carries that on."""
    assert found["step_nats_per_token"] == pytest.approx(expected["step_nats_per_token"], rel=1e-4)
    for now, before in zip(found["evaluations"], expected["evaluations"], strict=True):
        assert now["nats_per_token"] == pytest.approx(before["nats_per_token"], rel=1e-4)


def test_two_processes_have_the_losses_of_one_and_print_once(alone, text_file, tmp_path):
    done = train_on_two(text_file, tmp_path / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same_run(history(tmp_path / "run"), alone)
    assert done.stdout.count("perplexity per token") == 1


def test_a_run_of_one_process_goes_on_with_two(alone, text_file, tmp_path):
    with pytest.raises(Stopped):
        train(text_file, tmp_path / "run", 4)
    assert not (tmp_path / "run" / "history.json").exists()
    done = train_on_two(text_file, tmp_path / "run")
    assert "after step 4 of 8" in " ".join(done.stderr.split())
    assert_same_run(history(tmp_path / "run"), alone)


@pytest.mark.full
def test_a_run_of_two_processes_goes_on_with_one(alone, text_file, tmp_path, capsys):
    assert "Stopped" in train_on_two(text_file, tmp_path / "run", 4).stderr
    assert not (tmp_path / "run" / "history.json").exists()
    train(text_file, tmp_path / "run")
    assert "after step 4 of 8" in " ".join(capsys.readouterr().err.split())
    assert_same_run(history(tmp_path / "run"), alone)
