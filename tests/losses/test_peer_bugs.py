"""What other libraries get wrong, with their numbers; each test says who, what, and what is right.

Here are digits, infinities, memory and transforms; `test_peer_bugs_labels`, `_means` and `_probabilities` have theirs.
What belongs to one family is beside it: #52241 of PyTorch in `test_sequences`; optax's and lightly's contrastive
losses in `test_contrastive`; timm's smoothed questions in `test_multilabel`; transformers' sums over processes in
`tests/torch/test_distributed_means`; more than 2³¹ elements in `test_softmax_layouts`.
"""

import math

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

INF = math.inf


def rows(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


# --------------------------------------------------------------------------------------------- digits of rows


@pytest.mark.parametrize(("margin", "loss"), [(16, 1.1253516e-7), (17, 4.1399377e-8), (25, 1.3887944e-11)])
def test_confident_float32_rows_have_a_loss_and_a_target_gradient(margin, loss):
    """torch: at a margin of 17 both are exactly 0 (at 16 6 % off) while the other class still has a gradient."""
    z = torch.tensor([[float(margin), 0.0]], requires_grad=True)
    value = ce.softmax_cross_entropy(z, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(value, z)
    assert value.item() == pytest.approx(loss, rel=1e-6)
    assert gradient[0, 1].item() == pytest.approx(loss, rel=1e-6)
    assert gradient.sum().item() == 0.0


@pytest.mark.parametrize("offset", [1e6, 1e8, -1e6])
def test_a_large_offset_costs_no_digits(offset):
    """pytorch#11752, mlx#4188: 0 at 1e8; optax (integer labels): 1.3125 for 1.31326 at 1e6; ours subtracts first."""
    z = np.array([[1.0, 2.0]]) + offset
    assert ce.softmax_cross_entropy(z, np.array([0])) == pytest.approx(math.log1p(math.e), rel=1e-15)


def test_soft_and_index_targets_are_equally_exact_far_from_zero():
    """optax: two paths, two answers at an offset of 1e6; ours have one."""
    z = np.array([[1.0, 2.0, -1.0]], dtype=np.float32) + np.float32(1e6)
    one_hot = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    assert ce.softmax_cross_entropy(z, one_hot) == pytest.approx(
        ce.softmax_cross_entropy(z, np.array([0])), rel=2e-7
    )


# -------------------------------------------------------------------------------------------------- −∞ logits


def test_a_one_hot_target_on_masked_logits_is_not_nan():
    """optax#896, torch: 0·(−∞) = NaN with probabilities, though indices are fine; a mass of 0 is worth 0 here."""
    z = torch.tensor([[1.0, -INF, 0.0]], requires_grad=True)
    for target in (torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0])):
        value = ce.softmax_cross_entropy(z, target)
        (gradient,) = torch.autograd.grad(value, z)
        assert value.item() == pytest.approx(math.log1p(math.exp(-1)), rel=1e-6)
        assert gradient[0, 1] == 0
        assert torch.isfinite(gradient).all()


def test_certain_and_right_costs_nothing():
    """torch's BCE with logits: NaN at ±inf with the right label; ours is 0, and the wrong label infinite."""
    z = torch.tensor([INF, -INF, INF, -INF], requires_grad=True)
    losses = ce.sigmoid_cross_entropy(z, torch.tensor([1, 0, 0, 1]), reduction="none")
    assert losses.tolist() == [0.0, 0.0, INF, INF]
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert gradient.tolist() == [0.0, 0.0, 1.0, -1.0]


def test_a_chunk_of_masked_classes_before_the_first_finite_one_is_not_nan():
    """flash-attention and others: (−∞) − (−∞) where a whole first block is masked; ours starts where there is one."""
    z = np.full((1, 50_000), -INF, dtype=np.float32)
    z[0, 40_000:40_002] = [1.0, 0.0]
    assert ce.softmax_cross_entropy(z, np.array([40_000])) == pytest.approx(
        math.log1p(math.exp(-1)), rel=1e-6
    )


# ----------------------------------------------------------------------------------------------- soft targets


def test_soft_targets_that_do_not_sum_to_one_have_the_gradient_of_their_loss():
    """TensorFlow: p − y even if Σy = 6, [−1.91, −1.76, −1.33] for S·p − y; torch and ours differentiate the loss."""
    a = np.array([[1.0, 2.0, 3.0]])
    z = np.array([[0.2, -0.3, 0.7]])
    target = ce.targets.Probabilities(a, normalized=False)
    _, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, target, reduction="sum")
    p = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(gradient, 6 * p - a, rtol=1e-13)
    with pytest.raises(ValueError, match="row 0 sum to 6"):
        ce.softmax_cross_entropy(z, a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_float64_soft_targets_of_narrower_logits_are_taken_as_they_are(dtype):
    """Keras: labels are cast to the dtype of the loss; ours keep their own, and their sums are theirs."""
    q = np.random.default_rng(0).dirichlet(np.ones(7), size=20)
    z = torch.randn(20, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    value = ce.softmax_cross_entropy(z, torch.from_numpy(q))
    log_p = torch.log_softmax(z.double(), 1)
    assert value.item() == pytest.approx(-(torch.from_numpy(q) * log_p).sum(1).mean().item(), rel=1e-6)
    if dtype == torch.float32:
        assert ce.softmax_cross_entropy(z.numpy(), q) == pytest.approx(value.item(), rel=1e-6)


# -------------------------------------------------------------------------------- memory, threads, transforms


@pytest.mark.parametrize("gradient", [False, True])
def test_a_loss_takes_no_memory_of_the_size_of_the_logits_but_for_their_gradient(gradient):
    """pytorch#141822, open-instruct#584: a buffer of log-probabilities, 2147 MB in the second."""
    z = torch.randn(512, 4096, requires_grad=gradient)
    y = torch.randint(0, 4096, (512,))
    with torch.profiler.profile(profile_memory=True) as found:
        value = ce.softmax_cross_entropy(z, y)
        if gradient:
            value.backward()
    sizes = sorted((event.self_cpu_memory_usage for event in found.events()), reverse=True)
    size = z.numel() * z.element_size()
    assert all(taken < size / 16 for taken in sizes[1 if gradient else 0 :])
    assert sizes[0] <= size * 1.01


def test_a_vocabulary_head_needs_no_logits_and_keeps_vmap_jvp_and_second_derivatives():
    """pytorch#124480, transformers#34147, Liger#241: logits fill the memory; torch's chunks know no transforms."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(512, 8, generator=generator, requires_grad=True)
    weight = torch.randn(4096, 8, generator=generator, requires_grad=True)
    y = torch.randint(0, 4096, (512,), generator=generator)
    with torch.profiler.profile(profile_memory=True) as found:
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=1 << 20).backward()
    assert max(event.self_cpu_memory_usage for event in found.events()) <= 512 * 4096 * 4 / 4

    h, W, y = hidden[:6].detach().double().view(2, 3, 8), weight[:5].detach().double(), y[:6].view(2, 3) % 5
    ours = lambda h, W, y: ce.linear_cross_entropy(h, W, y)  # noqa: E731
    plain = lambda h, W, y: torch.nn.functional.cross_entropy(h @ W.T, y)  # noqa: E731
    for transform in (torch.func.grad, torch.func.hessian):
        found, expected = (torch.func.vmap(transform(f), (0, None, 0))(h, W, y) for f in (ours, plain))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)
    moved = [torch.func.jvp(lambda h, f=f: f(h, W, y[0]), (h[0],), (h[1],))[1] for f in (ours, plain)]
    torch.testing.assert_close(*moved, rtol=1e-12, atol=0)


def test_a_weighted_segmentation_loss_has_the_same_bits_on_every_run_and_number_of_threads():
    """pytorch#17350, #46024, #68698: sums by atomics differ from run to run, those of weighted pixels first."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 21, 64, 64, generator=generator)
    y = torch.randint(0, 21, (2, 64, 64), generator=generator)
    weight, found, threads = torch.rand(21, generator=generator), set(), torch.get_num_threads()
    for count in (1, 2, 3, 2, 1):
        torch.set_num_threads(count)
        leaf = z.clone().requires_grad_()
        value = ce.softmax_cross_entropy(leaf, y, axis=1, class_weight=weight)
        value.backward()
        found.add((value.item(), leaf.grad.numpy().tobytes()))
    torch.set_num_threads(threads)
    assert len(found) == 1


def test_weighted_smoothed_losses_work_under_vmap():
    """functorch#380: cross_entropy with weight and label_smoothing fails under vmap (masked_select); ours runs."""
    z, y = rows(8)
    batches = torch.from_numpy(z.reshape(2, 4, 3)), torch.from_numpy(y.reshape(2, 4))
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def loss(a, b):
        return ce.softmax_cross_entropy(a, b, class_weight=weight, label_smoothing=0.1)

    found = torch.func.vmap(loss)(*batches)
    for i in range(2):
        assert found[i].item() == pytest.approx(loss(batches[0][i], batches[1][i]).item(), rel=1e-13)


def test_ignored_rows_count_nothing_under_vmap():
    """pytorch#90916, functorch#812: "index −100 is out of bounds" under vmap."""
    z, y = rows(8)
    y[[1, 6]] = -100
    z, y = torch.from_numpy(z.reshape(2, 4, 3)), torch.from_numpy(y.reshape(2, 4))
    loss = lambda a, b: ce.softmax_cross_entropy(a, b, ignore_index=-100)  # noqa: E731
    found = torch.func.vmap(loss)(z, y)
    for i in range(2):
        assert found[i].item() == pytest.approx(loss(z[i], y[i]).item(), rel=1e-13)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"reduction": "none"}], ids=str)
def test_a_compiled_loss_with_ignored_rows_is_the_eager_one(options):
    """Liger-Kernel#1338: 21.40 becomes 61.73 where a row is ignored; pytorch#98571: smoothing breaks fake tensors."""
    generator = torch.Generator().manual_seed(0)
    z, y = 9 * torch.randn(6, 50, generator=generator), torch.tensor([3, -100, 49, -100, 0, 7])
    loss = lambda z: ce.softmax_cross_entropy(z, y, ignore_index=-100, **options)  # noqa: E731
    torch.compiler.reset()
    found = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaf = z.clone().requires_grad_()
        value = function(leaf)
        found.append((value.detach(), torch.autograd.grad(value.sum(), leaf)[0]))
    torch.testing.assert_close(found[1], found[0], rtol=3e-7, atol=1e-12)
    assert (found[1][1][[1, 3]] == 0).all()
