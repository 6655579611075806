"""What a sharded head does besides the options of a loss: shifts, ranks of labels, tiles left out, memory."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
import rank_threads  # noqa: E402
from crossentropy._statistics.head.head import Head  # noqa: E402
from crossentropy.torch import distributed  # noqa: E402
from linear_heads import (  # noqa: E402
    assert_close,
    blocks_of,
    each_strategy,
    labels,
    on_logits,
    random,
    upstream_of,
)
from poison import poison  # noqa: E402, F401
from reading_past import products_that_read_past_rows  # noqa: E402

V, D = 41, 5
PARTS = (slice(0, 13), slice(13, 30), slice(30, V))
OF_CLASSES = ("weight", "bias", "B", "logit_bias", "margin")


def head(*rows: int, seed: int = 0) -> dict[str, Any]:
    """Hidden states and a head with all its parts, learning, by name."""
    found = {
        "hidden": random(*rows, D, seed=seed),
        "weight": random(V, D, seed=seed + 1),
        "bias": random(V, seed=seed + 2),
        "A": random(2, D, seed=seed + 3),
        "B": random(V, 2, seed=seed + 4),
    }
    return {name: x.requires_grad_() for name, x in found.items()}


def on_ranks(loss: Any, parts: dict[str, Any], y: Any, **options: Any) -> list[Any]:
    """Of every rank what a loss of its part of a head gives, and the gradients."""

    def job(rank: int) -> Any:
        mine = {name: x[PARTS[rank]] if name in OF_CLASSES else x for name, x in parts.items()}
        mine = {name: x.detach().clone().requires_grad_() for name, x in mine.items()}
        more = {
            name: x[PARTS[rank]] if name in OF_CLASSES and getattr(x, "ndim", 0) else x
            for name, x in options.items()
        }
        value = loss(
            mine["hidden"], mine["weight"], y, bias=mine["bias"], low_rank=(mine["A"], mine["B"]), **more
        )
        grads = torch.autograd.grad(value, list(mine.values()), upstream_of(value))
        return value.detach(), dict(zip(mine, grads, strict=True))

    return rank_threads.run(len(PARTS), job)


def assert_same(ranks: list[Any], value: Any, parts: dict[str, Any], relative: float = 1e-12) -> None:
    """The ranks' losses and gradients are those of the value."""
    grads = torch.autograd.grad(value, list(parts.values()), upstream_of(value))
    for found, _ in ranks:
        assert_close(found, value, relative)
    for name, g in zip(parts, grads, strict=True):
        each = [found[name] for _, found in ranks]
        assert_close(torch.cat(each) if name in OF_CLASSES else each[0], g, relative)
        assert name in OF_CLASSES or all(x.equal(each[0]) for x in each)


def whole(parts: dict[str, Any], y: Any, rows: Any = ..., **options: Any) -> Any:
    """The loss of some rows' logits on one process."""
    return on_logits(
        parts["hidden"][rows],
        parts["weight"],
        y,
        bias=parts["bias"],
        low_rank=(parts["A"], parts["B"]),
        **options,
    )


@each_strategy
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("shift", [1, 2])
def test_a_shift_pairs_hidden_states_with_later_labels(shift, reduction, budget):
    parts, y = head(2, 6), labels(2, 6, classes=V)
    y[0, 3] = -100
    options = {"ignore_index": -100, "reduction": reduction, "label_smoothing": 0.1}
    T, w = random(2, 6, seed=8).exp(), random(2, 6, seed=9).exp()
    with blocks_of(4):
        found = on_ranks(
            distributed.linear_cross_entropy,
            *(parts, y),
            **options,
            **{"shift": shift, "temperature": T, "sample_weight": w, "memory_budget": budget},
        )
    later = {"temperature": T[:, shift:], "sample_weight": w[:, shift:]}
    rows = (slice(None), slice(0, -shift))
    assert_same(found, whole(parts, y[:, shift:], rows, **options, **later), parts)


@pytest.mark.parametrize("rows", [(), (1,), (0,), (2, 0), (2, 1, 3)], ids=str)
def test_rows_of_any_shape(rows):
    parts, y = head(*rows), labels(*rows, classes=V)
    options = {"reduction": "none", "z_loss": 0.1}
    found = on_ranks(distributed.linear_cross_entropy, parts, y, **options)
    assert_same(found, whole(parts, y, **options), parts)


def test_a_shifted_label_outside_the_classes_is_named_by_its_place():
    parts, y = head(2, 6), labels(2, 6, classes=V)
    y[1, 4], y[0, 0] = V, -7  # the first has no hidden state before it
    with pytest.raises(ValueError, match=rf"label {V} at row \(1, 3\) is outside \[0, {V}\)"):
        on_ranks(distributed.linear_cross_entropy, parts, y, shift=1)


@each_strategy
def test_a_link_that_holds_something_for_every_row(budget):
    parts, y = head(2, 6), labels(2, 6, classes=V)
    link = ce.links.ClippedPolicy(random(2, 6, seed=14), random(2, 6, seed=15) - 3)
    with blocks_of(4):
        found = on_ranks(distributed.linear_cross_entropy, parts, y, link=link, memory_budget=budget)
    assert_same(found, whole(parts, y, link=link), parts)


@pytest.mark.parametrize(("budget", "times"), [(None, 1), (0, 2), (8 * 12 * 17, 1), (8 * 12 * 17 - 1, 2)])
def test_logits_that_fit_into_the_budget_are_made_once(budget, times, monkeypatch):
    """Of 12 rows and, on the largest shard, 17 classes in float64."""
    made = []
    write = Head.write

    def counted(self, rows, classes, out):
        if self.classes == 17:
            made.append((rows.stop - rows.start) * (classes.stop - classes.start))
        write(self, rows, classes, out)

    monkeypatch.setattr(Head, "write", counted)
    with blocks_of(4):
        on_ranks(distributed.linear_cross_entropy, head(12), labels(12, classes=V), memory_budget=budget)
    assert sum(made) == times * 12 * 17


def test_the_ranks_exchange_statistics_forward_and_one_sum_backward(monkeypatch):
    """Forward what they agree upon and then what is known of each of 12 rows, backward gradients of hidden and A."""
    from torch import distributed as ranks

    said = []
    gather, reduce = ranks.all_gather, ranks.all_reduce
    monkeypatch.setattr(
        ranks, "all_gather", lambda out, x, **kw: said.append(("gather", x.numel())) or gather(out, x, **kw)
    )
    monkeypatch.setattr(
        ranks, "all_reduce", lambda x, **kw: said.append(("reduce", x.numel())) or reduce(x, **kw)
    )
    on_ranks(distributed.linear_cross_entropy, head(12), labels(12, classes=V), z_loss=0.1)
    assert [what for what, _ in said[::3]] == ["gather", "gather", "reduce"]
    assert said[3][1] <= 8 * 12
    assert said[6][1] == 12 * (D + 2)  # of hidden, and of what A makes of it


STATISTICS = {
    "plain": {},
    "margin": {"margin": 2.0, "temperature": 0.5},
    "margins and softcap": {"margin": torch.arange(float(V)).double() / 9, "softcap": 3.0},
    "bias": {
        "logit_bias": torch.arange(float(V)).double() % 3,
        "temperature": torch.arange(1.0, 13).double(),
    },
}


@pytest.mark.parametrize("name", STATISTICS)
def test_the_rank_of_a_label_counts_classes_of_all_ranks(name):
    """With many ties, of which the first class comes first, and labels on every shard."""
    options, y = STATISTICS[name], labels(12, classes=V, seed=5)
    y[3] = -100
    hidden, weight = random(12, D, seed=6).round(), random(V, D, seed=7).round()

    def job(rank: int) -> Any:
        own = {
            n: x[PARTS[rank]] if n in OF_CLASSES and getattr(x, "ndim", 0) else x for n, x in options.items()
        }
        own |= {"ignore_index": -100, "rank": True}
        of_head = distributed.linear_target_statistics(hidden, weight[PARTS[rank]], y, **own)
        of_logits = distributed.target_statistics(hidden @ weight[PARTS[rank]].T, y, **own)
        return of_head.rank, of_logits.rank

    with blocks_of(5):
        found = rank_threads.run(len(PARTS), job)
    truth = ce.target_statistics(hidden @ weight.T, y, rank=True, ignore_index=-100, **options).rank
    assert len(truth.unique()) > 4
    for each in found:
        assert each[0].equal(truth)
        assert each[1].equal(truth)


def test_statistics_of_a_sharded_head_are_those_of_its_logits():
    parts, y = head(2, 6), labels(2, 6, classes=V)
    names = ("log_prob", "log_odds", "logsumexp", "entropy")

    def summed(said: Any) -> Any:
        return sum(getattr(said, name) * (n + 1) for n, name in enumerate(names))

    found = on_ranks(
        lambda *given, **options: summed(distributed.linear_target_statistics(*given, **options)),
        *(parts, y),
        **{"shift": 1, "entropy": True, "temperature": 0.7},
    )
    z = parts["hidden"][:, :-1] @ (parts["weight"] + parts["B"] @ parts["A"]).T + parts["bias"]
    assert_same(found, summed(ce.target_statistics(z, y[:, 1:], entropy=True, temperature=0.7)), parts)


def sure(N: int = 37) -> tuple[dict[str, Any], Any]:
    """A head that is sure of most labels."""
    parts, y = head(N), labels(N, classes=V, seed=3)
    with torch.no_grad():
        parts["hidden"].copy_(3 * parts["weight"][y] + 0.1 * parts["hidden"])
    y[5] = -100
    return parts, y


SKIPPED: dict[str, dict[str, Any]] = {
    "plain": {},
    "z-loss": {"z_loss": 0.01},
    "temperatures": {"temperature": torch.linspace(0.5, 1.5, 37, dtype=torch.float64)},
    "bias": {"logit_bias": torch.linspace(-1, 1, V, dtype=torch.float64), "temperature": 1.5},
    "focal": {"link": ce.links.Focal(2.0), "margin": 0.2},
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_bound_that_nothing_is_below_changes_nothing(name):
    parts, y = sure()
    options = {"ignore_index": -100, **SKIPPED[name]}
    with blocks_of(8):
        found = on_ranks(distributed.linear_cross_entropy, parts, y, skip_below=1e-100, **options)
    assert_same(found, whole(parts, y, **options), parts)


@pytest.mark.parametrize("name", SKIPPED)
def test_labels_keep_their_gradient_whatever_is_left_out(name):
    """With a bound of almost 1 nothing else is left, and that is the logits' own gradient at the labels."""
    parts, y = head(37), labels(37, classes=V, seed=3)
    y[5] = -100
    options = {"ignore_index": -100, **SKIPPED[name]}
    with blocks_of(8):
        found = on_ranks(distributed.linear_cross_entropy, parts, y, skip_below=0.999999, **options)
    z = parts["hidden"] @ (parts["weight"] + parts["B"] @ parts["A"]).T + parts["bias"]
    value = ce.softmax_cross_entropy(z, y, **options)
    (slope,) = torch.autograd.grad(value, z, upstream_of(value), retain_graph=True)
    at_labels = torch.zeros_like(z).scatter_(1, y.clamp(min=0)[:, None], 1.0) * (y != -100)[:, None]
    grads = torch.autograd.grad((z * slope * at_labels).sum(), list(parts.values()))
    for key, g in zip(parts, grads, strict=True):
        each = [rank[1][key] for rank in found]
        assert_close(torch.cat(each) if key in OF_CLASSES else each[0], g)


@pytest.mark.parametrize("bound", [1e-6, 1e-3, 0.1])
def test_the_error_of_what_is_left_out_is_within_the_bound(bound):
    """Every entry that is left out of the logits' gradient is below the bound by the number of rows that count."""
    parts, y = sure()
    with blocks_of(8):
        found = on_ranks(distributed.linear_cross_entropy, parts, y, skip_below=bound, ignore_index=-100)
    value = whole(parts, y, ignore_index=-100)
    (by_bias,) = torch.autograd.grad(value, parts["bias"], upstream_of(value))
    error = (torch.cat([rank[1]["bias"] for rank in found]) - by_bias).abs()
    assert 0 < error.max() <= bound


@pytest.mark.parametrize("name", ["skip_below", "requires_grad", "low_rank", "shift"])
def test_ranks_that_differ_in_their_head_are_told_so(name):
    parts, y = head(12), labels(12, classes=V)

    def job(rank: int) -> str:
        own = {key: x[PARTS[rank]] if key in OF_CLASSES else x for key, x in parts.items()}
        more = {
            "skip_below": {"skip_below": 0.1 * rank},
            "requires_grad": {"bias": own["bias"] if rank else own["bias"].detach()},
            "low_rank": {"low_rank": (own["A"][rank:], own["B"][:, rank:])} if rank < 2 else {},
            "shift": {"shift": rank},
        }[name]
        try:
            distributed.linear_cross_entropy(own["hidden"], own["weight"], y, memory_budget=rank, **more)
        except ValueError as error:
            return str(error)
        return "nothing"

    for said in rank_threads.run(len(PARTS), job):
        assert "ranks of the group differ in " in said
        assert name in said.split(";")[0]


WRONG: dict[str, dict[str, Any]] = {
    "hidden states of integers": {"hidden": labels(4, D, classes=9), "weight": labels(V, D, classes=9)},
    "a bias that is a word": {"bias": "none"},
    "a matrix for a pair": {"low_rank": random(2, D)},
    "nothing for a pair": {"low_rank": ()},
    "a word for a bound": {"skip_below": "never"},
    "None for a bound": {"skip_below": None},
    "a word for weights": {"class_weight": "balanced"},
    "a word for a temperature": {"temperature": "warm"},
    "no labels": {"labels": None},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_one_process_refuses_is_refused_in_its_words(name):
    given = {"hidden": random(4, D), "weight": random(V, D), "labels": labels(4, classes=V)} | WRONG[name]

    def said_by(loss: Any) -> str:
        with pytest.raises(TypeError) as error:
            loss(**given)
        return str(error.value)

    expected = said_by(ce.linear_cross_entropy).partition(";")[0]
    (found,) = rank_threads.run(1, lambda rank: said_by(distributed.linear_cross_entropy))
    assert found.startswith(expected)


@pytest.mark.parametrize("name", ["hidden", "weight", "logits"])
def test_an_array_that_is_no_tensor_is_refused_by_name(name):
    loss, parts = distributed.linear_cross_entropy, {"hidden": random(4, D), "weight": random(V, D)}
    if name == "logits":
        loss, parts = distributed.softmax_cross_entropy, {"logits": random(4, V)}
    parts[name] = parts[name].numpy()

    def job(rank: int) -> None:
        with pytest.raises(TypeError, match=rf"{name} is a numpy.ndarray .*torch\.as_tensor\({name}\)"):
            loss(*parts.values(), labels(4, classes=V))

    rank_threads.run(1, job)


def test_hidden_states_without_features_have_logits_of_zero():
    hidden, weight, y = random(4, 0), random(V, 0), labels(4, classes=V)
    (found,) = rank_threads.run(1, lambda rank: distributed.linear_cross_entropy(hidden, weight, y))
    assert float(found) == pytest.approx(math.log(V), rel=1e-14)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-12), (torch.bfloat16, 0.04)], ids=str)
@each_strategy
def test_what_lies_beside_the_operands_on_a_rank_enters_no_result(budget, dtype, relative, poison):  # noqa: F811
    """By a library that reads past rows, among memory that is NaN where nothing was written."""
    parts = {name: x.detach().to(dtype).requires_grad_() for name, x in head(30).items()}
    y = labels(30, classes=V, seed=7)
    with products_that_read_past_rows() as shapes, blocks_of(8, tile=7):
        found = on_ranks(distributed.linear_cross_entropy, parts, y, memory_budget=budget)
    assert shapes
    wide = {name: x.detach().double().requires_grad_() for name, x in parts.items()}
    truth = on_logits(wide["hidden"], wide["weight"], y, bias=wide["bias"], low_rank=(wide["A"], wide["B"]))
    exact = dict(zip(wide, torch.autograd.grad(truth, list(wide.values()), upstream_of(truth)), strict=True))
    for rank, (value, grads) in enumerate(found):
        assert_close(value, truth, relative)
        for name, g in grads.items():
            assert_close(g, exact[name][PARTS[rank]] if name in OF_CLASSES else exact[name], relative)
