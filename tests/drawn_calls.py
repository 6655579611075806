"""Calls of public functions with arrays of any layout and labels of any kind, drawn from a number each.

An array is drawn as numbers, then laid out: byte order, strides (also negative and zero), offsets that are no multiple
of an entry's size, read-only, other dtypes. Plain ones end where their memory ends, so that a sanitizer sees every read
behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import losses, targets

torch = pytest.importorskip("torch")

FLOATS = (np.float32, np.float64, np.float16)
INTEGERS = (np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_, np.uint64)
SIZES = (0, 1, 2, 3, 5, 7, 8, 17, 31, 33, 63, 64, 65, 100, 129, 257)


class Draw:
    """A call: what is drawn depends on the number alone."""

    def __init__(self, number: int) -> None:
        self.rng = np.random.default_rng([20, number])

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def one_of(self, choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def size(self) -> int:
        return int(self.one_of(SIZES))

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def floats(self, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of the sizes that logits have, and now and then one that makes no sense."""
        x = np.array(self.rng.standard_normal(shape) * self.one_of([0.1, 1.0, 10.0, 1e4]))
        if x.size and self.chance(0.1):
            x.flat[self.rng.integers(x.size)] = self.one_of([np.nan, np.inf, -np.inf])
        with np.errstate(over="ignore"):
            return x.astype(self.one_of(FLOATS))

    def probabilities(self, shape: tuple[int, ...]) -> np.ndarray:
        x = self.rng.random(shape) + 1e-3
        return (x / x.sum(-1, keepdims=True)).astype(self.one_of(FLOATS[:2])) if x.size else x

    def laid_out(self, x: np.ndarray) -> Any:
        """The same numbers in memory of another layout, as an array of NumPy or a tensor."""
        x = np.asarray(x)
        return self.tensor(x) if self.library == "torch" else self.array(x)

    def array(self, x: np.ndarray) -> np.ndarray:
        kind = self.rng.integers(10) if x.ndim else 9
        if kind == 0:
            x = x.astype(x.dtype.newbyteorder())
        elif kind == 1:  # entries that begin anywhere
            memory = np.zeros(x.nbytes + 5, np.uint8)
            offset = int(self.rng.integers(6))
            moved = np.ndarray(x.shape, x.dtype, buffer=memory, offset=offset)
            moved[...] = x
            x = moved
        elif kind == 2:
            axes = tuple(slice(None, None, -1) if self.chance(0.5) else slice(None) for _ in x.shape)
            x = np.ascontiguousarray(x[axes])[axes]
        elif kind == 3:
            steps = [int(self.one_of([1, 2, 3])) for _ in x.shape]
            wide = np.ones([n * s for n, s in zip(x.shape, steps, strict=True)], x.dtype)
            part = wide[tuple(slice(None, None, s) for s in steps)]
            part[...] = x
            x = part
        elif kind == 4:
            x = np.broadcast_to(x[:1], x.shape) if x.ndim and len(x) else x
        elif kind == 5:
            x = np.asfortranarray(x)
        elif kind == 6:  # the field of packed records
            records = np.zeros(x.shape, [("before", np.uint8), ("x", x.dtype), ("after", np.uint8, (2,))])
            records["x"] = x
            x = records["x"]
        elif kind == 7:
            x = x.view(np.matrix) if x.ndim == 2 else x.copy()
        else:
            x = x.copy()
        if self.chance(0.1):
            x = x.view()
            x.flags.writeable = False
        return x

    def tensor(self, x: np.ndarray) -> Any:
        made = torch.from_numpy(x.astype(np.int64) if x.dtype == np.uint64 else x.copy())
        if made.is_floating_point() and self.chance(0.2):
            made = made.to(torch.bfloat16)
        kind = self.rng.integers(5)
        if kind == 0 and made.ndim:
            steps = [int(self.one_of([1, 2, 3])) for _ in made.shape]
            wide = made.new_full([n * s for n, s in zip(made.shape, steps, strict=True)], 1)
            part = wide[tuple(slice(None, None, s) for s in steps)]
            made = part.copy_(made)
        elif kind == 1 and made.ndim:
            made = made[:1].expand(made.shape) if len(made) else made
        elif kind == 2:
            made = made.mT.contiguous().mT if made.ndim > 1 else made
        elif kind == 3:
            made = made.new_empty(made.numel() + 3)[3:].view(made.shape).copy_(made)
        return made.requires_grad_() if made.is_floating_point() and self.chance(0.5) else made

    # ---- calls -----------------------------------------------------------------------------------------------------

    def labels(self, rows: tuple[int, ...], C: int) -> Any:
        """Indices, mostly valid, or another form of labels."""
        kind = self.rng.integers(12)
        if kind == 0:
            return targets.LabelSet(self.laid_out(self.rng.random((*rows, C)) < 0.5))
        if kind == 1:
            masses = self.laid_out(self.probabilities((*rows, C)))
            return targets.Probabilities(masses, normalized=self.chance(0.5))
        if kind == 2:
            return targets.OneHot(self.laid_out((self.rng.random((*rows, C)) < 0.5).astype(np.int64)))
        if kind == 3:
            return self.laid_out(self.floats(rows))
        if kind == 4:
            rows = (*rows[:-1], rows[-1] + 1) if rows else (2,)
        low, high = (-3, C + 3) if self.chance(0.2) else (0, max(C, 1))
        return self.laid_out(self.rng.integers(low, high, rows).astype(self.one_of(INTEGERS)))

    def shape(self) -> tuple[int, ...]:
        ndim = self.rng.integers(1, 5)
        shape = [self.size() for _ in range(ndim)]
        while math.prod(shape) > 20000:
            shape[self.rng.integers(ndim)] = int(self.rng.integers(4))
        return tuple(shape)

    def options(self, rows: tuple[int, ...], C: int) -> dict[str, Any]:
        some: dict[str, Callable[[], Any]] = {
            "label_smoothing": lambda: 0.1,
            "ignore_index": lambda: int(self.rng.integers(-1, C + 1)),
            "temperature": lambda: (
                self.laid_out(np.abs(self.floats(rows)) + 0.5) if self.chance(0.5) else 2.0
            ),
            "sample_weight": lambda: self.laid_out(self.rng.random(rows)),
            "class_weight": lambda: self.laid_out(self.rng.random(C)),
            "logit_bias": lambda: self.laid_out(self.floats((C,))),
            "margin": lambda: 0.3,
            "z_loss": lambda: 0.01,
            "softcap": lambda: 5.0,
            "reduction": lambda: self.one_of(["mean", "sum", "none"]),
            "validate": lambda: self.one_of(["raise", "none"]),
            "link": lambda: ce.links.Focal(2.0),
        }
        return {name: make() for name, make in some.items() if self.chance(0.15)}

    def head(self) -> tuple[Any, Any, Any, dict[str, Any]]:
        rows, D, C = (
            (int(self.rng.integers(40)),),
            int(self.rng.integers(1, 40)),
            int(self.rng.integers(1, 70)),
        )
        h, W = self.floats((*rows, D)), self.floats((C, D))
        hidden, weight = self.laid_out(h), self.laid_out(W.astype(h.dtype))
        more = {"bias": self.laid_out(self.floats((C,)).astype(h.dtype))} if self.chance(0.3) else {}
        return hidden, weight, self.labels(rows, C), more | self.options(rows, C)

    def make(self) -> Callable[[], Any]:
        """The call."""
        self.library = self.one_of(["numpy", "numpy", "torch"])
        name = self.one_of(list(CALLS))
        return CALLS[name](self)


def _rows_and_axis(draw: Draw) -> tuple[Any, tuple[int, ...], int, int]:
    shape = draw.shape()
    axis = int(draw.rng.integers(len(shape)))
    return draw.laid_out(draw.floats(shape)), shape[:axis] + shape[axis + 1 :], shape[axis], axis


def _softmax(draw: Draw) -> Callable[[], Any]:
    z, rows, C, axis = _rows_and_axis(draw)
    return partial(ce.softmax_cross_entropy, z, draw.labels(rows, C), axis=axis, **draw.options(rows, C))


def _statistics(draw: Draw) -> Callable[[], Any]:
    z, rows, C, axis = _rows_and_axis(draw)
    options = {
        k: v for k, v in draw.options(rows, C).items() if k in ("temperature", "logit_bias", "ignore_index")
    }
    return partial(
        ce.target_statistics,
        z,
        draw.labels(rows, C),
        axis=axis,
        entropy=True,
        rank=draw.chance(0.5),
        **options,
    )


def _named(draw: Draw) -> Callable[[], Any]:
    z = draw.laid_out(draw.floats((draw.size(), draw.size())))
    name = draw.one_of(
        ["focal_loss", "brier_loss", "hinge_loss", "generalized_cross_entropy", "poly_loss", "zlpr_loss"]
    )
    return partial(getattr(losses, name), z, draw.labels(tuple(z.shape[:1]), z.shape[1]))


def _sigmoid(draw: Draw) -> Callable[[], Any]:
    shape = draw.shape()
    z = draw.laid_out(draw.floats(shape))
    kinds = [
        lambda: draw.rng.integers(0, 2, shape),
        lambda: draw.rng.random(shape),
        lambda: draw.floats(shape),
    ]
    y = draw.one_of(kinds)().astype(draw.one_of([*FLOATS, *INTEGERS]))
    options = {"pos_weight": draw.laid_out(draw.rng.random(shape[-1]))} if draw.chance(0.3) else {}
    loss = draw.one_of([ce.sigmoid_cross_entropy, losses.sigmoid_focal_loss])
    return partial(loss, z, draw.laid_out(y), **(options if loss is ce.sigmoid_cross_entropy else {}))


def _log_loss(draw: Draw) -> Callable[[], Any]:
    rows, C = (draw.size(),), draw.size()
    return partial(ce.log_loss, draw.laid_out(draw.probabilities((*rows, C))), draw.labels(rows, C))


def _gradient(draw: Draw) -> Callable[[], Any]:
    z, rows, C, _ = _rows_and_axis(draw)
    loss = draw.one_of([ce.softmax_cross_entropy, ce.sigmoid_cross_entropy, losses.focal_loss])
    return partial(ce.loss_and_gradient, loss, z, draw.labels(rows, C))


def _linear(draw: Draw) -> Callable[[], Any]:
    hidden, weight, y, options = draw.head()
    budget = draw.one_of([None, 0, 10000])
    return partial(ce.linear_cross_entropy, hidden, weight, y, memory_budget=budget, **options)


def _linear_statistics(draw: Draw) -> Callable[[], Any]:
    hidden, weight, y, options = draw.head()
    options = {k: v for k, v in options.items() if k in ("bias", "temperature", "logit_bias", "ignore_index")}
    return partial(
        ce.linear_target_statistics, hidden, weight, y, entropy=True, rank=draw.chance(0.5), **options
    )


def _linear_gradients(draw: Draw) -> Callable[[], Any]:
    hidden, weight, y, options = draw.head()
    return partial(ce.losses.linear_loss_and_gradients, hidden, weight, y, **options)


def _information(draw: Draw) -> Callable[[], Any]:
    shape = draw.shape()
    p, q = (draw.laid_out(draw.probabilities(shape)) for _ in range(2))
    f = draw.one_of([ce.cross_entropy, ce.kl_divergence, ce.js_divergence])
    return partial(ce.entropy, p) if draw.chance(0.3) else partial(f, p, q)


CALLS = {
    "softmax": _softmax,
    "statistics": _statistics,
    "named": _named,
    "sigmoid": _sigmoid,
    "log_loss": _log_loss,
    "gradient": _gradient,
    "linear": _linear,
    "linear statistics": _linear_statistics,
    "linear gradients": _linear_gradients,
    "information": _information,
}


def run(number: int) -> str:
    """Make one call, and the backward pass of its result if it has one: "answered", or the error that refused it."""
    call = Draw(number).make()
    try:
        found = call()
        if isinstance(found, torch.Tensor) and found.requires_grad:
            found.sum().backward()
    except (ValueError, TypeError) as error:
        return type(error).__name__
    return "answered"
