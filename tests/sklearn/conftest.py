"""What holds for the tests of the face for scikit-learn."""

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread):
    pass
