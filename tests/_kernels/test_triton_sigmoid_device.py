"""The sigmoid family by Triton's kernels: layouts, derivatives, and what is the device's own."""

from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy import loss_and_gradient, sigmoid_cross_entropy  # noqa: E402
from crossentropy._engine.sigmoid import autograd, cuda  # noqa: E402
from crossentropy._kernels.triton import layout, means, sigmoid  # noqa: E402
from crossentropy.links import Focal, Poly  # noqa: E402
from device_losses import on_a_gpu  # noqa: E402
from sampling import sampled  # noqa: E402
from sigmoids_on_triton import (  # noqa: E402
    OPTIONS,
    SHAPE,
    batch,
    each_option,
    found,
    on,
    use_triton,
)
from triton_compiler import compiled_kernels  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning:triton")


@pytest.fixture(autouse=True)
def _triton_kernels(monkeypatch):
    use_triton(monkeypatch)


# --------------------------------------------------------------------------------------------- layouts


def strided(x, kind):
    """Equal numbers, otherwise laid out."""
    if kind == "channels last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if kind == "transposed":
        return x.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    if kind == "every other":
        return x.repeat_interleave(2, -1)[..., ::2]
    return x.contiguous()


LAYOUTS = ("contiguous", "channels last", "transposed", "every other")


@sampled({"labels_are": LAYOUTS, "logits_are": LAYOUTS})
def test_strides_do_not_matter(logits_are, labels_are, device):
    values, labels = batch()
    options = {
        "axis": 1,
        "class_weight": [1.0, 0.5, 2.0],
        "sample_weight": np.linspace(0, 2, 20).reshape(4, 5),
    }
    expected = loss_and_gradient(sigmoid_cross_entropy, values, labels, reduction="none", **options)
    z = strided(torch.tensor(values, device=device), logits_are)
    t = strided(torch.tensor(labels, device=device), labels_are)
    got = found(z, t, reduction="none", **on(device, options))
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_a_gradient_is_laid_out_as_the_logits(device):
    z = strided(torch.tensor(batch()[0], device=device), "channels last").requires_grad_()
    sigmoid_cross_entropy(z, torch.zeros(SHAPE, device=device), axis=1).backward()
    assert z.grad.stride() == z.stride()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 1), (5, 1), (1, 5), (2, 3, 1, 4)])
def test_any_number_of_axes(shape, device):
    values, labels = batch(shape)
    expected = loss_and_gradient(sigmoid_cross_entropy, values, labels, class_weight=3.0, reduction="none")
    z, t = (torch.tensor(x, device=device) for x in (values, labels))
    got = found(z, t, class_weight=3.0, reduction="none")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_logits_that_are_expanded(device):
    values, _ = batch((4, 1, 5))
    z = torch.tensor(values, device=device).expand(SHAPE)
    t = torch.tensor(batch()[1], device=device)
    expected = loss_and_gradient(
        sigmoid_cross_entropy, np.broadcast_to(values, SHAPE).copy(), t.cpu().numpy()
    )
    np.testing.assert_allclose(found(z, t)[1], expected[1], rtol=1e-13)


def test_layouts_with_more_axes_than_the_kernels_walk_are_copied(device):
    values, labels = batch((2, 3, 2, 3, 2))
    z, t = torch.tensor(values, device=device), torch.tensor(labels, device=device)
    t = t.permute(4, 3, 2, 1, 0).contiguous().permute(4, 3, 2, 1, 0)
    assert layout.laid_out([z, t], None)[0][1] is not t
    expected = loss_and_gradient(sigmoid_cross_entropy, z.cpu().numpy(), t.cpu().numpy(), reduction="none")
    got = found(z, t, reduction="none")
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_layouts_the_kernels_can_walk_are_not_copied(device):
    for kind in LAYOUTS:
        z = strided(torch.zeros(SHAPE, device=device), kind)
        weights = torch.zeros(3, 1, device=device).expand(SHAPE)
        assert layout.laid_out([z, weights, None], z.dtype)[0][0] is z


def test_offsets_are_not_cut_to_32_bits(device):
    """Rows of labels that lie 2³¹ bytes apart; nothing between them is ever touched."""
    far = torch.empty(2**31 + 3, dtype=torch.uint8, device=device)
    t = far.as_strided((2, 3), (2**31, 1))
    t.copy_(torch.tensor([[0, 1, 0], [1, 1, 0]]))
    values, _ = batch((2, 3))
    expected = loss_and_gradient(sigmoid_cross_entropy, values, t.cpu().numpy())
    got = found(torch.tensor(values, device=device), t)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-13)


def test_axes_too_long_for_32_bits_are_counted_in_64(device, monkeypatch):
    monkeypatch.setattr(layout, "INT32", 2)
    test_strides_do_not_matter("channels last", "transposed", device)


# --------------------------------------------------------------------------------------- differentiation


@sampled(
    {
        "options": [OPTIONS[k] for k in ("smoothed", "two gammas", "asymmetric", "everything")],
        "reduction": ["mean", "none"],
    }
)
def test_first_and_second_derivatives_are_right(options, reduction, device):
    values, labels = batch((2, 3))
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    options = on(device, options)
    if "sample_weight" in options:
        options["sample_weight"] = torch.rand(2, dtype=torch.float64, device=device)

    def loss(z):
        return sigmoid_cross_entropy(z, t, axis=1, reduction=reduction, **options)

    assert torch.autograd.gradcheck(loss, (z,))
    assert torch.autograd.gradgradcheck(loss, (z,))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_any_upstream_gradient_scales_and_a_graph_can_be_walked_twice(reduction, device):
    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    loss = sigmoid_cross_entropy(z, t, reduction=reduction)
    once = torch.autograd.grad(loss, z, torch.ones_like(loss), retain_graph=True)[0]
    upstream = torch.rand_like(loss).mT if loss.ndim else torch.rand_like(loss)
    upstream = upstream.contiguous().mT if loss.ndim else upstream
    again = torch.autograd.grad(loss, z, upstream)[0]
    torch.testing.assert_close(again, once * upstream, rtol=1e-14, atol=0)


def test_a_divisor_on_the_device_is_read_there(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    N = torch.tensor(5.0, device=device)
    for got, expected in zip(found(z, t, normalizer=N), found(z, t, normalizer=5.0), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_inputs_are_left_alone(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    before = z.clone(), t.clone()
    found(z, t, link=Focal(2.0))
    assert torch.equal(z, before[0])
    assert torch.equal(t, before[1])


# -------------------------------------------------------------------------------------------- dispatch


def test_links_without_a_kernel_take_the_formula(device):
    z, t = (torch.tensor(x, device=device) for x in batch())
    expected = loss_and_gradient(sigmoid_cross_entropy, z.cpu().numpy(), t.cpu().numpy(), link=Poly(0.5))
    np.testing.assert_allclose(found(z, t, link=Poly(0.5))[1], expected[1], rtol=1e-12)


def test_which_kernels_serve_a_device(monkeypatch):
    monkeypatch.undo()
    assert autograd.kernels(torch.device("cuda", 1)) is cuda
    assert autograd.kernels(torch.device("meta")) is None
    assert isinstance(autograd.kernels(torch.device("cpu")), autograd.CpuKernels)


def test_kernels_are_launched_on_the_device_of_their_tensors(monkeypatch, device):
    entered, inside = [], []

    @contextmanager
    def recorded(x):
        entered.append(x.device)
        yield
        entered.append(None)

    class Watched:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, grid):
            inside.append(entered[-1])
            return self.kernel[grid]

    for module, names in ((sigmoid, ("_loss_kernel", "_gradient_kernel")), (means, ("_mean_kernel",))):
        monkeypatch.setattr(module, "on_device_of", recorded)
        for name in names:
            monkeypatch.setattr(module, name, Watched(getattr(module, name)))
    z, t = (torch.tensor(x, device=device) for x in batch())
    found(z, t)
    assert [place.type for place in inside] == [device.type] * 3


def test_nothing_is_read_back(device, monkeypatch):
    """A host that reads a value waits for all that the device has yet to do."""

    def read(*_):
        raise AssertionError("a value was read")

    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    weight, N = torch.rand(z.shape, device=device), torch.tensor(3.0, device=device)
    for name in ("item", "__bool__", "__float__", "__int__", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, read)
    for options in ({}, {"normalizer": N}, {"reduction": "sum"}, {"empty": "nan"}):
        loss = sigmoid_cross_entropy(z, t, sample_weight=weight, pos_weight=2.0, **options)
        torch.autograd.grad(loss, z)


@on_a_gpu
@each_option
def test_a_step_can_be_captured_in_a_graph(options, device):
    values, labels = batch()
    z, t = torch.tensor(values, device=device, requires_grad=True), torch.tensor(labels, device=device)
    options = {"axis": 1, **on(device, options)}
    expected = found(z, t, **options)
    graph = torch.cuda.CUDAGraph()
    z = z.detach().zero_().requires_grad_()
    with torch.cuda.graph(graph):
        loss = sigmoid_cross_entropy(z, t, **options)
        (gradient,) = torch.autograd.grad(loss, z)
    z.detach().copy_(torch.tensor(values))
    graph.replay()
    np.testing.assert_array_equal(loss.item(), expected[0])
    np.testing.assert_array_equal(gradient.cpu().numpy(), expected[1])


STEPS = """
    from crossentropy._kernels.triton import sigmoid
    from crossentropy._kernels.triton.means import Mean

    def step(logits, labels, weights, divisor, formula):
        elements = sigmoid.Elements(logits, labels, *[weights] * 3)
        value, used = sigmoid.mean_loss(elements, formula, Mean(divisor, 0.0))
        sigmoid.gradient(elements, formula, value, used)
        sigmoid.gradient(elements, formula, sigmoid.element_losses(elements, formula), None)

    z, plain, soft = torch.randn(4, 3, 5), sigmoid.Formula(0.0, 0.0, 0.0, 0.0), sigmoid.Formula(0.1, 2.0, 1.0, 0.1)
    step(z, z, None, 2.0, plain)
    step(z.bfloat16(), z.byte(), z[0].expand(4, 3, 5), None, soft._replace(negative_shift=0.0))
    step(z.double(), z.long().mT.contiguous().mT, z[:, :1].expand(4, 3, 5), torch.ones(()), soft)
"""


def test_the_kernels_compile_for_a_gpu(tmp_path):
    assert compiled_kernels(STEPS, tmp_path) == (15, False)
