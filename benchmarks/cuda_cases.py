"""What is measured on a GPU: rows of logits, linear heads, sigmoid focal loss, and the price of a launch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import peers
from cases import FOCAL_SHAPE, elements, logits_and_labels, sigmoid_focal_loss
from crossentropy.torch import cross_entropy
from cuda_measure import DEVICE, launch_prices, peak, times
from cuda_table import Cells, Group, Table
from linear_cases import Head, ours, ours_least
from measure import Step
from table import milliseconds

ENTRIES = 1 << 28  # of the logits, at every number of classes
CLASSES = (1024, 4096, 32768, 50257, 128256, 262144)
HEADS = ((4096, 4096, 128256), (8192, 2304, 256000), (8192, 4096, 151936), (8192, 768, 50257))
SHARE = 0.85  # of the copy bandwidth, promised of rows
SLOWDOWN = 1.2  # of the three products, promised of the first head
TRUTHS = 64  # rows of the gradients that are compared with float64

Loss = Callable[..., Tensor]


def optional(module: str, name: str) -> Loss | None:
    """A peer that may not be installed."""
    if find_spec(module.partition(".")[0]) is None:
        return None
    loss: Loss = getattr(import_module(module), name)
    return loss


ROW_WAYS: dict[str, Loss | None] = {
    "ours": cross_entropy,
    "F.cross_entropy": peers.cross_entropy,
    "compiled": torch.compile(peers.cross_entropy, dynamic=False),
    "Liger": optional("liger_kernel.transformers.functional", "liger_cross_entropy"),
}
FOCAL_WAYS: dict[str, Loss | None] = {
    "ours": sigmoid_focal_loss,
    "torchvision's formula": peers.sigmoid_focal_loss,
    "compiled": torch.compile(peers.sigmoid_focal_loss, dynamic=False),
}
HEAD_WAYS: dict[str, Loss | None] = {
    "ours": ours,
    "ours, memory_budget=0": ours_least,
    "F.linear, F.cross_entropy": lambda hidden, weight, labels: F.cross_entropy(
        F.linear(hidden, weight), labels
    ),
    "F.linear_cross_entropy, chunked": peers.chunked_linear_cross_entropy,
    "Liger": optional("liger_kernel.transformers.functional", "liger_fused_linear_cross_entropy"),
    "cut-cross-entropy": optional("cut_cross_entropy", "linear_cross_entropy"),
}


def all_tables() -> list[Table]:
    """The page's."""
    return [_rows(), _heads(), _focal(), _launches()]


# ---- logits ------------------------------------------------------------------------------------------------


def _rows() -> Table:
    groups = [
        Group(
            [(f"{ENTRIES // V} × {V}", name_of(dtype), values, "fwd+bwd" if trains else "forward")],
            lambda V=V, dtype=dtype, values=values, trains=trains: [_row_cells(V, dtype, values, trains)],
        )
        for V in CLASSES
        for dtype in (torch.float32, torch.bfloat16)
        for values in ("random", "peaky")
        for trains in (True, False)
    ]
    text = (
        "Milliseconds, and the share of the bandwidth at which the logits are copied (`y.copy_(x)`, read and "
        "written): the logits are read forward, and read and their gradient written backward. Promised of ours is "
        f"{SHARE:.0%}. Liger writes the gradient over the logits."
    )
    return Table(
        "Rows",
        text,
        ("logits", "dtype", "values", "pass"),
        ("copy GB/s", *ROW_WAYS, "met"),
        groups,
    )


def _row_cells(V: int, dtype: torch.dtype, values: str, trains: bool) -> list[str]:
    logits, labels = logits_and_labels(values, (ENTRIES // V, V), dtype, DEVICE)
    seconds, copy, cells = _beside_copy(ROW_WAYS, logits, labels, 3 if trains else 1, trains)
    share = (1.5 if trains else 0.5) * copy / (seconds["ours"] or float("inf"))
    return [*cells, "yes" if share >= SHARE else "no"]


def _beside_copy(
    ways: Mapping[str, Loss | None], logits: Tensor, target: Tensor, passes: int, trains: bool
) -> tuple[dict[str, float | None], float, list[str]]:
    """Seconds of every way and of a copy of the logits; and cells, where so often the logits' bytes must move."""
    torch.compiler.reset()  # compiled functions are recompiled only so often
    copy, steps = torch.empty_like(logits), _steps(ways, logits, target, trains)
    seconds = times({"copy": lambda: copy.copy_(logits), **steps})
    copied = seconds.pop("copy")
    assert copied is not None
    least = passes * copied / 2
    cells = [f"{2 * logits.nbytes / copied / 1e9:.0f}"]
    for way in ways:
        taken = seconds.get(way)
        cells.append(f"{milliseconds(taken)} ({least / taken:.0%})" if taken else _missing(way in steps))
    return seconds, copied, cells


def _steps(ways: Mapping[str, Loss | None], logits: Tensor, target: Tensor, trains: bool) -> dict[str, Step]:
    """Of the ways that are installed, each with logits of its own, for a peer writes over them."""

    def step_by(loss: Loss) -> Step:
        leaf = logits.clone().requires_grad_(trains)

        def evaluate() -> Tensor:
            return loss(leaf, target)

        def train() -> None:
            loss(leaf, target).backward()
            leaf.grad = None

        return train if trains else evaluate

    return {way: step_by(loss) for way, loss in ways.items() if loss is not None}


def _missing(installed: bool) -> str:
    return "out of memory" if installed else "not installed"


def _focal() -> Table:
    def measure() -> Cells:
        logits, target = elements(FOCAL_SHAPE, DEVICE)
        return [
            _beside_copy(FOCAL_WAYS, logits, target, passes, trains)[2]
            for passes, trains in ((5, True), (2, False))
        ]

    text = "As above; logits and labels are both read."
    labels = [(str(FOCAL_SHAPE), "float32", what) for what in ("fwd+bwd", "forward")]
    return Table(
        "Sigmoid focal loss",
        text,
        ("logits", "dtype", "pass"),
        ("copy GB/s", *FOCAL_WAYS),
        [Group(labels, measure)],
    )


def _launches() -> Table:
    shape = (64, 10)

    def measure() -> Cells:
        torch.compiler.reset()
        logits, labels = logits_and_labels("random", shape, torch.float32, DEVICE)
        seconds = launch_prices(_steps(ROW_WAYS, logits, labels, trains=True))
        return [[f"{1e6 * seconds[way]:.1f}" if way in seconds else _missing(False) for way in ROW_WAYS]]

    text = "Microseconds of the host's time a step, forward and backward, where there is next to nothing to compute."
    labels = [(str(shape), "float32")]
    return Table(
        "The price of a launch", text, ("logits", "dtype"), tuple(ROW_WAYS), [Group(labels, measure)]
    )


# ---- linear heads ------------------------------------------------------------------------------------------

PRODUCTS = "the three products alone"


class Truth(NamedTuple):
    """The loss, and some rows of the gradients, in float64."""

    loss: Tensor
    by_hidden: Tensor  # of the first rows
    by_weight: Tensor  # of the first classes


def _heads() -> Table:
    groups = [
        Group(
            [(str(shape), way) for way in (*HEAD_WAYS, PRODUCTS)],
            lambda shape=shape: _head_cells(shape, shape == HEADS[0]),
        )
        for shape in HEADS
    ]
    text = (
        "Steps in bfloat16, forward and backward, of a random head (N, D, V). Promised of ours is at most "
        f"{SLOWDOWN} times the three products at {HEADS[0]}. Memory is the peak beyond the gradients. Errors are "
        "relative to float64 from the same numbers: of the loss, and of the Euclidean norm of "
        f"{TRUTHS} rows of each gradient."
    )
    head = ("ms", "× products", "MiB", "loss", "hidden gradient", "weight gradient", "met")
    return Table("Linear heads", text, ("head", "by"), head, groups)


def _head_cells(shape: tuple[int, int, int], promised: bool) -> Cells:
    head = _random_head(*shape)
    truth = _truth(head)
    steps = {way: _head_step(head, loss) for way, loss in HEAD_WAYS.items() if loss is not None}
    seconds = times({**steps, PRODUCTS: _products(head)})
    limit = seconds[PRODUCTS]
    lines = []
    for way in (*HEAD_WAYS, PRODUCTS):
        taken = seconds.get(way)
        if taken is None:
            lines.append([_missing(way in steps), *[""] * 6])
            continue
        ratio = taken / limit if limit else float("nan")
        cells = [milliseconds(taken), f"{ratio:.2f}"]
        if way != PRODUCTS:
            extra = peak(steps[way]) - head.gradient_bytes
            cells += [f"{extra / 2**20:.0f}", *(f"{error:.1e}" for error in _errors(steps[way], truth))]
        met = ("yes" if ratio <= SLOWDOWN else "no") if promised and way == "ours" else ""
        lines.append([*cells, *[""] * (6 - len(cells)), met])
    return lines


def _random_head(N: int, D: int, V: int) -> Head:
    """As on the CPU, made on the device."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    hidden = torch.empty(N, D, device=DEVICE).normal_(generator=generator)
    weight = torch.empty(V, D, device=DEVICE).normal_(std=D**-0.5, generator=generator)
    labels = torch.randint(V, (N,), generator=generator, device=DEVICE)
    half = torch.bfloat16
    return Head(hidden.to(half).requires_grad_(), weight.to(half).requires_grad_(), labels)


def _head_step(head: Head, loss: Loss) -> Step:
    """The loss and its gradients."""

    def step() -> tuple[Tensor, ...]:
        value = loss(*head)
        return (value.detach(), *torch.autograd.grad(value, (head.hidden, head.weight)))

    return step


def _products(head: Head) -> Step:
    """Logits, and the gradients of hidden states and weight from as large an array."""
    hidden, weight = head.hidden.detach(), head.weight.detach()

    def step() -> tuple[Tensor, Tensor]:
        logits = hidden @ weight.T
        return logits @ weight, logits.T @ hidden

    return step


def _truth(head: Head, rows: int = 256) -> Truth:
    hidden, weight = head.hidden.detach().double(), head.weight.detach().double()
    N = len(hidden)
    loss = torch.zeros((), dtype=torch.float64, device=DEVICE)
    by_hidden, by_weight = [], torch.zeros_like(weight[:TRUTHS])
    for begin in range(0, N, rows):
        part, labels = hidden[begin : begin + rows], head.labels[begin : begin + rows]
        logits = part @ weight.T
        slope = logits.softmax(1)
        loss += F.cross_entropy(logits, labels, reduction="sum") / N
        slope[torch.arange(len(part), device=DEVICE), labels] -= 1
        by_weight += slope[:, :TRUTHS].T @ part / N
        if begin < TRUTHS:
            by_hidden.append(slope[: TRUTHS - begin] @ weight / N)
    return Truth(loss, torch.cat(by_hidden), by_weight)


def _errors(step: Step, truth: Truth) -> list[float]:
    value, by_hidden, by_weight = step()
    found = (value, by_hidden[:TRUTHS], by_weight[:TRUTHS])
    return [float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)]


def name_of(dtype: torch.dtype) -> str:
    """Without its module."""
    return str(dtype).removeprefix("torch.")
