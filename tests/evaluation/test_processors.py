"""A state has the same bytes on processors whose vector instructions NumPy and the C library use differently."""

import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from numpy._core import _multiarray_umath as umath

from crossentropy.evaluation._row_scores import surprisal
from crossentropy.evaluation._scoring import Columns, Request, Scoring

NEWER = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]


def digest():
    """The bytes of states of every kind; data without a logarithm or an exponential of NumPy."""
    i = np.arange(3000)
    columns = np.stack([1 + i % 97, 1 + i % 89, 1 + i % 83], axis=1)
    p = columns / columns.sum(axis=1, keepdims=True)
    p[::50] = [1e-15, 0.5, 0.5 - 1e-15]
    t, w = np.roll(p, 7, axis=0), (1 + i % 31) / 7
    cases = [
        (Request("proba", weighted=True), p, i % 3),
        (Request("logits"), columns / 7, i % 3),
        (Request("log_proba"), -(i % 1013) / 101, i % 2),
        (Request("proba", soft_labels=True), p, t),
        (Request("proba", soft_labels=True, weighted=True), p[:, 0].copy(), t[:, 0].copy()),
        *((Request("proba", clip=clip), p, i % 3) for clip in ("sklearn", "kaggle", "spark")),
        (Request("proba", clip="sklearn"), p.astype(np.float32), i % 3),
    ]
    whole = sha256()
    for request, x, labels in cases:
        scoring = Scoring(request)
        scoring.add(Columns(x, labels, w if request.weighted else None))
        whole.update(scoring.state.to_bytes())
    return whole.hexdigest()


@pytest.mark.skipif(not NEWER, reason="this processor has nothing that could be turned off")
def test_states_have_the_same_bytes_without_the_newer_instructions():
    older = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(NEWER),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    }
    paths = [os.path.dirname(__file__), *sys.path]
    found = subprocess.run(
        [sys.executable, "-c", "from test_processors import digest; print(digest())"],
        env={**os.environ, **older, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == digest()


def test_minus_the_logarithm_is_right_to_the_last_digits():
    from mpmath import log, mp, mpf

    p = np.concatenate(
        [np.random.default_rng(0).random(300), 2.0 ** -np.arange(0, 1075, 11.0), [1 - 2.0**-53]]
    )
    with mp.workprec(120):
        expected = [float(-log(mpf(float(x)))) for x in p]
    assert surprisal(p) == pytest.approx(expected, rel=4e-16, abs=0)
