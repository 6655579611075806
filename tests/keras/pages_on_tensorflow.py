"""The examples on the pages that use Keras or TensorFlow; `test_backends.py` runs this file."""

import pytest

from test_readme import OF_KERAS, Block, check_output


@pytest.mark.parametrize("block", OF_KERAS, ids=repr)
def test_the_python_on_the_pages_runs_and_does_what_they_say(block: Block):
    check_output(block)
