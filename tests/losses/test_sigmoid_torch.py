"""The sigmoid family on PyTorch tensors: the same numbers, and every way of differentiating."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import torch.utils.checkpoint  # noqa: E402

import crossentropy  # noqa: E402
from crossentropy import loss_and_gradient, sigmoid_cross_entropy  # noqa: E402
from crossentropy._engine.sigmoid import autograd  # noqa: E402
from crossentropy.links import CrossEntropy, Focal  # noqa: E402

OPTIONS = {
    "plain": {},
    "none": {"reduction": "none"},
    "sum": {"reduction": "sum"},
    "focal": {"link": Focal(2.0)},
    "asymmetric": {"link": Focal(1.0), "negative_link": Focal(4.0), "negative_shift": 0.05},
    "weighted": {
        "label_smoothing": 0.1,
        "pos_weight": [2.0, 3.0, 1.0],
        "class_weight": [1.0, 0.5, 2.0],
        "sample_weight": torch.tensor([1.0, 0.0, 2.0, 0.5]).double(),
    },
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


def batch(shape=(4, 3), dtype=torch.float64, requires_grad=True):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, generator=generator, dtype=torch.float64).mul_(3).to(dtype)
    t = torch.rand(shape, generator=generator, dtype=torch.float64).round_().to(dtype)
    return z.requires_grad_(requires_grad), t


def gradient(f, z):
    return torch.autograd.grad(f(z).sum(), z)[0]


@each_option
def test_tensors_give_what_arrays_give(options):
    z, t = batch()
    loss = sigmoid_cross_entropy(z, t, **options)
    own = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    expected = loss_and_gradient(sigmoid_cross_entropy, z.detach().numpy(), t.numpy(), **own)
    np.testing.assert_array_equal(loss.detach().numpy(), expected[0])
    np.testing.assert_allclose(torch.autograd.grad(loss.sum(), z)[0].numpy(), expected[1], rtol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_is_torchs_loss(reduction):
    z, t = batch((5, 7))
    pos_weight = torch.rand(7, dtype=torch.float64)
    ours = sigmoid_cross_entropy(z, t, pos_weight=pos_weight, reduction=reduction)
    torchs = F.binary_cross_entropy_with_logits(z, t, pos_weight=pos_weight, reduction=reduction)
    torch.testing.assert_close(ours, torchs, rtol=1e-13, atol=1e-15)  # torch subtracts


@each_option
def test_first_and_second_derivatives_are_right(options):
    z, t = batch()
    assert torch.autograd.gradcheck(lambda z: sigmoid_cross_entropy(z, t, **options), (z,))
    assert torch.autograd.gradgradcheck(lambda z: sigmoid_cross_entropy(z, t, **options), (z,))


@each_option
def test_gradients_flow_to_labels_and_sample_weight(options):
    z, t = batch()
    t = (t * 0.8 + 0.1).requires_grad_()
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64, requires_grad=True)

    def f(z, t, weight):
        return sigmoid_cross_entropy(z, t, **{**options, "sample_weight": weight})

    inputs = (z, t, weight)
    assert torch.autograd.gradcheck(lambda z, t, w: f(z, t, w * w + 0.1), inputs)
    assert torch.autograd.gradgradcheck(lambda z, t, w: f(z, t, w * w + 0.1), inputs)


def test_a_sample_weight_of_zero_has_the_loss_as_its_gradient():
    z, t = batch((4,))
    weight = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    sigmoid_cross_entropy(z, t, sample_weight=weight, reduction="sum").backward()
    torch.testing.assert_close(weight.grad, sigmoid_cross_entropy(z, t, reduction="none").detach())


def test_a_hard_label_has_the_difference_of_the_terms_as_its_gradient():
    z, t = batch((4,))
    t.requires_grad_()
    sigmoid_cross_entropy(z, t, reduction="sum").backward()
    torch.testing.assert_close(t.grad, -z.detach())


@each_option
def test_any_upstream_gradient_scales(options):
    z, t = batch()
    loss = sigmoid_cross_entropy(z, t, **options)
    upstream = torch.rand_like(loss)
    once = torch.autograd.grad(loss, z, torch.ones_like(loss), retain_graph=True)[0]
    again = torch.autograd.grad(loss, z, upstream, retain_graph=True)[0]
    torch.testing.assert_close(again, once * upstream, rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.autograd.grad(loss, z, upstream.t().contiguous().t())[0], again)


@each_option
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_function_transforms_agree_with_eager(options, dtype):
    z, t = batch(dtype=dtype)

    def f(z):
        return sigmoid_cross_entropy(z, t, **options)

    close = {"rtol": 1e-5, "atol": 1e-7} if dtype is torch.float32 else {"rtol": 1e-13, "atol": 1e-15}
    eager = gradient(f, z)
    torch.testing.assert_close(torch.func.grad(lambda z: f(z).sum())(z), eager, **close)
    value, tangent = torch.func.jvp(lambda z: f(z).sum(), (z,), (torch.ones_like(z),))
    torch.testing.assert_close(value, f(z).sum(), **close)
    torch.testing.assert_close(tangent, eager.sum(), **close)
    hessian = torch.func.hessian(lambda z: f(z).sum())(z.detach())
    expected = torch.autograd.functional.hessian(lambda z: f(z).sum(), z.detach())
    torch.testing.assert_close(hessian, expected, **close)


def test_vmap_gives_one_loss_for_each_example():
    z, t = batch()
    losses = torch.vmap(lambda z, t: sigmoid_cross_entropy(z, t, pos_weight=2.0))(z, t)
    expected = torch.stack([sigmoid_cross_entropy(a, b, pos_weight=2.0) for a, b in zip(z, t, strict=True)])
    torch.testing.assert_close(losses, expected)


def test_batched_upstream_gradients():
    z, t = batch()
    loss = sigmoid_cross_entropy(z, t, reduction="none")
    rows = torch.eye(12, dtype=torch.float64).reshape(12, 4, 3)
    batched = torch.autograd.grad(loss, z, rows, is_grads_batched=True, retain_graph=True)[0]
    expected = torch.autograd.grad(loss.sum(), z)[0]
    torch.testing.assert_close(batched.sum(0), expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "options",
    [pytest.param(o, id=n, marks=() if n == "asymmetric" else pytest.mark.full) for n, o in OPTIONS.items()],
)
def test_compiled_equals_eager(options):
    torch._dynamo.reset()
    z, t = batch((4, 3), torch.float32)

    def f(z):
        return sigmoid_cross_entropy(z, t, **options)

    compiled = torch.compile(f, fullgraph=True)
    shifted = "negative_shift" in options  # p − m cancels, and the compiled formula is not in float64
    close = {"rtol": 1e-4 if shifted else 2 * 2.0**-23, "atol": 1e-7 if shifted else 1e-38}
    torch.testing.assert_close(compiled(z), f(z), **close)
    if "label_smoothing" in options:
        close["atol"] = 2**-24  # the two terms of a soft label cancel
    torch.testing.assert_close(gradient(compiled, z), gradient(f, z), **close)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_has_a_float32_loss_and_a_rounded_gradient(dtype):
    z, t = batch((300,), dtype)
    loss = sigmoid_cross_entropy(z, t, reduction="none")
    wide = z.detach().float().requires_grad_()
    exact = sigmoid_cross_entropy(wide, t, reduction="none")
    assert loss.dtype is torch.float32
    assert torch.equal(loss, exact)
    loss.sum().backward()
    exact.sum().backward()
    assert torch.equal(z.grad, wide.grad.to(dtype))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("link", [CrossEntropy(), Focal(2.0)])
def test_bits_do_not_depend_on_the_number_of_threads(link, weighted):
    z, t = batch((100_003,), torch.float32)
    options = {"link": link, "sample_weight": torch.rand(100_003) if weighted else None}
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            loss = sigmoid_cross_entropy(z, t, **options)
            results.append((loss.detach(), torch.autograd.grad(loss, z)[0]))
    finally:
        torch.set_num_threads(threads)
    for loss, grad in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(grad, results[0][1])


def test_frozen_logits_build_no_graph():
    z, t = batch(requires_grad=False)
    assert not sigmoid_cross_entropy(z, t).requires_grad


def test_a_change_of_the_logits_between_the_passes_is_noticed():
    z, t = batch()
    copy = z * 1
    loss = sigmoid_cross_entropy(copy, t)
    copy.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("layout", ["transposed", "negated"])
def test_views_of_any_layout_work(layout):
    z, t = batch((70, 3))
    if layout == "transposed":
        z, t = z.detach().t().contiguous().t().requires_grad_(), t.t().contiguous().t()
    else:
        z = torch._neg_view(-z.detach()).requires_grad_()
    expected = z.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    loss = sigmoid_cross_entropy(z, t)
    loss.backward()
    same = sigmoid_cross_entropy(expected, t.contiguous())
    same.backward()
    torch.testing.assert_close(loss, same, rtol=1e-14, atol=0)
    torch.testing.assert_close(z.grad, expected.grad, rtol=1e-13, atol=0)


def test_the_reference_formula_and_the_kernel_agree_at_infinity(monkeypatch):
    z = torch.tensor([float("inf"), -float("inf"), float("nan"), 1.0, -float("inf")], requires_grad=True)
    t = torch.tensor([1, 0, 1, 0, 1])
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])

    def both():
        losses = sigmoid_cross_entropy(z, t, sample_weight=weight, reduction="none")
        return losses.detach(), torch.autograd.grad(losses.sum(), z)[0]

    kernel = both()
    monkeypatch.setattr(autograd, "kernels", lambda device: None)
    formula = both()
    torch.testing.assert_close(kernel, formula)
    assert kernel[0].tolist()[:3] == [0.0, 0.0, 0.0]
    assert kernel[1].tolist()[4] == -1.0


def test_a_meta_tensor_has_a_meta_loss():
    z = torch.empty(4, 3, device="meta")
    assert sigmoid_cross_entropy(z, torch.empty(4, 3, device="meta")).shape == ()


def test_a_normalizer_can_be_a_tensor_with_a_gradient():
    z, t = batch()
    N = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    loss = sigmoid_cross_entropy(z, t, normalizer=N)
    torch.testing.assert_close(loss, sigmoid_cross_entropy(z, t, reduction="sum") / 5)
    loss.backward()
    torch.testing.assert_close(N.grad, -loss.detach() / 5)


def test_class_weights_may_be_expanded():
    z, t = batch()
    two = torch.tensor(2.0)
    expanded = sigmoid_cross_entropy(z, t, pos_weight=two.expand(3), class_weight=torch.arange(6.0)[::2])
    torch.testing.assert_close(
        expanded, sigmoid_cross_entropy(z, t, pos_weight=2.0, class_weight=[0.0, 2.0, 4.0])
    )


WEIGHTED = {
    "label_smoothing": 0.1,
    "pos_weight": torch.tensor([2.0, 3.0, 1.0]).double(),
    "class_weight": torch.tensor([1.0, 0.5, 2.0]).double(),
    "sample_weight": torch.tensor([1.0, 0.0, 2.0, 0.5]).double(),
}


def copies(options):
    """The same options, whose tensors nobody else holds."""
    return {name: x.clone() if isinstance(x, torch.Tensor) else x for name, x in options.items()}


def test_saved_tensors_may_be_moved_before_the_backward_pass():
    z, t = batch()
    expected = gradient(lambda z: sigmoid_cross_entropy(z, t, **WEIGHTED), z)
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda x: x):
        loss = sigmoid_cross_entropy(z, t.clone(), **copies(WEIGHTED))
    spoilt = [torch.full((n,), torch.nan, dtype=torch.float64) for n in (3, 4, 12) for _ in range(100)]
    assert torch.equal(torch.autograd.grad(loss, z)[0], expected)
    assert len(spoilt) == 300


def test_a_checkpointed_loss_has_the_gradient_of_the_loss():
    z, t = batch()
    expected = gradient(lambda z: sigmoid_cross_entropy(z, t, **WEIGHTED), z)
    loss = torch.utils.checkpoint.checkpoint(
        lambda z: sigmoid_cross_entropy(z * 1, t.clone(), **copies(WEIGHTED)), z, use_reentrant=False
    )
    assert torch.equal(torch.autograd.grad(loss, z)[0], expected)


@pytest.mark.parametrize("name", ["class_weight", "pos_weight", "sample_weight"])
def test_weights_changed_between_the_passes_are_an_error(name):
    z, t = batch()
    weight = WEIGHTED[name].clone()
    loss = sigmoid_cross_entropy(z, t, **{name: weight})
    weight += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", ["class_weight", "pos_weight"])
def test_class_weights_may_lie_apart_in_memory(name):
    z, t = batch()
    apart = torch.tensor([1.0, 9.0, 0.5, 9.0, 2.0, 9.0]).double()[::2]
    assert torch.equal(
        sigmoid_cross_entropy(z, t, **{name: apart}),
        sigmoid_cross_entropy(z, t, **{name: apart.contiguous()}),
    )


SHORT = {
    **{"plain": {}, "sum": {"reduction": "sum"}, "none": {"reduction": "none"}},
    **{"count": {"normalizer": "count"}, "number": {"normalizer": 3.0}},
    **{name: {name: x} for name, x in WEIGHTED.items()},
    **{"number for classes": {"pos_weight": 2.0}, "shifted": {"negative_shift": 0.05}},
    **{"focal": {"link": Focal(2.0)}, "everything": WEIGHTED},
}


@pytest.mark.parametrize("options", SHORT.values(), ids=SHORT.keys())
def test_the_way_to_the_kernel_is_short_whatever_the_options(options):
    """The package's functions that are called, forward and back."""
    z, t = batch()
    package = str(Path(crossentropy.__file__).parent)

    def calls(function):
        found = []

        def profile(frame, event, argument):
            if event == "call" and frame.f_code.co_filename.startswith(package):
                found.append(frame.f_code.co_qualname)

        previous = sys.getprofile()
        sys.setprofile(profile)
        try:
            return function(), len(found)
        finally:
            sys.setprofile(previous)

    sigmoid_cross_entropy(z, t, **options)  # imports what it needs
    loss, forward = calls(lambda: sigmoid_cross_entropy(z, t, **options))
    _, backward = calls(lambda: torch.autograd.grad(loss, z, torch.ones_like(loss)))
    assert forward <= 85
    assert backward <= 20
    assert loss.grad_fn.name() == "_SigmoidLossBackward"
