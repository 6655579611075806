"""What holds for the tests of models of Hugging Face, which are tiny."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(autouse=True, scope="module")
def _one_thread(one_thread):
    pass
