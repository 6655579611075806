"""Data sets with published or recomputed scores, and batches of them."""

import numpy as np

from crossentropy.evaluation import Batch, Declaration, State
from crossentropy.evaluation._hashing import hash_values

SIX = (np.asarray([0.4, 0.3, 0.2, 0.1, 0.5, 0.9]), np.asarray([0, 0, 0, 1, 1, 1]))
BINARY = Declaration("proba", (0, 1), one_column=True)


def synthetic():
    """A thousand rows that are the same on every machine: p and y."""
    i = np.arange(1000)
    p = (i + 0.5) / 1000
    return p, (7919 * i % 1000 < 1000 * p**1.5).astype(np.int64)


def rows_of(kind, *, classes=2, n=400, seed=0, weighted=False, distinct=None, soft=False):
    """Random rows of a declaration: predictions, labels, weights, clusters, slices, keys."""
    r = np.random.default_rng(seed)
    u = 2 * r.normal(size=(n, classes))
    if distinct is not None:
        u = u[r.integers(0, distinct, n)]
    p = np.exp(u) / np.exp(u).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < r.random((n, 1))).sum(axis=1).clip(0, classes - 1)
    x = {"proba": p, "logits": u, "log_proba": np.log(p)}[kind]
    if classes == 2:
        x = {"proba": p[:, 1], "logits": u[:, 1] - u[:, 0], "log_proba": np.log(p[:, 1])}[kind]
    w = r.lognormal(size=n) if weighted else None
    y = y.astype(np.int64)
    if soft:
        t = r.dirichlet(np.ones(classes), n)
        y = np.ascontiguousarray(t[:, 1]) if classes == 2 else t
    return {
        "predictions": np.ascontiguousarray(x),
        "labels": y,
        "weight": w,
        "cluster": hash_values(r.integers(0, 30, n)),
        "slice": r.integers(0, 4, n).astype(np.int32),
        "rows": r.permutation(n),
    }


def batches_of(data, selections):
    """A batch of each selection of rows."""
    from crossentropy.evaluation import SliceColumn

    for at in selections:
        yield Batch(
            np.ascontiguousarray(data["predictions"][at]),
            data["labels"][at],
            data["rows"][at],
            None if data["weight"] is None else data["weight"][at],
            data["cluster"][at],
            (SliceColumn(data["slice"][at], ["a", "b", "c", "d"]),),
        )


def declaration_of(kind, classes, weighted, bootstrap=0, soft=False):
    return Declaration(
        kind,
        tuple(range(classes)),
        one_column=classes == 2,
        soft=soft,
        weighted=weighted,
        clustered=True,
        slices=("group",),
        bootstrap=bootstrap,
    )


def state_of(declaration, batches):
    state = State(declaration)
    for batch in batches:
        state.update(batch)
    return state
