"""Derivatives of a linear head: of any order, by any part, passed any upstream gradient, and nothing for nobody."""

import copy

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
from functorch.compile import make_boxed_func  # noqa: E402
from torch._dynamo.backends.common import aot_autograd  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from crossentropy._engine.linear import autograd as strategies  # noqa: E402
from crossentropy._engine.softmax.autograd import FUSED  # noqa: E402
from linear_heads import (  # noqa: E402
    STRATEGIES,
    assert_close,
    assert_same_loss,
    blocks_of,
    each_strategy,
    gradients,
    head,
    labels,
    on_logits,
    random,
    upstream_of,
)
from sampling import full, named, sampled  # noqa: E402

ORDERS = {
    "plain": {},
    "rows": {"reduction": "none"},
    "smoothed and regularized": {"label_smoothing": 0.1, "z_loss": 0.1, "entropy_bonus": 0.1},
    "focal": {"link": ce.links.Focal(2.0)},
    "a link on every class": {"link": ce.links.Focal(2.0), "label_smoothing": 0.1},
    "soft": {"target": random(4, 6, seed=5).softmax(-1)},
    "set": {"target": ce.targets.LabelSet(random(4, 6, seed=6) > 0)},
}
each_order = pytest.mark.parametrize("name", ORDERS)


def small_head():
    parts = random(4, 3, seed=1), random(6, 3, seed=2), random(6, seed=3), random(2, 3, seed=4), random(6, 2)
    return [x.requires_grad_() for x in parts]


def loss_of(name, budget):
    options = dict(ORDERS[name])
    target = options.pop("target", torch.tensor([0, 5, 2, 2]))

    def loss(hidden, weight, bias, down, up):
        return ce.linear_cross_entropy(
            hidden, weight, target, bias=bias, low_rank=(down, up), memory_budget=budget, **options
        )

    return loss


@each_strategy
@each_order
def test_first_derivatives(name, budget):
    with blocks_of(2, tile=4, groups=1, forward_rows=2):
        assert gradcheck(loss_of(name, budget), small_head(), nondet_tol=1e-12)


@sampled(
    {
        "name": [*list(ORDERS)[::2], *full(list(ORDERS)[1::2])],
        "budget": named(STRATEGIES.values(), STRATEGIES),
    }
)
def test_second_derivatives(name, budget):
    """The first backward pass comes from the forward one and others do not: equal to rounding, not to the bit."""
    with blocks_of(2, tile=4, groups=1, forward_rows=2):
        assert gradgradcheck(loss_of(name, budget), small_head(), nondet_tol=1e-12)


def heads_of_their_own_making():
    """Hidden states, weights and options, some made of one another, and the tensors that all are made of."""
    hidden, weight, _ = head()
    down, up = random(2, 5, seed=5).requires_grad_(), random(41, 2, seed=6).requires_grad_()
    temperature = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    tied = torch.tanh(weight[labels(11, classes=41, seed=8)])
    return {
        "plain": (hidden, weight, {}, [hidden, weight]),
        "rows": (hidden, weight, {"reduction": "none"}, [hidden, weight]),
        "low rank": (hidden, weight, {"low_rank": (down, up)}, [hidden, weight, down, up]),
        "tied to the input": (tied, weight, {}, [weight]),
        "one made of the other": (weight[:11] * 2, weight, {"label_smoothing": 0.1}, [weight]),
        "a temperature of the input": (
            hidden * temperature,
            weight,
            {"temperature": temperature},
            [hidden, weight, temperature],
        ),
    }


@each_strategy
@pytest.mark.parametrize("name", heads_of_their_own_making())
def test_any_number_of_backward_passes_give_one_gradient(name, budget):
    """The gradient of the first comes from the forward pass, that of others from the start, and of a second order too.

    Where one input is made of another, its gradient is not counted on both ways.
    """
    hidden, weight, options, learning = heads_of_their_own_making()[name]
    y = head()[2]
    with blocks_of(4):
        value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, **options)
        passes = [gradients(value, learning) for _ in range(3)]
        differentiable = torch.autograd.grad(
            value, learning, upstream_of(value), create_graph=True, retain_graph=True
        )
    truth = gradients(on_logits(hidden, weight, y, **options), learning)
    for found in (*passes, differentiable):
        for g, t in zip(found, truth, strict=True):
            assert_close(g, t)


@each_strategy
def test_a_gradient_that_was_given_away_may_be_written_over(budget):
    """The first pass gives its sums away; what happens to them has no effect on the next."""
    hidden, weight, y = head()
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    first = torch.autograd.grad(value, (hidden, weight), retain_graph=True)
    kept = [g.clone() for g in first]
    for g in first:
        g.fill_(torch.nan)
    for g, expected in zip(torch.autograd.grad(value, (hidden, weight)), kept, strict=True):
        assert_close(g, expected)


@each_strategy
@pytest.mark.parametrize("factor", [0.0, -1.0, 3.7, 1e-300, 1e300])
def test_an_upstream_gradient_multiplies(factor, budget):
    hidden, weight, y = head()
    plain = torch.autograd.grad(ce.linear_cross_entropy(hidden, weight, y), (hidden, weight))
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget) * factor
    for g, expected in zip(torch.autograd.grad(value, (hidden, weight)), plain, strict=True):
        torch.testing.assert_close(g, factor * expected, rtol=1e-12, atol=1e-13 * abs(factor))


def test_many_upstream_gradients_at_once():
    with blocks_of(2, tile=4, groups=1):
        losses = lambda h, W: ce.linear_cross_entropy(h, W, torch.tensor([0, 5, 2, 2]), reduction="none")  # noqa: E731
        assert gradcheck(losses, small_head()[:2], check_batched_grad=True)
        mean = lambda h, W: ce.linear_cross_entropy(h, W, torch.tensor([0, 5, 2, 2]))  # noqa: E731
        assert gradcheck(mean, small_head()[:2], check_batched_grad=True, nondet_tol=1e-12)


@each_strategy
def test_gradients_of_two_losses_that_share_a_weight_add_up(budget):
    hidden, weight, y = head()
    other, z = random(7, 5, seed=9).requires_grad_(), labels(7, classes=41, seed=9)
    found, truth = (
        loss(hidden, weight, y, **more) + 2 * loss(other, weight, z, label_smoothing=0.1, **more)
        for loss, more in ((ce.linear_cross_entropy, {"memory_budget": budget}), (on_logits, {}))
    )
    assert_same_loss(found, truth, [hidden, weight, other])


@each_strategy
def test_the_weight_may_be_the_embedding_of_the_input(budget):
    _, table, y = head()
    tokens = labels(11, classes=41, seed=8)
    found, truth = (
        loss(torch.tanh(table[tokens]), table, y, **more)
        for loss, more in ((ce.linear_cross_entropy, {"memory_budget": budget}), (on_logits, {}))
    )
    assert_same_loss(found, truth, [table])


class Sizes(TorchDispatchMode):
    """How many new tensors of each number of entries PyTorch makes."""

    def __init__(self):
        super().__init__()
        self.made = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        outputs = found if isinstance(found, (list, tuple)) else [found]
        for x, declared in zip(outputs, function._schema.returns, strict=False):
            if (
                isinstance(x, torch.Tensor) and declared.alias_info is None
            ):  # no view, and not written in place
                self.made.add(x.numel())
        return found


@each_strategy
@pytest.mark.parametrize("frozen", ["hidden", "weight", "bias"])
def test_a_frozen_part_has_no_gradient(frozen, budget):
    hidden, weight, y = head()
    parts = {"hidden": hidden, "weight": weight, "bias": random(41, seed=3).requires_grad_()}
    parts[frozen].requires_grad_(False)
    learning = [x for x in parts.values() if x.requires_grad]
    with blocks_of(4):
        found = ce.linear_cross_entropy(
            parts["hidden"], parts["weight"], y, bias=parts["bias"], memory_budget=budget
        )
        found.backward()
    assert parts[frozen].grad is None
    truth = torch.autograd.grad(on_logits(parts["hidden"], parts["weight"], y, bias=parts["bias"]), learning)
    for x, expected in zip(learning, truth, strict=True):
        assert_close(x.grad, expected)


@each_strategy
@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_nothing_of_the_size_of_a_frozen_part_is_made(frozen, budget, monkeypatch):
    """Sizes with which neither a block of logits nor another part is mistaken for it; padding counts as well."""
    # The kernels step aside for whoever watches PyTorch's operations, so they are told that nobody does.
    monkeypatch.setattr(strategies, "kernels_for", lambda *_: FUSED)
    N, D, V = 32, 48, 101
    hidden, weight, y = head(N, D, V)
    size = {"hidden": N * D, "weight": V * D}
    {"hidden": hidden, "weight": weight}[frozen].requires_grad_(False)
    other = "weight" if frozen == "hidden" else "hidden"
    with blocks_of(4, tile=16, groups=2, forward_rows=4), Sizes() as sizes:
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget).backward()
    assert size[other] in sizes.made
    assert size[frozen] not in sizes.made


@pytest.mark.parametrize("learn", [True, False])
def test_without_gradients_no_array_of_the_size_of_the_weight_is_made(learn, monkeypatch):
    monkeypatch.setattr(strategies, "kernels_for", lambda *_: FUSED)
    hidden, weight, y = (x.detach() for x in head(32, 48, 101))
    with blocks_of(4), Sizes() as sizes, torch.set_grad_enabled(learn):
        ce.linear_cross_entropy(hidden, weight, y)
    assert max(sizes.made) < 16 * 112  # a block of logits and its padding


@each_strategy
def test_the_logits_are_never_whole(budget, monkeypatch):
    monkeypatch.setattr(strategies, "kernels_for", lambda *_: FUSED)
    hidden, weight, y = head(64, 4, 256)
    with blocks_of(4, tile=32), Sizes() as sizes:
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, label_smoothing=0.1).backward()
    assert max(sizes.made) <= 256 * 16


@each_strategy
def test_inputs_are_not_written_over(budget):
    hidden, weight, y = head()
    before = [x.detach().clone() for x in (hidden, weight, y)]
    with blocks_of(4):
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget).backward()
    for x, was in zip((hidden, weight, y), before, strict=True):
        assert x.equal(was)


@each_strategy
def test_a_weight_that_changes_before_the_backward_pass_is_noticed(budget):
    hidden, weight, y = head()
    value = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    with torch.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


# ------------------------------------------------------------------------------- where the kernels step aside

TRANSFORMED = {
    "mean": {},
    "rows": {"reduction": "none"},
    "ignored": {"ignore_index": 3, "label_smoothing": 0.1},
}
each_transformed = pytest.mark.parametrize("options", TRANSFORMED.values(), ids=TRANSFORMED)


@each_transformed
def test_under_vmap(options):
    stacked, (_, weight, y) = random(3, 11, 5), head()
    loss = lambda h: ce.linear_cross_entropy(h, weight, y, **options)  # noqa: E731
    assert_close(torch.func.vmap(loss)(stacked), torch.stack([loss(h) for h in stacked]))


@each_transformed
def test_under_functional_derivatives(options):
    hidden, weight, y = head()
    loss = lambda h, W: ce.linear_cross_entropy(h, W, y, **options).sum()  # noqa: E731
    truth = torch.autograd.grad(on_logits(hidden, weight, y, **options).sum(), (hidden, weight))
    for g, t in zip(torch.func.grad(loss, (0, 1))(hidden.detach(), weight.detach()), truth, strict=True):
        assert_close(g, t)
    direction = random(11, 5, seed=9)
    _, along = torch.func.jvp(lambda h: loss(h, weight.detach()), (hidden.detach(),), (direction,))
    assert_close(along, (truth[0] * direction).sum())


@each_transformed
def test_compiled_without_a_break(options):
    hidden, weight, y = head()
    loss = lambda h, W: ce.linear_cross_entropy(h, W, y, **options)  # noqa: E731
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert_same_loss(compiled(hidden, weight), on_logits(hidden, weight, y, **options), [hidden, weight])


@pytest.mark.parametrize(
    "options",
    [
        {},
        *full([{"reduction": "none"}]),
        {"label_smoothing": 0.1, "z_loss": 0.1, "temperature": random(64, seed=7).exp()},
    ],
    ids=str,
)
def test_compiled_the_logits_are_never_whole_either(options):
    hidden, weight, y = head(64, 4, 256)
    up, down = random(256, 3, seed=4).requires_grad_(), random(3, 4, seed=5).requires_grad_()
    sizes = []

    def compiler(graph, _):
        found = (node.meta.get("val") for node in graph.graph.nodes)
        sizes.extend(x.numel() for x in found if isinstance(x, torch.Tensor))
        return make_boxed_func(graph.forward)

    loss = lambda h, W, A, B: ce.linear_cross_entropy(h, W, y, low_rank=(A, B), **options)  # noqa: E731
    backend = aot_autograd(fw_compiler=compiler, bw_compiler=compiler)
    inputs = [hidden, weight, down, up]
    found = torch.compile(loss, fullgraph=True, backend=backend)(*inputs)
    assert_same_loss(found, on_logits(hidden, weight, y, low_rank=(down, up), **options), inputs)
    assert max(sizes) < 64 * 256


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(5, 41, dtype=torch.float64)

    def forward(self, hidden, y):
        return ce.linear_cross_entropy(hidden, self.head.weight, y, bias=self.head.bias)


def test_a_deep_copy_of_a_module_trains_by_itself():
    hidden, _, y = head()
    model = Model()
    model(hidden, y).backward()
    copied = copy.deepcopy(model)
    copied.zero_grad()
    copied(hidden, y).backward()
    assert_close(copied.head.weight.grad, model.head.weight.grad)
    assert copied.head.weight.grad is not model.head.weight.grad


def test_a_checkpoint_has_the_same_gradient():
    hidden, weight, y = head()
    value = checkpoint(lambda h, W: ce.linear_cross_entropy(h, W, y), hidden, weight, use_reentrant=False)
    assert_same_loss(value, on_logits(hidden, weight, y), [hidden, weight])
