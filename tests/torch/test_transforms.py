"""Derivatives of every kind through `crossentropy.torch`, and tensors that are more than memory."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import crossentropy.torch as ct  # noqa: E402
from crossentropy.links import Focal  # noqa: E402

Y = torch.tensor([[0, 2], [1, -100], [2, 0]])


def random(shape=(3, 3, 2), seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

W, T = random((3,), 1).add(0.5), random(seed=2)
FULL = random((3, 3, 1), 3).add(0.5)
CASES = {
    "cross_entropy": lambda z: ct.cross_entropy(z, Y),
    "of rows": lambda z: ct.cross_entropy(z, Y, reduction="none"),
    "weighted": lambda z: ct.cross_entropy(z, Y, W, label_smoothing=0.1),
    "of probabilities": lambda z: ct.cross_entropy(z, T, W),
    "regularized": lambda z: ct.cross_entropy(z, Y, temperature=0.5, z_loss=0.1, softcap=4.0),
    "focal_loss": lambda z: ct.focal_loss(z, Y),
    "nll_loss": lambda z: ct.nll_loss(z, Y, W),
    "binary_cross_entropy": lambda z: ct.binary_cross_entropy(z.mul(0.3).add(0.5), T, W[:2]),
    "with_logits": lambda z: ct.binary_cross_entropy_with_logits(z, T, W[:2]),
    "positive weights of columns": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=W[:2]),
    "positive weights anywhere": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=FULL),
    "focal with_logits": lambda z: ct.binary_cross_entropy_with_logits(z, T, link=Focal(2.0)),
}
OF_TARGETS = {
    "cross_entropy": lambda t: ct.cross_entropy(random(), t, W, label_smoothing=0.1),
    "binary_cross_entropy": lambda t: ct.binary_cross_entropy(random(seed=4), t.mul(0.5).add(0.25)),
    "with_logits": lambda t: ct.binary_cross_entropy_with_logits(random(), t, W[:2]),
    "positive weights anywhere": lambda t: ct.binary_cross_entropy_with_logits(random(), t, pos_weight=FULL),
}
each_case = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)
each_target = pytest.mark.parametrize("loss", OF_TARGETS.values(), ids=OF_TARGETS)


def logits():
    return random().sub(0.5).mul(2)


def gradient(loss, z):
    z = z.detach().requires_grad_()
    value = loss(z)
    return torch.autograd.grad(value, z, torch.ones_like(value))[0]


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


@each_case
def test_first_derivatives(loss):
    assert torch.autograd.gradcheck(loss, logits().requires_grad_())


@each_case
def test_first_derivatives_of_many_upstream_gradients_at_once(loss):
    assert torch.autograd.gradcheck(loss, logits().requires_grad_(), check_batched_grad=True)


@each_case
def test_second_derivatives(loss):
    assert torch.autograd.gradgradcheck(loss, logits().requires_grad_())


@each_target
def test_first_derivatives_by_targets(loss):
    assert torch.autograd.gradcheck(loss, random(seed=5).requires_grad_())


@each_target
def test_second_derivatives_by_targets(loss):
    assert torch.autograd.gradgradcheck(loss, random(seed=5).requires_grad_())


@each_case
def test_forward_mode_derivatives(loss):
    assert torch.autograd.gradcheck(
        loss, logits().requires_grad_(), check_forward_ad=True, check_backward_ad=False
    )


@each_target
def test_forward_mode_derivatives_by_targets(loss):
    assert torch.autograd.gradcheck(
        loss, random(seed=5).requires_grad_(), check_forward_ad=True, check_backward_ad=False
    )


@each_case
def test_func_grad(loss):
    z = logits()
    assert_close(torch.func.grad(lambda x: loss(x).sum())(z), gradient(loss, z))


@each_case
def test_func_vmap(loss):
    z = torch.stack([logits(), -logits(), logits() * 3 / 4])
    assert_close(torch.func.vmap(loss)(z), torch.stack([loss(x) for x in z]))


@each_case
def test_func_vmap_of_grad(loss):
    z = torch.stack([logits(), -logits()])
    found = torch.func.vmap(torch.func.grad(lambda x: loss(x).sum()))(z)
    assert_close(found, torch.stack([gradient(loss, x) for x in z]))


@each_case
def test_func_jvp(loss):
    z, tangent = logits(), random(seed=6)
    _, found = torch.func.jvp(loss, (z,), (tangent,))
    assert_close(found.sum(), (gradient(loss, z) * tangent).sum())


@each_case
def test_func_hessian(loss):
    def total(z):
        return loss(z).sum()

    expected = torch.autograd.functional.hessian(total, logits())
    assert_close(torch.func.hessian(total)(logits()), expected)


@pytest.mark.parametrize("loss", [ct.cross_entropy, ct.nll_loss, ct.focal_loss])
def test_vmap_over_labels_too(loss):
    z, y = torch.stack([logits(), -logits()]), torch.stack([Y, Y.flip(0)])
    assert_close(torch.func.vmap(loss)(z, y), torch.stack([loss(a, b) for a, b in zip(z, y, strict=True)]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_class_weights_of_low_precision_are_summed_in_a_wide_one_under_a_transform(name, dtype):
    z, y, w = random((2, 3000, 3), 9), torch.arange(3000) % 3, W.to(dtype)
    found = torch.func.vmap(lambda z: getattr(ct, name)(z, y, w))(z)
    assert_close(found, torch.stack([getattr(ct, name)(x, y, w.double()) for x in z]))


def test_class_weights_of_low_precision_are_summed_in_a_wide_one_beside_other_gradients():
    z, y, w = random((3000, 3), 9), torch.arange(3000) % 3, W.to(torch.bfloat16)
    temperature = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    found = ct.cross_entropy(z, y, w, temperature=temperature)
    assert_close(found.detach(), ct.cross_entropy(z, y, w.double()))


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_vmap_over_targets_too(name):
    z, t, loss = random((2, 3, 3), 7), random((2, 3, 3), 8), getattr(ct, name)
    assert_close(torch.func.vmap(loss)(z, t), torch.stack([loss(a, b) for a, b in zip(z, t, strict=True)]))


def test_a_weight_learnt_beside_binary_logits_gets_its_gradient():
    z, w = logits(), W[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: ct.binary_cross_entropy_with_logits(z, T, w), w)
    assert torch.autograd.gradcheck(lambda w: ct.binary_cross_entropy(T, T.flip(0), w), w)


@pytest.mark.parametrize("case", CASES)
def test_parameters_are_logits_like_any(case):
    z = torch.nn.Parameter(logits())
    assert CASES[case](z).equal(CASES[case](logits().requires_grad_()))
    assert gradient(CASES[case], z).equal(gradient(CASES[case], logits()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_an_autocast_layer(dtype):
    layer = torch.nn.Linear(4, 3)
    x, y = random((5, 4), 9).float(), torch.tensor([0, 1, 2, 0, 1])
    with torch.autocast("cpu", dtype=dtype):
        z = layer(x)
        assert z.dtype == dtype
        value = ct.cross_entropy(z, y)
    value.backward()
    assert value.dtype == torch.float32
    truth = F.cross_entropy(z.detach().double(), y).float()
    torch.testing.assert_close(value.detach(), truth, rtol=1e-6, atol=0)
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.any()


@pytest.mark.parametrize("case", CASES)
def test_autocast_changes_no_float64_loss(case):
    plain = CASES[case](logits())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_close(CASES[case](logits()), plain)
