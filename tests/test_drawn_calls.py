"""Public functions with arrays of any layout and labels of any kind: an answer or a refusal, and never a crash.

CROSSENTROPY_DRAWS says how many calls; under `make sanitize` no read is outside the arrays either.
"""

import os
import warnings
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch")

from drawn_calls import run


@pytest.mark.full
def test_drawn_calls_are_answered_or_refused(tmp_path):
    calls, found = int(os.environ.get("CROSSENTROPY_DRAWS", "2000")), Counter()
    first = int(os.environ.get("CROSSENTROPY_FIRST_DRAW", "0"))
    number = tmp_path / "number"  # of the last call, to be read after a crash
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for n in range(first, first + calls):
            number.write_text(str(n))
            found[run(n)] += 1
    assert found["answered"] > calls / 4
    assert found["ValueError"] > calls / 20
