"""The native kernel of divergences against the formulas: dtypes, sizes, layouts, threads, rows left out."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy._engine.divergence.formulas import log_probabilities
from crossentropy._statistics import Transform
from crossentropy.losses.distillation import DIRECTIONS, distillation_loss, jsd_consistency

torch = pytest.importorskip("torch")

each_direction = pytest.mark.parametrize("direction", DIRECTIONS)
STUDENT, TEACHER = 2 * np.random.default_rng(3).normal(size=(2, 6, 5))
DTYPES = {"float32": 2e-6, "float64": 1e-12, "bfloat16": 1e-2, "float16": 2e-3}
CLASSES = [1, 2, 63, 64, 65, 128, 1000, 4097]


def by_formulas(direction, student, teacher, temperature):
    """The divergence of every row and its derivative by the student's logits, in float64 without the kernel."""
    s = student.detach().double().requires_grad_()
    logs = [log_probabilities(z, Transform(temperature)) for z in (s, teacher.double())]
    rows = DIRECTIONS[direction].rows(*logs)
    return rows.detach(), torch.autograd.grad(rows.sum(), s)[0]


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", DTYPES)
@each_direction
def test_the_kernel_agrees_with_the_formulas(direction, dtype, classes):
    generator = torch.Generator().manual_seed(classes)
    student, teacher = (
        (3 * torch.randn(7, classes, generator=generator)).to(getattr(torch, dtype)) for _ in range(2)
    )
    if classes > 2:
        student[0, 1] = teacher[1, 2] = -np.inf
        student[2] = teacher[2]
        student[3, 0], teacher[3, 0] = 40.0, 41.0
    student.requires_grad_()
    loss = distillation_loss(
        student, teacher, direction=direction, temperature=2.0, squared_temperature=False, reduction="none"
    )
    upstream = torch.linspace(0.5, 2.0, 7)
    (gradient,) = torch.autograd.grad(loss, student, upstream)
    rows, slopes = by_formulas(direction, student, teacher, 2.0)
    largest = slopes[slopes.isfinite()].abs().max() if classes > 1 else 0.0
    wide = loss.dtype
    np.testing.assert_allclose(loss.detach(), rows, rtol=1e-12 if wide == torch.float64 else 2e-7, atol=1e-15)
    truth = upstream.double()[:, None] * slopes
    kind = torch.finfo(student.dtype)
    least = kind.smallest_normal * kind.eps  # a half has no smaller steps
    atol = float(largest) * DTYPES[dtype] * 1e-3 + least
    np.testing.assert_allclose(gradient.double(), truth, rtol=DTYPES[dtype], atol=atol)


@each_direction
def test_rows_of_weight_zero_have_no_gradient_and_nan_stays_in_its_row(direction):
    student, teacher = torch.tensor(STUDENT), torch.tensor(TEACHER)
    student[4], teacher[2, 1] = np.nan, np.nan
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 0.0, 1.0])
    student.requires_grad_()
    loss = distillation_loss(student, teacher, direction=direction, sample_weight=weights, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), student)
    np.testing.assert_array_equal(loss.detach().isnan(), [False, False, True, False, False, False])
    np.testing.assert_array_equal(gradient.isnan().any(1), [False, False, True, False, False, False])
    assert loss[4] == 0
    assert (gradient[4] == 0).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@each_direction
def test_classes_along_any_axis_and_any_number_of_threads_give_the_same_bits(direction, axis):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(90, 33, 40, generator=generator) for _ in range(2))

    def value_and_gradient(student, axis):
        s = student.detach().requires_grad_()
        loss = distillation_loss(
            s, teacher.movedim(1, axis), direction=direction, axis=axis, reduction="none"
        )
        return loss.detach(), torch.autograd.grad(loss.sum(), s)[0]

    threads = torch.get_num_threads()
    found = value_and_gradient(student.movedim(1, axis), axis)
    try:
        torch.set_num_threads(3)
        other = value_and_gradient(student.movedim(1, axis).contiguous(), axis)
    finally:
        torch.set_num_threads(threads)
    for one, same in zip(found, other, strict=True):
        assert torch.equal(one, same)


@each_direction
def test_the_kernel_has_derivatives_of_the_second_order(direction):
    student, teacher = torch.tensor(STUDENT, requires_grad=True), torch.tensor(TEACHER)
    loss = lambda s: distillation_loss(s, teacher, direction=direction)  # noqa: E731
    assert torch.autograd.gradcheck(loss, student)
    assert torch.autograd.gradgradcheck(loss, student)


def test_every_view_of_a_consistency_loss_has_a_gradient():
    views = [torch.tensor(z, requires_grad=True) for z in (STUDENT, TEACHER, STUDENT[::-1].copy())]
    assert torch.autograd.gradcheck(lambda *z: jsd_consistency(*z), views)
