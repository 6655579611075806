"""Row problems and their truth, as a fixture."""

from types import SimpleNamespace

import pytest

from row_problems import check, make, numpy, true_planes


@pytest.fixture(scope="session")
def rows_of():
    """What the tests of this folder share."""
    return SimpleNamespace(make=make, truth=true_planes, check=check, numpy=numpy)
