"""Predictions that are right, and trainings that go well: what `crossentropy.doctor` has to be silent about."""

import numpy as np


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def drawn(classes=7, n=1500, *, scale=2.0, seed=0, imbalance=0.0, noise=0.0, shape=None):
    """Logits and labels that are drawn from their softmax: calibrated by construction.

    `scale` is how sure the predictions are, `imbalance` how different the frequencies; `noise` is the share of labels
    that are drawn anew, and the logits know it.
    """
    r = np.random.default_rng(seed)
    shape = (n,) if shape is None else shape
    z = scale * r.normal(size=(*shape, classes)) - imbalance * np.arange(classes)
    p = softmax(z)
    if noise:
        p = (1 - noise) * p + noise / classes
        z = np.log(p)
        z += r.normal(size=(*shape, 1))  # any constant: no log-probabilities
    labels = (p.cumsum(axis=-1) > r.random((*shape, 1))).argmax(axis=-1)
    return z, labels


def drawn_answers(columns, n=1500, *, scale=2.0, seed=0, rare=0.0):
    """Log-odds and yes-or-no answers that are drawn from them; one-dimensional if `columns` is None."""
    r = np.random.default_rng(seed)
    z = scale * r.normal(size=n if columns is None else (n, columns)) - rare
    return z, (r.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.int64)


def sentences(n=60, length=40, classes=20, *, padding=None, seed=0):
    """Logits (n, T, C) and labels of sequences of different lengths, filled up by `padding`."""
    r = np.random.default_rng(seed)
    z, y = drawn(classes, shape=(n, length), seed=seed)
    if padding is not None:
        ends = r.integers(length // 3, length, n)
        y = np.where(np.arange(length) < ends[:, None], np.where(y == padding, 1, y), padding)
    return z, y


def healthy_files():
    """Names and the arguments of `examine` for predictions with nothing wrong."""
    for classes in (2, 3, 10, 100):
        yield f"{classes} classes", drawn(classes), {}
    for imbalance in (0.2, 0.5, 1.0):
        yield f"imbalance {imbalance}", drawn(imbalance=imbalance), {}
    for noise in (0.1, 0.3, 0.5):
        yield f"noise {noise}", drawn(noise=noise, scale=4), {}
    for scale in (0.7, 1.0, 4.0, 8.0):
        yield f"scale {scale}", drawn(scale=scale, seed=3), {}
    r = np.random.default_rng(1)
    yield "untrained", (r.normal(size=(1500, 10)), r.integers(0, 10, 1500)), {}
    yield (
        "untrained, of a bias",
        (0.6 * r.normal(size=(1500, 10)) + r.normal(size=10), r.integers(0, 10, 1500)),
        {},
    )
    z, y = drawn()
    yield "sorted by label", (z[np.argsort(y, kind="stable")], np.sort(y)), {}
    yield "few rows", (z[:12], y[:12]), {}
    yield "float32", (z.astype(np.float32), y), {}
    yield "float16", (z.astype(np.float16), y), {}
    yield "far from 0", (z + 1000, y), {}
    yield "one-hot floats", (z, np.eye(7)[y]), {}
    yield "masked classes", (np.where(np.arange(9) < 7, np.pad(z, ((0, 0), (0, 2))), -np.inf), y), {}
    yield "a class that does not occur", (np.concatenate([np.full((len(z), 1), -20.0), z], axis=1), y + 1), {}
    yield "probabilities", (None, y), {"probabilities": softmax(z)}
    yield "rounded probabilities", (None, y), {"probabilities": softmax(z).round(3) + 1e-9}
    yield "log-probabilities", (None, y), {"log_probabilities": np.log(softmax(z))}
    for columns in (None, 1, 6, 40):
        yield f"{columns} yes-or-no", drawn_answers(columns), {}
    yield "rare yes", drawn_answers(None, 3000, rare=4.0), {}
    yield "rare yes of many", drawn_answers(20, rare=3.0), {}
    yield (
        "probabilities of a yes",
        (None, drawn_answers(None)[1]),
        {"probabilities": 1 / (1 + np.exp(-drawn_answers(None)[0]))},
    )
    z, y = drawn(5, shape=(3, 24, 24), imbalance=0.7)
    yield "segmentation", (np.moveaxis(z, -1, 1), y), {"axis": 1}
    void = np.where(np.random.default_rng(0).random(y.shape) < 0.1, 255, y)
    yield "segmentation with void", (np.moveaxis(z, -1, 1), void), {"axis": 1, "ignore_index": 255}
    yield "sentences", sentences(), {}
    yield "sentences, padding ignored", sentences(padding=-100), {"ignore_index": -100}
    yield "sentences, padding 0 ignored", sentences(padding=0), {"ignore_index": 0}
    z, y = sentences(padding=-100)
    yield "sentences in one axis", (z.reshape(-1, 20), y.reshape(-1)), {"ignore_index": -100}
    masked = np.where(np.random.default_rng(0).random((60, 40)) < 0.15, sentences()[1], -100)
    yield "masked language model", (sentences()[0], masked), {"ignore_index": -100}
