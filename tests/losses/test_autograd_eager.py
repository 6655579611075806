"""Eager differentiation in PyTorch: what backward passes give, keep, cost and leave alone."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest

import crossentropy as ce
from crossentropy._engine.softmax import autodiff
from crossentropy._engine.softmax.problem import make_problem
from crossentropy._kernels import _native

torch = pytest.importorskip("torch")

LABELS = torch.tensor([0, 3, 1, -1, 2])
SOFT = torch.tensor(np.random.default_rng(0).dirichlet(np.ones(6), size=5))


def options(name):
    """Labels and options of a loss, by a name that tells what is special."""
    rng = np.random.default_rng(1)
    weight, prior = torch.tensor(rng.uniform(0.5, 2, size=6)), torch.tensor(rng.dirichlet(np.ones(6)))
    row_weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0], dtype=torch.float64)
    ignore = {"ignore_index": -1}
    pair = (torch.stack([LABELS, LABELS.roll(1)], -1) % 6, torch.tensor([[0.7, 0.3]]).expand(5, 2).double())
    return {
        "plain": (LABELS, ignore),
        "focal": (LABELS, {**ignore, "link": ce.links.Focal(1.5)}),
        "smoothed": (LABELS, {**ignore, "label_smoothing": 0.1, "class_weight": weight}),
        "prior": (LABELS, {**ignore, "label_smoothing": 0.2, "smoothing_prior": prior}),
        "transformed": (
            LABELS,
            {**ignore, "temperature": 0.7, "softcap": 9.0, "logit_bias": prior, "margin": 0.3},
        ),
        "regularized": (LABELS, {**ignore, "z_loss": 0.01, "entropy_bonus": 0.1}),
        "row weights": (LABELS, {**ignore, "sample_weight": row_weight}),
        "soft": (SOFT, {"class_weight": weight}),
        "soft focal": (SOFT, {"link": ce.links.Focal(2.0)}),
        "smoothed focal": (LABELS, {**ignore, "link": ce.links.Focal(2.0), "label_smoothing": 0.1}),
        "pairs": (ce.targets.Sparse(*pair), {"class_weight": weight}),
        "set": (ce.targets.LabelSet(SOFT > 0.15), {"sample_weight": row_weight, "z_loss": 0.01}),
    }[name]


NAMES = (
    *("plain", "focal", "smoothed", "prior", "transformed", "regularized", "row weights"),
    *("soft", "soft focal", "smoothed focal", "pairs", "set"),
)
every_loss = pytest.mark.parametrize("name", NAMES)


def logits(dtype=torch.float64, rows=5, classes=6, scale=2.0):
    torch.manual_seed(0)
    return (torch.randn(rows, classes, dtype=torch.float64) * scale).to(dtype).requires_grad_()


def loss_of(name, **changes):
    labels, own = options(name)
    return lambda z: ce.softmax_cross_entropy(z, labels, **{**own, **changes})


# ------------------------------------------------------------------------------------- upstream gradients


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_first_derivatives_are_right(name, reduction):
    assert torch.autograd.gradcheck(loss_of(name, reduction=reduction), logits())


@every_loss
@pytest.mark.parametrize("factor", [0.0, -3.0, 1e-30, 1e30])
def test_the_gradient_is_linear_in_what_comes_from_above(name, factor):
    z = logits()
    (one,) = torch.autograd.grad(loss_of(name)(z), z)
    (scaled,) = torch.autograd.grad(loss_of(name)(z) * factor, z)
    torch.testing.assert_close(scaled, one * factor, rtol=1e-13, atol=1e-30 * abs(factor))


@every_loss
def test_upstream_gradients_may_be_expanded_or_strided(name):
    z = logits()
    losses = loss_of(name, reduction="none")(z)
    strided = torch.linspace(-1, 1, 10, dtype=torch.float64)[::2]
    for upstream in (strided, torch.ones((), dtype=torch.float64).expand(5)):
        (got,) = torch.autograd.grad(losses, z, upstream, retain_graph=True)
        (expected,) = torch.autograd.grad(losses, z, upstream.clone(), retain_graph=True)
        assert torch.equal(got, expected)


@every_loss
def test_a_second_backward_over_a_kept_graph_gives_the_same_bits(name):
    z = logits(torch.float32)
    value = loss_of(name)(z)
    first, second = (torch.autograd.grad(value, z, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    value.backward(retain_graph=True)
    value.backward()
    assert torch.equal(z.grad, first + first)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_fast_way_and_the_composition_give_the_same_numbers(name, dtype):
    z = logits(dtype)
    labels, own = options(name)
    fast = loss_of(name)(z)
    slow = autodiff.loss_by_autodiff(make_problem(z, labels, **own))
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(fast, slow, rtol=2 * unit, atol=0)
    (a,), (b,) = torch.autograd.grad(fast, z), torch.autograd.grad(slow, z)
    torch.testing.assert_close(a, b, rtol=2 * unit, atol=2 * unit * float(b.abs().max()))


def test_statistics_and_the_loss_of_them_have_the_losses_gradient():
    z = logits()
    found = ce.target_statistics(z, LABELS, ignore_index=-1)
    keep = LABELS != -1
    (got,) = torch.autograd.grad(-(found.log_prob * keep).sum() / keep.sum(), z)
    torch.testing.assert_close(got, torch.autograd.grad(loss_of("plain")(z), z)[0], rtol=1e-14, atol=1e-16)


# --------------------------------------------------------------------------------------- inputs, in place


@every_loss
def test_inputs_are_never_written_over(name):
    labels, own = options(name)
    tensors = [x for x in own.values() if isinstance(x, torch.Tensor)]
    tensors += [labels] if isinstance(labels, torch.Tensor) else list(vars(labels).values())
    z = logits()
    tensors.append(z)
    before = [x.detach().clone() for x in tensors]
    versions = [x._version for x in tensors]
    ce.softmax_cross_entropy(z, labels, **own).backward()
    assert all(torch.equal(x, y) for x, y in zip(tensors, before, strict=True))
    assert [x._version for x in tensors] == versions


@pytest.mark.parametrize("name", ["plain", "focal", "smoothed", "soft", "pairs"])
def test_in_place_the_gradient_lies_where_the_logits_were(name):
    leaf = logits()
    (expected,) = torch.autograd.grad(loss_of(name)(leaf), leaf)
    z = leaf * 1.0
    value = loss_of(name, inplace=True)(z)
    address = z.data_ptr()
    got = torch.autograd.grad(value, z)[0]
    assert got.data_ptr() == address
    assert torch.equal(got, expected)
    assert torch.equal(z.detach(), expected)


def test_a_second_backward_after_one_in_place_raises():
    z = logits() * 1.0
    value = loss_of("plain", inplace=True)(z)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        value.backward()


def test_another_use_of_logits_overwritten_in_place_is_noticed():
    leaf = logits()
    z = leaf * 1.0
    square = (z * z).sum()  # needs z for its own gradient
    loss_of("plain", inplace=True)(z).backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


def gradient_or_refusal(value, z):
    """The gradient, or None where autograd noticed that something it needs has changed."""
    try:
        return torch.autograd.grad(value, z)[0]
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        return None


@every_loss
def test_logits_changed_between_the_passes_never_give_another_gradient(name):
    z = logits() * 1.0
    (expected,) = torch.autograd.grad(loss_of(name)(z), z)
    value = loss_of(name)(z)
    with torch.no_grad():
        z += torch.randn_like(z)
    got = gradient_or_refusal(value, z)
    assert got is None or torch.equal(got, expected)


def test_logits_changed_between_the_passes_are_noticed():
    z = logits() * 1.0
    value = loss_of("plain")(z)
    with torch.no_grad():
        z += 1.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("changed", ["labels", "soft", "sample_weight", "class_weight", "set", "sparse"])
def test_other_inputs_changed_between_the_passes_do_not_pass_silently(changed):
    """Either they are noticed, or the gradient is that of the values the loss was computed from."""
    rng = np.random.default_rng(2)
    tensor = {
        "labels": LABELS % 6,
        "soft": SOFT.clone(),
        "sample_weight": torch.tensor(rng.uniform(0.5, 2, size=5)),
        "class_weight": torch.tensor(rng.uniform(0.5, 2, size=6)),
        "set": SOFT > 0.15,
        "sparse": torch.full((5, 2), 0.5, dtype=torch.float64),
    }[changed].clone()
    labels, own = LABELS % 6, {}
    if changed in ("labels", "soft"):
        labels = tensor
    elif changed == "set":
        labels = ce.targets.LabelSet(tensor)
    elif changed == "sparse":
        labels = ce.targets.Sparse(torch.stack([labels, labels.roll(1)], -1), tensor)
    else:
        own = {changed: tensor}
    z = logits()
    loss = partial(ce.softmax_cross_entropy, z, labels, reduction="sum", **own)
    (expected,) = torch.autograd.grad(loss(), z)
    value = loss()
    tensor.copy_(tensor.roll(1, 0))
    got = gradient_or_refusal(value, z)
    assert got is None or torch.equal(got, expected)


# --------------------------------------------------------------------------------- frozen inputs, memory


@every_loss
def test_frozen_logits_build_no_graph(name):
    value = loss_of(name)(logits().detach())
    assert not value.requires_grad
    assert value.grad_fn is None
    with torch.no_grad():
        assert loss_of(name)(logits()).grad_fn is None


def allocated(work):
    """Bytes of tensors that `work` allocates, those it frees again too."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        kept = work()
    del kept
    events = profile.profiler.kineto_results.events()
    return sum(max(e.nbytes(), 0) for e in events if e.name() == "[memory]")


BIG = (64, 20_000)
BIG_BYTES = 64 * 20_000 * 4


@pytest.mark.parametrize("name", ["plain", "focal", "smoothed", "regularized"])
def test_a_loss_without_a_gradient_allocates_nothing_of_the_size_of_the_logits(name):
    z = torch.randn(BIG)
    labels = torch.randint(0, 20_000, (64,))
    own = {
        "focal": {"link": ce.links.Focal()},
        "smoothed": {"label_smoothing": 0.1},
        "regularized": {"z_loss": 1e-4},
    }
    loss = partial(ce.softmax_cross_entropy, z, labels, validate="none", **own.get(name, {}))
    loss()
    assert allocated(loss) < BIG_BYTES / 20


@pytest.mark.parametrize("name", ["plain", "smoothed"])
def test_forward_and_backward_allocate_the_gradient_and_little_else(name, monkeypatch):
    """The gradient lies in memory that is kept for the next, which no profiler of PyTorch's sees."""
    taken = []
    take = _native.acquire_memory
    monkeypatch.setattr(_native, "acquire_memory", lambda n: taken.append(n) or take(n))
    z = torch.randn(BIG).requires_grad_()
    labels = torch.randint(0, 20_000, (64,))
    own = {"label_smoothing": 0.1} if name == "smoothed" else {}

    def both():
        value = ce.softmax_cross_entropy(z, labels, validate="none", **own)
        return torch.autograd.grad(value, z)

    both()
    taken.clear()
    others = allocated(both)
    assert BIG_BYTES <= sum(taken) + others <= 1.05 * BIG_BYTES


@pytest.fixture(scope="module")
def only_what_is_new():
    """The garbage collector looks at what these tests make, and no more at all that others before them have left."""
    gc.collect()
    gc.freeze()


@every_loss
@pytest.mark.parametrize("backward", [False, True])
def test_logits_are_released_without_the_garbage_collector(name, backward):
    gc.disable()
    try:
        leaf = logits()
        z = leaf * 1.0
        value = loss_of(name)(z)
        seen = weakref.ref(z)
        if backward:
            value.backward()
        del z, value
        assert seen() is None
    finally:
        gc.enable()


@every_loss
@pytest.mark.usefixtures("only_what_is_new")
def test_a_training_step_leaves_no_cycles_behind(name):
    z = logits()
    loss_of(name)(z).backward()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            loss_of(name)(z).backward()
        assert gc.collect() == 0
    finally:
        gc.enable()


# ------------------------------------------------------------------------------- hooks and checkpointing


@every_loss
def test_saved_tensors_may_be_moved_away_and_back(name):
    z = logits()
    (expected,) = torch.autograd.grad(loss_of(name)(z), z)
    with torch.autograd.graph.save_on_cpu():
        value = loss_of(name)(z)
    assert torch.equal(torch.autograd.grad(value, z)[0], expected)
    packed = []

    def pack(x):
        packed.append(x.shape)
        return x.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x.clone()):
        value = loss_of(name)(z)
    assert z.shape in packed
    assert torch.equal(torch.autograd.grad(value, z)[0], expected)


@every_loss
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpointing_gives_the_same_gradient(name, use_reentrant):
    from torch.utils.checkpoint import checkpoint

    z = logits()
    (expected,) = torch.autograd.grad(loss_of(name)(z * 1.5), z)
    value = checkpoint(lambda x: loss_of(name)(x * 1.5), z, use_reentrant=use_reentrant)
    value.backward()
    assert torch.equal(z.grad, expected)


@pytest.mark.parametrize("bias_dtype", [torch.float64, torch.float32], ids=str)
def test_one_row_without_a_batch_axis_has_a_gradient_by_the_logit_bias(bias_dtype):
    z, bias = torch.randn(6, dtype=torch.float64), torch.linspace(0, 1, 6, dtype=bias_dtype)
    z.requires_grad_(), bias.requires_grad_()
    found = torch.autograd.grad(ce.softmax_cross_entropy(z, torch.tensor(2), logit_bias=bias), bias)[0]
    truth = torch.autograd.grad(torch.nn.functional.cross_entropy(z + bias, torch.tensor(2)), bias)[0]
    torch.testing.assert_close(found, truth)
