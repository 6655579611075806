"""The work that is measured: one case for each row of the speed contract."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

import crossentropy as ce
import peers
from case import Case
from crossentropy.links import Focal
from crossentropy.torch import binary_cross_entropy_with_logits, cross_entropy, focal_loss
from jax_cases import jax_cases
from linear_cases import linear_cases
from measure import Sides


def build(name: str) -> Sides:
    """Both sides of the case of this name."""
    return next(case for case in all_cases() if case.name == name).build()


def all_cases() -> list[Case]:
    """Every row, those of the same logits next to one another."""
    cases = []
    for values in ("random", "peaky"):
        for shape in ((8192, 1000), (2048, 32768), (1024, 128256), (512, 256000)):
            large = shape[1] >= 32768
            cases.append(_rows(values, shape, 6 if large else 3, memory=1.05))
            if large:
                cases.append(_rows(values, shape, 5, trains=False))
                cases.append(_rows(values, shape, 6, memory=1.05, dtype=torch.bfloat16))
        cases.append(_rows(values, (64, 10), 1 / 2))
        cases.append(_rows(values, (1, 10), 1 / 2.5))
        cases.append(_rows(values, (65536, 10), 3))
        cases.append(_rows(values, (8, 21, 512, 512), 4, what="segmentation, class axis 1,"))
        cases.append(_smoothed(values))
        cases.append(_focal(values))
        cases.append(_soft(values))
    for shape in ((4096, 1000), (1024, 128256)):
        cases.extend(_beside_plain(shape))
    cases += [_binary(), _sigmoid_focal(), _log_loss(1_000_000, 10, 10), _log_loss(20_000, 1000, 20)]
    return [*cases, *jax_cases(logits_and_labels), *linear_cases()]


@lru_cache(maxsize=1)
def logits_and_labels(
    values: str, shape: tuple[int, ...], dtype: torch.dtype, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Logits with the class axis 1, and class indices.

    Random logits are normal. Peaky ones are what a trained model gives: a heavy tail (the square of a normal
    number, halved, with its sign), and the label 8 above that in nine rows of ten.
    """
    generator = torch.Generator(device).manual_seed(0)
    logits = torch.empty(shape, device=device).normal_(generator=generator)
    labels = torch.randint(shape[1], shape[:1] + shape[2:], generator=generator, device=device)
    if values == "peaky":
        logits.mul_(logits.abs()).mul_(0.5)
        learned = torch.rand(labels.shape, generator=generator, device=device) < 0.9
        logits.scatter_add_(1, labels.unsqueeze(1), 8.0 * learned.unsqueeze(1))
    return logits.to(dtype), labels


Loss = Callable[[Tensor, Tensor], Tensor]


def sides_of(logits: Tensor, target: Tensor, ours: Loss, peer: Loss, trains: bool = True) -> Sides:
    """Steps of training, each with fresh memory for its gradient, or of evaluation."""
    leaf = logits.detach().requires_grad_(trains)

    def stepper(loss: Loss) -> Callable[[], Tensor]:
        def evaluate() -> Tensor:
            return loss(leaf, target)

        def train() -> Tensor:
            leaf.grad = None
            value = loss(leaf, target)
            value.backward()
            return value

        return train if trains else evaluate

    def clear() -> None:
        leaf.grad = None

    return Sides(stepper(ours), stepper(peer), clear)


def _rows(
    values: str,
    shape: tuple[int, ...],
    speedup: float,
    *,
    memory: float | None = None,
    dtype: torch.dtype = torch.float32,
    trains: bool = True,
    what: str = "",
) -> Case:
    return Case(
        work=" ".join([what, "fwd+bwd" if trains else "forward", str(shape)]).strip(),
        peer="F.cross_entropy",
        dtype=str(dtype).removeprefix("torch."),
        values=values,
        nbytes=math.prod(shape) * dtype.itemsize,
        speedup=speedup,
        build=lambda: sides_of(
            *logits_and_labels(values, shape, dtype), cross_entropy, peers.cross_entropy, trains
        ),
        memory=memory,
        trains=trains,
        passes=3.0 if trains else 1.0,
        tolerance=2e-2
        if dtype == torch.bfloat16
        else 1e-4,  # torch rounds its loss to the dtype of the logits
    )


def _small_vocabulary(
    values: str, work: str, peer: str, speedup: float, ours: Loss, theirs: Loss, soft: bool = False
) -> Case:
    """Variants of the loss, at (4096, 1000)."""
    shape = (4096, 1000)

    def build() -> Sides:
        logits, labels = logits_and_labels(values, shape, torch.float32)
        target = (2 * logits + torch.randn_like(logits)).softmax(1) if soft else labels
        return sides_of(logits, target, ours, theirs)

    return Case(
        work=f"{work} fwd+bwd {shape}",
        peer=peer,
        dtype="float32",
        values=values,
        nbytes=4 * math.prod(shape),
        speedup=speedup,
        build=build,
        passes=5.0 if soft else 3.0,
    )


def _smoothed(values: str) -> Case:
    def ours(logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(logits, target, label_smoothing=0.1)

    return _small_vocabulary(
        values, "label smoothing", "F.cross_entropy", 4, ours, peers.smoothed_cross_entropy
    )


def _focal(values: str) -> Case:
    return _small_vocabulary(values, "focal", "composition", 4, focal_loss, peers.focal_loss)


def _soft(values: str) -> Case:
    return _small_vocabulary(
        values, "dense soft targets", "F.cross_entropy", 2, cross_entropy, peers.cross_entropy, soft=True
    )


def _beside_plain(shape: tuple[int, int]) -> list[Case]:
    """What options cost: the peer is our own plain cross-entropy of the same logits."""
    N, C = shape
    weight = torch.linspace(0.5, 1.5, C)

    def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
        return ce.softmax_cross_entropy(logits, labels, label_smoothing=0.1, class_weight=weight, z_loss=1e-4)

    def mixed(logits: Tensor, labels: Tensor) -> Tensor:
        return ce.softmax_cross_entropy(logits, _pairs_of(shape))

    def within(logits: Tensor, labels: Tensor) -> Tensor:
        return ce.softmax_cross_entropy(logits, ce.targets.LabelSet(_set_of(shape)))

    return [
        Case(
            work=f"{name} fwd+bwd {shape}",
            peer="plain, ours",
            dtype="float32",
            values="random",
            nbytes=4 * N * C,
            speedup=1 / price,
            build=lambda ours=ours: sides_of(
                *logits_and_labels("random", shape, torch.float32), ours, cross_entropy
            ),
            tolerance=None,
        )
        for name, price, ours in (
            ("focal", 1.15, focal_loss),
            ("smoothing, class weights and z-loss", 1.15, smoothed),
            ("two weighted labels", 1.2, mixed),
            ("label sets", 1.5, within),
        )
    ]


@lru_cache(maxsize=1)
def _pairs_of(shape: tuple[int, int]) -> ce.targets.Sparse:
    """Two labels for every row."""
    N, C = shape
    indices = torch.randint(C, (N, 2), generator=torch.Generator().manual_seed(0))
    return ce.targets.Sparse(indices, torch.tensor([0.7, 0.3]).expand(N, 2))


@lru_cache(maxsize=1)
def _set_of(shape: tuple[int, int]) -> Tensor:
    """A tenth of the classes in every row."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.1
    mask[:, 0] = True
    return mask


FOCAL_SHAPE = (125_000, 80)


def elements(shape: tuple[int, ...], device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Log-odds, and labels of which a fifth are yes."""
    generator = torch.Generator(device).manual_seed(0)
    logits = torch.empty(shape, device=device).normal_(generator=generator)
    return logits, (torch.rand(shape, generator=generator, device=device) < 0.2).float()


def sigmoid_focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """With γ = 2 and α = 1/4."""
    return ce.sigmoid_cross_entropy(
        logits, target, link=Focal(2.0), class_weight=0.75, pos_weight=1 / 3, normalizer="count"
    )


def _binary() -> Case:
    shape = (10_000, 1000)
    return Case(
        work=f"BCE with logits fwd+bwd {shape}",
        peer="F.binary_cross_entropy_with_logits",
        dtype="float32",
        values="random",
        nbytes=4 * math.prod(shape),
        speedup=5,
        build=lambda: sides_of(
            *elements(shape), binary_cross_entropy_with_logits, peers.binary_cross_entropy
        ),
        passes=5.0,
    )


def _sigmoid_focal() -> Case:
    return Case(
        work=f"sigmoid focal fwd+bwd {FOCAL_SHAPE}",
        peer="torchvision's formula",
        dtype="float32",
        values="random",
        nbytes=4 * math.prod(FOCAL_SHAPE),
        speedup=10,
        build=lambda: sides_of(*elements(FOCAL_SHAPE), sigmoid_focal_loss, peers.sigmoid_focal_loss),
        passes=5.0,
    )


def _log_loss(n: int, classes: int, speedup: float) -> Case:
    def build() -> Sides:
        rng = np.random.default_rng(0)
        p = np.exp(2 * rng.standard_normal((n, classes)))
        p /= p.sum(1, keepdims=True)
        y = rng.integers(classes, size=n)
        return Sides(lambda: ce.log_loss(p, y), lambda: peers.log_loss(p, y), lambda: None)

    return Case(
        work=f"log_loss ({n}, {classes})",
        peer="sklearn.metrics.log_loss",
        dtype="float64",
        values="random",
        nbytes=8 * n * classes,
        speedup=speedup,
        build=build,
        trains=False,
        passes=1.0,
        block=8 * n,
    )
