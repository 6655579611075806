"""Roads beside the main one: quantities of distributions, and each way of differentiating a loss.

Beside each is what a user of the same framework would write.

python benchmarks/roads.py [--write]

Both sides of a row take turns in one process; the number is the median of the turns' ratios, the other's time by ours,
so that more than 1 is faster. ``--write`` replaces ``benchmarks/results/roads.md``.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import entr, rel_entr
from torch import Tensor
from torch.func import grad, jvp, vmap
from torch.nn import functional as F

import crossentropy as ce
from crossentropy import losses
from crossentropy.links import Focal, GeneralizedCrossEntropy
from machine import description
from measure import Sides, interleaved
from table import grid

SHAPES = ((64, 10), (4096, 1000))
RESULTS = Path(__file__).parent / "results" / "roads.md"


class Road(NamedTuple):
    """One piece of work, ours and the usual composition."""

    name: str
    ours: Callable[[], Any]
    usual: Callable[[], Any]


def quantities(shape: tuple[int, int]) -> Iterator[Road]:
    """Quantities of float64 distributions in NumPy."""
    r = np.random.default_rng(0)
    p, q = (r.dirichlet(np.ones(shape[1]), shape[0]) for _ in range(2))
    joint = p / shape[0]

    def mutual_information() -> Any:
        return rel_entr(joint, joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)).sum()

    def js_divergence() -> Any:
        m = (p + q) / 2
        return (rel_entr(p, m) + rel_entr(q, m)).sum(-1) / 2

    yield Road("entropy", lambda: ce.entropy(p), lambda: entr(p).sum(-1))
    yield Road("cross_entropy", lambda: ce.cross_entropy(p, q), lambda: -(p * np.log(q)).sum(-1))
    yield Road("kl_divergence", lambda: ce.kl_divergence(p, q), lambda: rel_entr(p, q).sum(-1))
    yield Road("js_divergence", lambda: ce.js_divergence(p, q), js_divergence)
    yield Road("mutual_information", lambda: ce.mutual_information(joint), mutual_information)


def derivatives(shape: tuple[int, int]) -> Iterator[Road]:
    """Ways of differentiating the loss of float32 logits in PyTorch."""
    z, direction, y = _logits(shape)

    def each(loss: Callable[..., Tensor]) -> Tensor:
        return vmap(grad(loss))(z, y)

    def twice(loss: Callable[..., Tensor]) -> None:
        x = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(x, y), x, create_graph=True)
        (slope * direction).sum().backward()

    ways: dict[str, Callable[[Callable[..., Tensor]], Any]] = {
        "backward": lambda loss: _backward(z, lambda x: loss(x, y)),
        "func.grad": lambda loss: grad(loss)(z, y),
        "vmap(grad)": each,
        "jvp": lambda loss: jvp(lambda x: loss(x, y), (z,), (direction,)),
        "double backward": twice,
    }
    for name, way in ways.items():
        yield Road(
            f"softmax_cross_entropy, {name}",
            lambda way=way: way(ce.softmax_cross_entropy),
            lambda way=way: way(F.cross_entropy),
        )


def other_losses(shape: tuple[int, int]) -> Iterator[Road]:
    """Losses of classes one by one, value and gradient in PyTorch."""
    z, teacher, y = _logits(shape)
    soft, C = teacher.softmax(-1), shape[1]

    def brier(x: Tensor) -> Tensor:
        return ((x.softmax(-1) - F.one_hot(y, C)) ** 2).sum(-1).mean()

    def focal(x: Tensor) -> Tensor:
        log_p = x.log_softmax(-1)
        return -(soft * (1 - log_p.exp()) ** 2 * log_p).sum(-1).mean()

    def generalized(x: Tensor) -> Tensor:
        t = 0.9 * F.one_hot(y, C) + 0.1 / C
        return (t * (1 - x.softmax(-1) ** 0.7) / 0.7).sum(-1).mean()

    def distillation(x: Tensor) -> Tensor:
        logs = (x / 2).log_softmax(-1), (teacher / 2).log_softmax(-1)
        return 4 * F.kl_div(*logs, log_target=True, reduction="batchmean")

    others = [teacher, teacher.flip(0)]

    def consistency(x: Tensor) -> Tensor:
        p = [z.softmax(-1) for z in (x, *others)]
        log_m = (sum(p) / 3).clamp_min(1e-7).log()  # type: ignore[union-attr]
        return sum(F.kl_div(log_m, q, reduction="batchmean") for q in p) / 3  # type: ignore[return-value]

    link = GeneralizedCrossEntropy(0.7)
    pairs: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "brier_loss": (lambda x: losses.brier_loss(x, y), brier),
        "focal on soft targets": (lambda x: ce.softmax_cross_entropy(x, soft, link=Focal(2.0)), focal),
        "generalized, smoothed": (
            lambda x: ce.softmax_cross_entropy(x, y, link=link, label_smoothing=0.1),
            generalized,
        ),
        "distillation_loss": (lambda x: losses.distillation_loss(x, teacher, temperature=2.0), distillation),
        "jsd_consistency of three": (lambda x: losses.jsd_consistency(x, *others), consistency),
        "hinge_loss, Weston–Watkins": (
            lambda x: losses.hinge_loss(x, y, kind="weston-watkins"),
            lambda x: F.multi_margin_loss(x, y) * C,
        ),
    }
    for name, (ours, usual) in pairs.items():
        yield Road(name, lambda ours=ours: _backward(z, ours), lambda usual=usual: _backward(z, usual))


def _logits(shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z, other = (torch.randn(shape, generator=generator) for _ in range(2))
    return z, other, torch.randint(shape[1], shape[:1], generator=generator)


def _backward(z: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    x = z.detach().requires_grad_()
    loss(x).backward()


def rows(budget: float) -> Iterator[list[str]]:
    """Measure each road at each shape."""
    for kind in (quantities, derivatives, other_losses):
        for shape in SHAPES:
            for road in kind(shape):
                times = interleaved(Sides(road.ours, road.usual, lambda: None), budget, 7)
                low, high = times.quartiles
                yield [
                    road.name,
                    f"{shape[0]} × {shape[1]}",
                    f"{1e3 * min(times.ours):.3g}",
                    f"{1e3 * min(times.peer):.3g}",
                    f"{times.speedup:.2f}",
                    f"{low:.2f}–{high:.2f}",
                ]


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--budget", type=float, default=2.0, help="seconds a row")
    options = parser.parse_args()
    found = grid(
        ["work", "shape", "ours ms", "usual ms", "×", "quartiles"], list(rows(options.budget)), left=2
    )
    about = "\n".join(f"- {name}: {value}" for name, value in description().items())
    page = f"# Roads beside the main one\n\n`python benchmarks/roads.py --write`. {METHOD}\n\n{about}\n\n{found}\n"
    if options.write:
        RESULTS.write_text(page)
    print(page)


METHOD = (
    "Beside ours is what a user of NumPy and SciPy, or of PyTorch, would write. Sides take turns in one process; **×** "
    "is the median of their ratios, more than 1 where ours is faster, with its quartiles; times are the shortest. "
    "Rows below 1 are slower than the usual composition, which keeps fewer digits."
)

if __name__ == "__main__":
    main()
