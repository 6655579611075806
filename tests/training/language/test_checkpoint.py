import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.language.checkpoint import (
    check_same_run,
    describe_run,
    load_checkpoint,
    save_checkpoint,
)

STATE = {"run": {"steps": 3}, "model": torch.arange(4.0)}


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "new" / "checkpoint.pt"
    save_checkpoint(STATE, path)
    found = load_checkpoint(path)
    assert found["run"] == STATE["run"]
    assert torch.equal(found["model"], STATE["model"])
    assert [path.name for path in path.parent.iterdir()] == ["checkpoint.pt"]


def test_without_a_checkpoint_there_is_no_state(tmp_path):
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("writer failed")])
def test_when_writing_fails_the_earlier_checkpoint_stays(tmp_path, monkeypatch, error):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)

    def fail(state, file):
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InputError, match="Cannot write"):
        save_checkpoint({"run": {}}, path)
    assert load_checkpoint(path)["run"] == STATE["run"]


def test_of_a_full_disk_the_error_says_so_and_no_half_file_is_left(tmp_path, small_files):
    path = tmp_path / "checkpoint.pt"
    with small_files, pytest.raises(InputError, match=r"Cannot write .*checkpoint\.pt: File too large\.$"):
        save_checkpoint({"run": {}, "model": torch.zeros(1000)}, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"half a checkpoint", STATE["model"], {"state_dict": {}}, None])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match="no checkpoint of this command: remove it"):
        load_checkpoint(path)


def test_half_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="no checkpoint of this command"):
        load_checkpoint(path)


def test_a_run_goes_on_with_the_same_options_and_texts_whatever_their_paths(tmp_path, tiny):
    state = {"run": describe_run(tiny(files=("a.txt",)), "digest")}
    check_same_run(state, tiny(files=("b.txt",)), "digest", tmp_path)


def test_a_run_with_other_options_or_texts_is_refused_with_what_differs(tmp_path, tiny):
    state = {"run": describe_run(tiny(learning_rate=0.5), "digest")}
    with pytest.raises(
        InputError, match=r"with --steps 12, not 13; --learning-rate 0\.5, not 0\.1; other text:"
    ):
        check_same_run(state, tiny(steps=13, learning_rate=0.1), "other", tmp_path)
