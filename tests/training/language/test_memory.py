import pytest
import torch

from crossentropy.training.language.checkpoint import load_checkpoint, save_checkpoint
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.memory import peak_memory

pytestmark = pytest.mark.skipif(peak_memory() is None, reason="this system does not say")


def test_the_peak_has_room_for_what_was_in_memory_once():
    filled = torch.ones(2**24)
    size = filled.nbytes
    del filled
    assert peak_memory() >= size


def test_a_run_tells_the_peak_of_its_process(bottles_run):
    assert 2**26 < bottles_run.memory <= peak_memory()  # PyTorch alone takes more


def test_a_run_that_goes_on_tells_the_largest_peak_of_its_processes(tiny, tmp_path):
    def stop_at_5(history):
        if len(history.losses) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepare(tiny(), tmp_path), stop_at_5)
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(load_checkpoint(path) | {"memory": 2**60}, path)
    assert train(prepare(tiny(), tmp_path)).memory == 2**60
