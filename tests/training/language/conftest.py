"""A text that a tiny model learns in a second, and a finished run on it."""

from pathlib import Path

import pytest

from crossentropy.training.language.experiment import LanguageRun, prepare, train
from crossentropy.training.language.options import LanguageOptions
from crossentropy.training.threads import cpu_threads

SENTENCES = "".join(
    f"{i} green bottles hanging on the wall, and if {i % 7} should fall: {i - i % 7}.\n" for i in range(200)
)
TINY = {
    "vocabulary": 300,
    "context": 16,
    "layers": 1,
    "width": 16,
    "heads": 2,
    "batch": 4,
    "steps": 12,
    "checkpoint_every": 4,
}


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Threads cost such small models more than they bring, a hundredfold where other work takes the cores."""
    with cpu_threads(1):
        yield


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "bottles.txt"
    path.write_text(SENTENCES)
    return path


@pytest.fixture
def tiny(text_file):
    """Options of a tiny run, with changes."""

    def make(**changes) -> LanguageOptions:
        return LanguageOptions(**{"files": (str(text_file),)} | TINY | changes)

    return make


@pytest.fixture(scope="session")
def bottles_run(text_file, tmp_path_factory) -> LanguageRun:
    options = LanguageOptions(files=(str(text_file),), **TINY)
    return train(prepare(options, tmp_path_factory.mktemp("run")))
