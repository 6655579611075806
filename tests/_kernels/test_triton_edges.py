"""Rows at the edges, in Triton: what makes no sense is NaN alone, what is masked is 0, and no layout is beyond it."""

from dataclasses import replace
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._kernels.triton import launch as launching  # noqa: E402
from crossentropy._statistics import PLAIN, Requested, Target, Transform, formulas, row_statistics  # noqa: E402
from crossentropy._statistics.cuda import kernel as cuda_kernel  # noqa: E402
from crossentropy._statistics.problem import DIFFERENTIABLE, Cotangents  # noqa: E402
from device_losses import on_a_gpu  # noqa: E402
from row_problems import DIFFERENTIATED, FORMS, make, tensors  # noqa: E402
from sampling import full, named, sampled  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("triton_rows"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
several_blocks = pytest.mark.parametrize("blocks", [True], ids=["many blocks"], indirect=True)

INF, NAN = float("inf"), float("nan")


def loss_and_gradient(z, labels, **options):
    z = z.detach().requires_grad_()
    D = row_statistics(z, z.ndim - 1, Target(labels, **options)).log_odds
    losses = torch.logaddexp(D, torch.zeros_like(D))
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    return losses.detach().cpu(), gradient.cpu()


# ---- the edge cases that every device agrees on --------------------------------------------------------------


@pytest.mark.parametrize("place", ["front", "back"])
def test_a_whole_block_of_masked_classes_is_not_nan(device, blocks, place):
    """(−∞) − (−∞) in an online softmax; flash-attention, Liger and others had it."""
    z = torch.full((1, 30), -INF, device=device)
    finite = slice(0, 3) if place == "front" else slice(27, 30)
    z[0, finite] = torch.tensor([0.5, 1.0, -1.0], device=device)
    label = torch.tensor([finite.start + 1], device=device)
    losses, gradient = loss_and_gradient(z, label)
    few, few_gradient = loss_and_gradient(z[:, finite].contiguous(), torch.tensor([1], device=device))
    torch.testing.assert_close(losses, few)
    torch.testing.assert_close(gradient[:, finite], few_gradient)
    assert (gradient[z.cpu() == -INF] == 0).all()


def test_a_masked_label_has_an_infinite_loss_and_a_finite_gradient(device, blocks):
    z = torch.tensor([[1.0, -INF, 2.0] + [0.0] * 9], device=device)
    losses, gradient = loss_and_gradient(z, torch.tensor([1], device=device))
    assert losses.item() == INF
    expected = z.cpu().softmax(-1)
    expected[0, 1] = -1.0
    torch.testing.assert_close(gradient, expected)


@several_blocks
@sampled({"fill": [NAN, -INF, *full([INF])], "form": FORMS})
def test_a_row_that_makes_no_sense_is_nan_in_value_and_gradient_and_alone(device, blocks, fill, form):
    problem = make(form, "plain", "vector", 5, 11)
    bad = 4 if form == "ignored" else 2
    found = []
    for spoilt in (False, True):
        z = torch.tensor(problem.logits, device=device)
        if spoilt:
            z[bad, slice(None) if fill == -INF else 9] = fill
        z.requires_grad_()
        own = [tensors(x, device=device) for x in (problem.target, problem.transform, problem.prior)]
        stats = row_statistics(z, 1, *own, DIFFERENTIATED)
        stats = [getattr(stats, name) for name in DIFFERENTIABLE]
        stats = [x.reshape(5, -1) for x in stats if x is not None]
        loss = sum(torch.where(x == -INF, 0.0, x).sum() for x in stats)
        found.append((torch.cat(stats, 1).detach().cpu(), torch.autograd.grad(loss, z)[0].cpu()))
    keep = torch.arange(5) != bad
    for clean, spoilt in zip(*found, strict=True):
        assert spoilt[bad].isnan().all()
        assert torch.equal(spoilt[keep], clean[keep])


def test_ignored_rows_count_for_nothing_whatever_their_logits(device, blocks):
    z = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).to(device)
    z[1] = NAN
    losses, gradient = loss_and_gradient(z, torch.tensor([3, -100, 7], device=device), ignore_index=-100)
    assert losses[1] == 0
    assert (gradient[1] == 0).all()
    assert torch.isfinite(gradient).all()


@several_blocks
@sampled({"several": named([False, True], ["label", "several"]), "label": [-1, 20, 2**32 + 3, -(2**40)]})
def test_a_label_outside_the_classes_makes_its_row_nan_and_no_other(device, blocks, label, several):
    """It raises nothing: reading it would wait for the device. 2³² + 3 is no label 3 either."""
    z = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    y = torch.tensor([3, label, 7], device=device)
    y = torch.stack([y, torch.zeros_like(y)], -1) if several else y
    said = row_statistics(
        z, 1, Target(y, several=several), requested=Requested(True, True, True, not several)
    )
    (gradient,) = torch.autograd.grad(said.log_odds.sum() + said.entropy.sum(), z)
    for x in (said.log_odds, said.log_partition, said.entropy, gradient):
        assert x[1].isnan().all()
        assert torch.isfinite(x[::2]).all()
    assert said.argmax[1] == -1


def test_one_class_is_certain(device):
    losses, gradient = loss_and_gradient(
        torch.randn(4, 1, device=device), torch.zeros(4, dtype=torch.int64, device=device)
    )
    assert losses.tolist() == [0.0] * 4
    assert gradient.tolist() == [[0.0]] * 4


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_an_empty_batch_has_empty_statistics(device, shape):
    z = torch.zeros(shape, device=device)
    losses, gradient = loss_and_gradient(z, torch.zeros(shape[:-1], dtype=torch.int64, device=device))
    assert losses.shape == shape[:-1]
    assert gradient.shape == shape


@pytest.mark.parametrize("dtype", ["int32", "int16", "int8", "uint8", "bool"])
def test_labels_of_any_integer_dtype_are_the_same_labels(device, dtype):
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).to(device)
    y = torch.tensor([0, 1, 1, 0], device=device)
    expected = loss_and_gradient(z, y)
    found = loss_and_gradient(z, y.to(getattr(torch, dtype)))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_a_soft_target_of_zero_on_a_masked_class_is_worth_nothing(device):
    z = torch.tensor([[1.0, -INF, 2.0]], device=device, requires_grad=True)
    a = torch.tensor([[0.25, 0.0, 0.75]], device=device, requires_grad=True)
    term = row_statistics(z, 1, Target(dense=a)).dense_term
    by_logits, by_masses = torch.autograd.grad(term.sum(), (z, a))
    log_p = z.detach()[:, [0, 2]].double().log_softmax(-1)
    torch.testing.assert_close(term.detach(), -(log_p * a.detach()[:, [0, 2]]).sum(-1))
    assert by_logits[0, 1] == by_masses[0, 1] == 0


def test_padding_does_not_leak_into_the_sum_through_a_softcap(device):
    """Columns past the last class, masked before a tanh, become −softcap and count; cut-cross-entropy had it."""
    z = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.2]], dtype=torch.float64, device=device)
    transform = Transform(softcap=0.05)
    target = Target(torch.tensor([2], device=device))
    found = row_statistics(z, 1, target, transform, requested=Requested(log_partition=True))
    u = 0.05 * torch.tanh(z / 0.05)
    torch.testing.assert_close(found.log_partition, u.logsumexp(-1))


# ---- layouts -------------------------------------------------------------------------------------------------


def image(x, axis):
    return None if x is None else np.ascontiguousarray(np.moveaxis(x.reshape(1, 3, 2, 5), -1, axis))


@pytest.mark.parametrize("form", ["label", *full(["set", "weighted"])])
@pytest.mark.parametrize("axis", [0, 1, *full([2])])
def test_the_class_axis_may_be_any(device, blocks, axis, form):
    problem = make(form, "all", "vector", 6, 5, scale=1.0)
    target, transform = problem.target, problem.transform
    indices = (
        target.indices
        if target.indices is None
        else target.indices.reshape(1, 3, 2, *target.indices.shape[1:])
    )
    target = replace(target, indices=indices, mask=image(target.mask, axis), dense=image(target.dense, axis))
    transform = replace(transform, temperature=transform.temperature.reshape(1, 3, 2))
    own = [tensors(x, device=device) for x in (target, transform, problem.prior)]
    found = []
    for how in (row_statistics, formulas.statistics):
        z = torch.tensor(image(problem.logits, axis), device=device, requires_grad=True)
        stats = [getattr(how(z, axis, *own, DIFFERENTIATED), name) for name in DIFFERENTIABLE]
        loss = sum((x**2).sum() for x in stats if x is not None)
        found.append((loss.detach(), torch.autograd.grad(loss, z)[0]))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-11)


LAYOUTS = {
    "every other row": lambda z: z[::2],
    "some of the columns": lambda z: z[:, 3:17],
    "every third column": lambda z: z[:, ::3],
    "transposed": lambda z: z.T,
    "expanded": lambda z: z[:1].expand(7, -1),
    "of a part": lambda z: z.view(2, 3, 20)[:, 1:, 4:],
}


@several_blocks
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_change_nothing(device, blocks, layout):
    z = LAYOUTS[layout](torch.randn(6, 20, generator=torch.Generator().manual_seed(0)).to(device))
    y = torch.zeros(z.shape[:-1], dtype=torch.int64, device=device) + 2
    expected = loss_and_gradient(z.contiguous(), y)
    torch.testing.assert_close(loss_and_gradient(z, y), expected, rtol=1e-6, atol=0.0)


def test_logits_whose_strides_allow_it_are_not_copied(device):
    for z in (torch.zeros(6, 20, device=device)[:, 3:17], torch.zeros(2, 5, 3, 4, device=device)):
        kernel = cuda_kernel.RowKernel(z, 1, Target(), PLAIN, None)
        assert kernel.arguments["logits"].data_ptr() == z.data_ptr()


def test_rows_further_apart_than_32_bits_count_are_found(device):
    """The second row lies so many elements behind the first that an int32 offset would wrap."""
    first, second = torch.randn(2, 1, 10, generator=torch.Generator().manual_seed(0)).to(device)
    if device.type == "cuda":
        whole = torch.empty(2**31 + 16, dtype=torch.bfloat16, device=device)
        z = whole.as_strided((2, 10), (2**31, 1))
        z.copy_(torch.cat([first, second]))
        away = 2**31
    else:
        away = 2**31
        reserved = mmap(-1, 4 * (away + 10), flags=MAP_PRIVATE | MAP_ANONYMOUS)  # two pages are used
        whole = np.frombuffer(reserved, np.float32)
        other, far = torch.from_numpy(whole[:10]), torch.from_numpy(whole[away:])
        other.copy_(first[0])
        far.copy_(second[0])
        z = torch.stack([other, far])
    target = Target(torch.tensor([3, 4], device=device))
    expected = cuda_kernel.RowKernel(z.contiguous(), 1, target, PLAIN, None)
    kernel = cuda_kernel.RowKernel(z, 1, target, PLAIN, None)
    if device.type == "cpu":
        kernel.arguments |= {"logits": other, "inner_stride": away}
    ones = Cotangents(log_odds=torch.ones(2, dtype=torch.float64, device=device))
    stats, same = (x.statistics(target, (2,), Requested()) for x in (kernel, expected))
    assert torch.equal(stats.log_odds, same.log_odds)
    into = torch.empty(2, 10, dtype=z.dtype, device=device)
    assert torch.equal(
        kernel.pullback(stats, ones, (2,), into=into).logits, expected.pullback(same, ones, (2,)).logits
    )


# ---- devices -------------------------------------------------------------------------------------------------


def test_a_launch_enters_the_device_of_the_logits(device, monkeypatch):
    """Triton launches on the current device, whatever its arguments lie on; flash-attention had it."""
    entered, own = [], launching.on_device_of
    monkeypatch.setattr(launching, "on_device_of", lambda x: entered.append(x) or own(x))
    z = torch.zeros(2, 3, device=device)
    loss_and_gradient(z, torch.tensor([0, 1], device=device))
    assert len(entered) == 2
    assert all(x.device == z.device for x in entered)


@on_a_gpu
def test_nothing_waits_for_the_device(device):
    problem = make("label", "all", "vector", 4, 20)
    z = torch.tensor(problem.logits, device=device, requires_grad=True)
    own = [tensors(x, device=device) for x in (problem.target, problem.transform, problem.prior)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        said = row_statistics(z, 1, *own, problem.requested)
        torch.autograd.grad(said.log_odds.sum() + said.prior_term.sum(), z)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_a_gpu
def test_a_forward_and_backward_pass_can_be_captured(device):
    z = torch.randn(8, 3000, device=device)
    target = Target(torch.arange(8, device=device))
    ones = Cotangents(log_odds=torch.ones(8, dtype=torch.float64, device=device))

    def step():
        kernel = cuda_kernel.RowKernel(z, 1, target, PLAIN, None)
        return kernel.pullback(kernel.statistics(target, (8,), Requested()), ones, (8,)).logits

    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    z.normal_()
    graph.replay()
    assert torch.equal(found, step())
