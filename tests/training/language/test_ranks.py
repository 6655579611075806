"""`train-lm` on several processes has the losses of one, and goes on with another number of them."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

ARGUMENTS = "--vocabulary 300 --context 16 --layers 1 --width 16 --heads 2 --batch 5 --checkpoint-every 4"
STOP = """
import sys
from crossentropy.cli.app import app
from crossentropy.training.language import experiment
save = experiment.save_checkpoint
def stop(state, path):
    save(state, path)
    if len(state["history"]["losses"]) == int(sys.argv[1]):
        sys.exit(7)
experiment.save_checkpoint = stop
app(sys.argv[2:])
"""


def command(count, out, text_file, steps=8, stop=0):
    """Run the command on `count` processes; with `stop`, until that many steps are in the checkpoint."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = out.parent / "program.py"
    program.write_text(STOP)
    launch = [sys.executable]
    if count > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    verb = ["train-lm", str(text_file), "--out", str(out), "--steps", str(steps), *ARGUMENTS.split()]
    return subprocess.run(
        [*launch, str(program), str(stop), *verb],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def history(out):
    return json.loads((out / "history.json").read_text())


@pytest.fixture(scope="module")
def alone(text_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "run"
    assert command(1, out, text_file).returncode == 0
    return history(out)


def assert_same_run(found, expected):
    """Sums of gradients in another order round differently, and AdamW carries that on."""
    assert found["step_nats_per_token"] == pytest.approx(expected["step_nats_per_token"], rel=1e-4)
    for now, before in zip(found["evaluations"], expected["evaluations"], strict=True):
        assert now["nats_per_token"] == pytest.approx(before["nats_per_token"], rel=1e-4)


def test_two_processes_have_the_losses_of_one_and_print_once(alone, text_file, tmp_path):
    done = command(2, tmp_path / "run", text_file)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same_run(history(tmp_path / "run"), alone)
    assert done.stdout.count("perplexity per token") == 1


@pytest.mark.parametrize(("first", "then"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.full)])
def test_a_run_goes_on_with_another_number_of_processes(alone, text_file, tmp_path, first, then):
    assert command(first, tmp_path / "run", text_file, stop=4).returncode != 0
    assert not (tmp_path / "run" / "history.json").exists()
    done = command(then, tmp_path / "run", text_file)
    assert "after step 4 of 8" in " ".join(done.stderr.split())
    assert_same_run(history(tmp_path / "run"), alone)
