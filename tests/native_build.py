"""Another build of the native module, from the file named by CROSSENTROPY_NATIVE: ``pytest -p native_build``."""

import importlib.util
import os
import sys

import pytest

NAME = "crossentropy._kernels._native"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Load it in place of the installed one, before anything imports that."""
    spec = importlib.util.spec_from_file_location(NAME, os.environ["CROSSENTROPY_NATIVE"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
