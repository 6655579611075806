"""What is read from the folder of a run, and what is refused."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

import crossentropy
import crossentropy.training
from crossentropy.training.errors import InputError


class Attack:
    """A value whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("where", ["whole", "in a list of the state", "plain pickle"])
def test_nothing_in_a_model_file_is_executed(mixed_run, tmp_path, where):
    attack = Attack(tmp_path / "executed")
    state = torch.load(mixed_run / "model.pt", weights_only=True)
    if where == "plain pickle":
        (tmp_path / "model.pt").write_bytes(pickle.dumps(attack))
    else:
        torch.save(attack if where == "whole" else state | {"columns": [attack]}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="is no model of crossentropy train"):
        crossentropy.training.load(tmp_path)
    assert not (tmp_path / "executed").exists()
    if where == "whole":  # the attack works on those who load without care
        torch.load(tmp_path / "model.pt", weights_only=False)
        assert (tmp_path / "executed").exists()


def test_the_state_says_its_format_and_the_version_that_wrote_it(mixed_run):
    state = torch.load(mixed_run / "model.pt", weights_only=True)
    assert state["format"] == 2
    assert state["crossentropy"] == crossentropy.__version__


def test_a_run_of_an_earlier_version_says_what_to_do(mixed_run, tmp_path):
    earlier = {"state_dict": {}, "hidden": [8], "classes": ["a", "b"], "crossentropy": "0.0.9"}
    torch.save(earlier, tmp_path / "model.pt")
    with pytest.raises(
        InputError, match=r"crossentropy 0\.0\.9 in format 1, .* reads format 2: train it again"
    ):
        crossentropy.training.load(tmp_path)


def test_a_run_of_a_later_version_says_what_to_do(mixed_run, tmp_path):
    state = torch.load(mixed_run / "model.pt", weights_only=True)
    torch.save(state | {"format": 3, "crossentropy": "9.0"}, tmp_path / "model.pt")
    with pytest.raises(
        InputError, match=r"crossentropy 9\.0 in format 3, .*: use that version or a later one"
    ):
        crossentropy.training.load(tmp_path)


def test_changed_bytes_are_refused_or_have_no_effect_on_loading(mixed_run, tmp_path):
    content = (mixed_run / "model.pt").read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        changed = np.frombuffer(content, dtype=np.uint8).copy()
        changed[rng.integers(0, min(len(content), 20_000), 3)] = rng.integers(256)
        (tmp_path / "model.pt").write_bytes(changed.tobytes())
        try:
            crossentropy.training.load(tmp_path)
        except InputError:
            refused += 1
    assert 10 < refused < 100


def test_a_language_model_is_said_to_be_one(tmp_path):
    torch.save({"tokenizer": "", "shape": {}}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="holds a language model of crossentropy train-lm"):
        crossentropy.training.load(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "not a zip", "no encoder", "no weight", "other shapes"])
def test_a_damaged_model_is_refused_in_a_sentence(mixed_run, tmp_path, damage):
    content = (mixed_run / "model.pt").read_bytes()
    state = torch.load(mixed_run / "model.pt", weights_only=True)
    path = tmp_path / "model.pt"
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "not a zip":
        path.write_text("model")
    else:
        if damage == "no encoder":
            del state["encoder"]
        elif damage == "no weight":
            del state["classifier"]["network"]["0.weight"]
        else:
            state["classifier"]["network"]["0.bias"] = torch.zeros(3)
        torch.save(state, path)
    with pytest.raises(InputError, match=r"is no model|is damaged"):
        crossentropy.training.load(tmp_path)


def test_importing_the_package_takes_no_framework():
    check = "import sys, crossentropy.training; print({'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
