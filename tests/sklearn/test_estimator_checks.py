"""scikit-learn's own checks of an estimator."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

CHECK = """
from sklearn.utils.estimator_checks import check_estimator
from crossentropy.sklearn import CrossEntropyClassifier
results = check_estimator(CrossEntropyClassifier(epochs=10), on_fail=None, on_skip=None)
print(len(results), *(f"{r['check_name']}: {r['status']}" for r in results if r["status"] != "passed"))
"""


def test_every_check_of_scikit_learn_passes_and_none_is_skipped():
    """In a process of its own: without this variable, read at the import, the check of NumPy's namespace is skipped."""
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHECK],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, *others = done.stdout.split(maxsplit=1)
    assert int(count) > 50
    assert others == []
