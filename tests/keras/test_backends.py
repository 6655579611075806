"""The face for Keras on each of its backends, and the losses of TensorFlow's tensors, each in a process of its own.

A process has one backend, and Triton cannot be loaded after TensorFlow.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "crossentropy"
FACE = TESTS / "keras" / "on_every_backend.py"
DOCTESTS = SOURCE / "keras"  # on the backend that is the quickest to start
WATCHED = [TESTS / "keras" / "on_backends_that_train.py", SOURCE / "doctor" / "_keras.py"]
TENSORS = [
    TESTS / "keras" / "pages_on_tensorflow.py",
    TESTS / "_backends" / "tensors_on_tensorflow.py",
    TESTS / "_statistics" / "rows_on_tensorflow.py",
    TESTS / "_statistics" / "cosines_on_tensorflow.py",
    TESTS / "losses" / "catalogue_on_tensorflow.py",
    SOURCE / "_backends" / "tensorflow.py",
]
OPTIONS = ("--import-mode=importlib", "--doctest-modules", "-p", "no:cacheprovider")


def run(backend, marked, *files):
    """Run the tests of these files that are marked so, with this backend of Keras."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", *OPTIONS, "-m", marked, *map(str, files)],
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
        env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def needs(*modules):
    """Skip a test if one of these cannot be imported."""
    for module in modules:
        try:
            found = importlib.util.find_spec(
                module
            )  # without an import: TensorFlow stays out of this process
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip(f"needs {module}")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch", "numpy"])
def test_the_face_and_the_doctor_on_each_backend(backend, pytestconfig):
    """In one process, for Keras takes seconds to begin; NumPy does not train, so the doctor has nothing to watch."""
    needs("keras", backend)
    more = [DOCTESTS] if backend == "numpy" else WATCHED
    run(backend, pytestconfig.option.markexpr, FACE, *more, *(TENSORS if backend == "tensorflow" else []))
