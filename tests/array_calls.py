"""Calls of every public function that takes arrays, and the forms in which NumPy holds the same numbers."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import crossentropy as ce
from losses.catalogue.case import LABELS, SOFT, logits
from losses.catalogue.table import CASES, HELPERS


@dataclasses.dataclass(frozen=True)
class Call:
    """A function and its arguments by position and by name, some of them NumPy arrays."""

    name: str
    function: Callable[..., Any]
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    names: tuple[str, ...]  # of the positional ones

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        given = {**dict(zip(self.names, self.positional, strict=True)), **self.named}
        return {name: value for name, value in given.items() if isinstance(value, np.ndarray)}

    def __call__(self, **changed: Any) -> Any:
        positional = [changed.get(n, x) for n, x in zip(self.names, self.positional, strict=True)]
        named = {name: changed.get(name, value) for name, value in self.named.items()}
        return numbers(self.function(*positional, **named))


def numbers(value: Any) -> list[np.ndarray]:
    """All arrays in what a function returned."""
    if isinstance(value, (np.ndarray, np.generic)):
        return [value]
    if value is None or isinstance(value, (bool, int, float)):
        return []
    if isinstance(value, (tuple, list)):
        return [x for part in value for x in numbers(part)]
    if dataclasses.is_dataclass(value):
        return [x for part in dataclasses.fields(value) for x in numbers(getattr(value, part.name))]
    asked = ("log_prob", "prob", "log_odds", "logsumexp", "entropy", "argmax", "rank")
    return [x for name in asked for x in numbers(getattr(value, name))]


def call(name: str, function: Callable[..., Any], *positional: Any, **named: Any) -> Call:
    """A call whose positional arguments are named by the first words of `name`."""
    head, _, names = name.partition(":")
    return Call(head, function, positional, named, tuple(names.split()) if names else ())


P, Q = SOFT, SOFT[::-1].copy()
JOINT = np.random.default_rng(4).dirichlet(np.ones(12)).reshape(3, 4)
HIDDEN, WEIGHT = logits(60, (5, 3)), logits(61, (4, 3))
BIAS, DOWN, UP = logits(62, (4,)), logits(63, (2, 3)), logits(64, (4, 2))
HOT = np.eye(4, dtype=np.int64)[LABELS]
WEIGHTS = np.asarray([0.5, 1.0, 2.0, 0.25, 1.5])
CLASSES = np.asarray([0.5, 2.0, 1.25, 0.75])
Z = logits(70)


def of_target(form: type, *fields: str) -> Callable[..., Any]:
    """The softmax loss of labels of this form, whose arrays are arguments."""

    def loss(logits: Any, **given: Any) -> Any:
        target = form(*(given.pop(name) for name in fields))
        return ce.softmax_cross_entropy(logits, target, **given)

    return loss


def of_state(index: Any, logits: Any, labels: Any, targets: Any) -> Any:
    regularized = ce.losses.EarlyLearningRegularization(5, 4)
    regularized.load_state_dict({"targets": targets})
    return regularized.loss(logits, labels, index=index), regularized.state_dict()["targets"]


def of_sums(logits: Any, labels: Any, soft_labels: Any, sums: Any) -> Any:
    smoothing = ce.losses.OnlineLabelSmoothing(4)
    smoothing.load_state_dict({"soft_labels": soft_labels, "sums": sums})
    smoothing.update(logits, labels)
    smoothing.next_epoch()
    return smoothing.loss(logits, labels)


def of_low_rank(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda hidden, weight, labels, down, up, **rest: function(
        hidden, weight, labels, low_rank=(down, up), **rest
    )


def calls() -> list[Call]:
    """Every public function at least once, in NumPy."""
    found = [
        Call(case.name, case.function(ce.losses), tuple(case.inputs.values()), rest, tuple(case.inputs))
        for case in CASES
        if "numpy" in case.libraries and case.make is None
        for rest in [{**case.parameters, **case.given}]
    ]
    for helper in HELPERS:
        if "numpy" in helper.libraries:
            names = ["counts" if "weights" in helper.function or "margins" in helper.function else "logits"]
            names = ["counts"] if helper.function == "logit_adjustment" else names
            names = ["teacher", "k"] if helper.function == "top_k_teacher" else names
            names = [*names, "labels"][: len(helper.arrays)] if "k" not in names else names
            function = getattr(ce.losses, helper.function)
            found.append(Call(helper.name, function, helper.arrays, helper.options, tuple(names)))
    options = {
        "labels": LABELS,
        "class_weight": CLASSES,
        "sample_weight": WEIGHTS,
        "smoothing_prior": P[0],
        "label_smoothing": 0.1,
    }
    whole = {**options, "temperature": WEIGHTS, "logit_bias": BIAS, "margin": CLASSES}
    head = {"hidden": HIDDEN, "weight": WEIGHT, "labels": LABELS}
    wide = {**head, "bias": BIAS, "sample_weight": WEIGHTS, "class_weight": CLASSES}
    found += [
        call("entropy: p", ce.entropy, P),
        call("entropy-several axes: p", ce.entropy, JOINT, axis=(0, 1)),
        call("perplexity: p q", ce.perplexity, P, Q),
        call("cross_entropy: p q", ce.cross_entropy, P, Q),
        call("kl_divergence: p q", ce.kl_divergence, P, Q),
        call("js_divergence: p q", ce.js_divergence, P, Q),
        call("mutual_information: joint", ce.mutual_information, JOINT),
        call(
            "log_loss-weighted: probabilities", ce.log_loss, P, **{k: options[k] for k in list(options)[:3]}
        ),
        call("log_loss-logs", ce.log_loss, log_probabilities=np.log(P), labels=LABELS),
        call("log_loss-binary: probabilities labels", ce.log_loss, P[:, 0].copy(), LABELS % 2),
        call("softmax_cross_entropy-all options: logits", ce.softmax_cross_entropy, Z, **whole),
        call("softmax_cross_entropy-z_loss: logits labels", ce.softmax_cross_entropy, Z, LABELS, z_loss=0.1),
        call(
            "softmax_cross_entropy-normalizer: logits labels",
            ce.softmax_cross_entropy,
            Z,
            LABELS,
            normalizer=WEIGHTS,
        ),
        call(
            "softmax_cross_entropy-class axis first: logits",
            ce.softmax_cross_entropy,
            Z.T.copy(),
            **options,
            axis=0,
        ),
        call(
            "softmax_cross_entropy-image: logits labels",
            ce.softmax_cross_entropy,
            logits(71, (2, 4, 3)),
            np.asarray([[0, 1, 2], [3, 3, 0]]),
            axis=1,
        ),
        call(
            "softmax_cross_entropy-rows: logits labels", ce.softmax_cross_entropy, Z, LABELS, reduction="none"
        ),
        call(
            "softmax_cross_entropy-float32: logits labels",
            ce.softmax_cross_entropy,
            Z.astype("f4"),
            LABELS.astype("i4"),
            reduction="none",
        ),
        call(
            "softmax_cross_entropy-float16: logits labels",
            ce.softmax_cross_entropy,
            Z.astype("f2"),
            LABELS.astype("u1"),
        ),
        call(
            "softmax_cross_entropy-long double: logits labels",
            ce.softmax_cross_entropy,
            Z.astype("g"),
            LABELS.astype("u2"),
        ),
        call("OneHot: logits", of_target(ce.targets.OneHot, "values"), Z, values=HOT),
        call("LabelSet: logits", of_target(ce.targets.LabelSet, "mask"), Z, mask=SOFT > 0.2),
        call(
            "Probabilities: logits",
            of_target(ce.targets.Probabilities, "values"),
            Z,
            values=SOFT,
            class_weight=CLASSES,
        ),
        call(
            "Sparse: logits",
            of_target(ce.targets.Sparse, "indices", "weights"),
            Z,
            indices=np.stack([LABELS, LABELS[::-1]], 1),
            weights=P[:, :2].copy(),
        ),
        call(
            "sigmoid_cross_entropy-options: logits labels",
            ce.sigmoid_cross_entropy,
            Z,
            HOT.astype("u1"),
            pos_weight=CLASSES,
            class_weight=BIAS**2,
            sample_weight=WEIGHTS,
        ),
        call(
            "sigmoid_cross_entropy-float32: logits labels",
            ce.sigmoid_cross_entropy,
            Z.astype("f4"),
            SOFT.astype("f4"),
            normalizer=P,
        ),
        call(
            "loss_and_gradient: loss logits labels",
            ce.loss_and_gradient,
            ce.softmax_cross_entropy,
            Z,
            LABELS,
            class_weight=CLASSES,
        ),
        call(
            "loss_and_gradient-soft: loss logits labels",
            ce.loss_and_gradient,
            ce.softmax_cross_entropy,
            Z.astype("f4"),
            SOFT.astype("f4"),
        ),
        call(
            "loss_and_gradient-sigmoid: loss logits labels",
            ce.loss_and_gradient,
            ce.sigmoid_cross_entropy,
            Z,
            HOT,
        ),
        call(
            "target_statistics-soft: logits labels",
            lambda z, y, **o: ce.target_statistics(z, y, **o).log_prob,
            Z,
            SOFT,
            temperature=WEIGHTS,
        ),
        call("linear_cross_entropy", ce.linear_cross_entropy, **wide),
        call("linear_cross_entropy-shift", ce.linear_cross_entropy, **head, shift=1),
        call(
            "linear_cross_entropy-float32",
            ce.linear_cross_entropy,
            **{k: v.astype("f4") if v.dtype.kind == "f" else v for k, v in wide.items()},
        ),
        call("linear_cross_entropy-low rank", of_low_rank(ce.linear_cross_entropy), **head, down=DOWN, up=UP),
        call("linear_loss_and_gradients", ce.losses.linear_loss_and_gradients, **wide),
        call(
            "linear_target_statistics",
            lambda *a, **o: ce.linear_target_statistics(*a, **o).log_prob,
            **head,
            bias=BIAS,
            temperature=WEIGHTS,
        ),
        call(
            "EarlyLearningRegularization",
            of_state,
            index=np.asarray([4, 2, 0, 1, 3]),
            logits=Z,
            labels=LABELS,
            targets=Q.astype("f4"),
        ),
        call(
            "OnlineLabelSmoothing",
            of_sums,
            logits=Z,
            labels=LABELS,
            soft_labels=np.full((4, 4), 0.25),
            sums=np.eye(4),
        ),
        call(
            "ClippedPolicy",
            lambda z, y, a, o: ce.softmax_cross_entropy(z, y, link=ce.links.ClippedPolicy(a, o)),
            z=Z,
            y=LABELS,
            a=WEIGHTS,
            o=np.log(P[:, 0]),
        ),
    ]
    return found


CALLS = calls()

# ------------------------------------------------------------------------------------------------------- forms


def field(x: np.ndarray) -> np.ndarray:
    """A field of packed records: in steps of no whole numbers, from an odd address."""
    records = np.zeros(x.shape, dtype=[("flag", "u1"), ("value", x.dtype), ("rest", "u1", 2)])
    records["value"] = x
    return records["value"]


def unaligned(x: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"?" + x.tobytes(), dtype="u1")[1:].view(x.dtype).reshape(x.shape)


def spread(x: np.ndarray) -> np.ndarray:
    """Every other element of what else is NaN, or far out of range, from the second on."""
    wide = np.full([2 * n + 1 for n in x.shape], 99 if x.dtype.kind != "f" else np.nan, dtype=x.dtype)
    part = wide[(*(slice(1, None, 2),) * x.ndim, ...)]
    part[...] = x
    return part


def reversed_twice(x: np.ndarray) -> np.ndarray:
    """The same numbers, with steps backwards through memory along every axis."""
    back = (slice(None, None, -1),) * x.ndim
    return x[back].copy(order="C")[back] if x.ndim else x


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def memmap(x: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        x.tofile(path)
        return np.memmap(path, dtype=x.dtype, mode="r", shape=x.shape)


def repeated(x: np.ndarray) -> np.ndarray:
    """Its first entry everywhere, without a step."""
    return np.broadcast_to(x[(0,) * x.ndim], x.shape)


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "other byte order, spread": lambda x: spread(x.astype(x.dtype.newbyteorder("S"))),
    "field of a record": field,
    "unaligned": unaligned,
    "spread": spread,
    "backwards": reversed_twice,
    "first axis first": lambda x: x.copy(order="F"),
    "read-only": read_only,
    "memmap": memmap,
    "recarray": lambda x: x.view(np.recarray),
}


def pandas_of(x: np.ndarray) -> Any:
    import pandas

    return {0: float, 1: pandas.Series, 2: pandas.DataFrame}.get(x.ndim, np.asarray)(x)


def polars_of(x: np.ndarray) -> Any:
    import polars

    return {0: float, 1: polars.Series, 2: polars.DataFrame}.get(x.ndim, np.asarray)(x)


#: What NumPy reads as the same array, if its numbers are float64, int64 or bool.
CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda x: x.tolist(),
    "tuple of arrays": lambda x: tuple(x) if x.ndim else x[()],
    "pandas": pandas_of,
    "polars": polars_of,
    "matrix": lambda x: np.matrix(x) if x.ndim == 2 else x,
}
