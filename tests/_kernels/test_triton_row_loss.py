"""What Triton's kernels make of the statistics of rows is what the CPU's losses are."""

import numpy as np
import pytest
from hypothesis import given

import crossentropy as ce
from frameworks import TORCH
from softmax_problems import problems

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._engine.softmax import fused_cuda  # noqa: E402
from crossentropy._kernels.triton import row_loss  # noqa: E402
from device_losses import as_on_a_device, interpreted  # noqa: E402
from triton_compiler import compiled_kernels  # noqa: E402


@pytest.fixture
def kernels(monkeypatch):
    """Common losses go through the kernels, in blocks of few rows; how often is counted."""
    calls = []

    class Counted:
        RowTerms, Mean, slopes_of = row_loss.RowTerms, row_loss.Mean, staticmethod(row_loss.slopes_of)

        @staticmethod
        def loss(*arguments):
            calls.append(arguments)
            return row_loss.loss(*arguments)

    monkeypatch.setattr(row_loss, "BLOCK", 4)
    monkeypatch.setattr(fused_cuda, "row_loss", lambda device: Counted)
    return calls


def value_and_gradient(logits, labels, device, **options):
    options = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    z = logits.detach().to(device).requires_grad_()
    value = ce.softmax_cross_entropy(z, labels, **options)
    (gradient,) = torch.autograd.grad(value, z, torch.full_like(value, 1.5))
    return value.detach().cpu(), gradient.cpu()


@given(problem=problems())
@interpreted
def test_any_loss_is_that_of_the_cpu(kernels, problem):
    def outcome():
        try:
            return TORCH.loss_and_gradient(problem.logits, problem.labels(TORCH), **problem.keywords())
        except ValueError as error:
            return str(error)

    expected = outcome()
    with as_on_a_device():
        found = outcome()
    if isinstance(expected, str):
        assert found == expected
    else:
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


N, C = 11, 7
generator = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(N, C, generator=generator, dtype=torch.float64)
LABELS = torch.randint(C, (N,), generator=generator)
WEIGHT = torch.rand(C, generator=generator, dtype=torch.float64)
ROWS = torch.rand(N, generator=generator, dtype=torch.float64) * (torch.arange(N) % 3 > 0)
CASES = {
    "plain": (LABELS, {}),
    "weights of two kinds": (LABELS, {"class_weight": WEIGHT, "sample_weight": ROWS}),
    "ignored": (LABELS, {"ignore_index": int(LABELS[3])}),
    "focal": (LABELS, {"link": ce.links.Focal(2.0), "class_weight": WEIGHT}),
    "smoothed": (LABELS, {"label_smoothing": 0.1, "class_weight": WEIGHT, "z_loss": 0.1, "ignore_index": 2}),
    "several": (
        ce.targets.Sparse(torch.stack([LABELS, LABELS.roll(1)], -1), torch.tensor([0.7, 0.3]).expand(N, 2)),
        {"class_weight": WEIGHT, "z_loss": 0.1},
    ),
    "sets": (ce.targets.LabelSet(0.5 * LOGITS.amax(1, keepdim=True) < LOGITS), {"sample_weight": ROWS}),
    "sum": (LABELS, {"reduction": "sum"}),
    "count": (LABELS, {"normalizer": "count", "sample_weight": ROWS, "ignore_index": 1}),
    "number": (LABELS, {"normalizer": 3.0}),
    "tensor": (LABELS, {"normalizer": torch.tensor(3.0)}),
}


@pytest.mark.parametrize(("labels", "options"), CASES.values(), ids=CASES)
def test_common_losses_take_the_kernels(kernels, labels, options):
    expected = value_and_gradient(LOGITS, labels, "cpu", **options)
    with as_on_a_device():
        found = value_and_gradient(LOGITS, labels, "cpu", **options)
    assert len(kernels) == 1
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("empty", ["zero", "nan"])
def test_a_mean_of_nothing(kernels, empty):
    with as_on_a_device():
        value, gradient = value_and_gradient(LOGITS, LABELS, "cpu", sample_weight=torch.zeros(N), empty=empty)
    assert len(kernels) == 1
    assert value == 0 if empty == "zero" else value.isnan()
    assert gradient.eq(0).all()


def test_no_rows_at_all(kernels):
    with as_on_a_device():
        value, gradient = value_and_gradient(LOGITS[:0], LABELS[:0], "cpu")
    assert len(kernels) == 1
    assert value == 0
    assert gradient.shape == (0, C)


def test_a_label_that_is_none_makes_its_row_nan_and_counts(kernels):
    y = LABELS.clone()
    y[2] = C
    with as_on_a_device():
        value, gradient = value_and_gradient(LOGITS, y, "cpu", class_weight=WEIGHT, validate="none")
    assert value.isnan()
    assert gradient[2].isnan().all()
    assert gradient[torch.arange(N) != 2].isfinite().all()


@pytest.mark.parametrize("programs", [1, 2, 4096])
def test_sums_over_many_blocks(kernels, programs, monkeypatch):
    from crossentropy._kernels.triton import means

    monkeypatch.setattr(means, "PROGRAMS", programs)
    expected = value_and_gradient(LOGITS, LABELS, "cpu", sample_weight=ROWS)
    with as_on_a_device():
        found = value_and_gradient(LOGITS, LABELS, "cpu", sample_weight=ROWS)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


STEPS = """
    from crossentropy._kernels.triton import row_loss
    from crossentropy._kernels.triton.means import Mean

    def step(terms, divisor):
        odds, rows = torch.randn(6, terms.k).double(), torch.randn(6).double()
        prior, partition = rows if terms.smoothing else None, rows if terms.z_loss else None
        value, used, slopes = row_loss.loss(odds, prior, partition, terms, Mean(divisor, 0.0))
        row_loss.slopes_of(slopes, partition, terms, value, used)

    y, w = torch.zeros(6, 2, dtype=torch.int64), torch.ones(6)
    step(row_loss.RowTerms(y, 1, None, 5, None, None, None, 0.0, 0.0, 0.0, False), None)
    step(row_loss.RowTerms(y, 2, -100, 5, w, torch.ones(6, 2), w, 2.0, 0.1, 0.1, True), 2.0)
    step(row_loss.RowTerms(None, 1, None, 5, None, None, w, 0.0, 0.0, 0.1, False), torch.ones(()))
"""


def test_the_kernels_compile_for_a_gpu(tmp_path):
    assert compiled_kernels(STEPS, tmp_path) == (9, False)
