"""No compiled kernels, as on a platform without a build of them: ``pytest -p without_native``."""

import sys
import warnings

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Let the import of the native module fail, and take the warning that says so here."""
    sys.modules["crossentropy._kernels._native"] = None  # type: ignore[assignment]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        import crossentropy._kernels  # noqa: F401
