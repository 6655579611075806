"""The forward row kernel in Triton: the definitions' numbers in extended precision, and the native kernel's planes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

import oracle_rows  # noqa: E402
import ulps  # noqa: E402
from crossentropy._statistics import Prior, Requested, Target, row_statistics  # noqa: E402
from crossentropy._statistics.cuda import kernel  # noqa: E402
from crossentropy._statistics.problem import RowStatistics  # noqa: E402
from crossentropy._statistics.torch import kernels  # noqa: E402
from row_problems import (  # noqa: E402
    FORMS,
    PRIORS,
    TRANSFORMS,
    check,
    each_form_and_transform,
    make,
    narrowed,
    torch_problem,
    true_planes,
)
from sampling import sampled  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("triton_rows"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

EPS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-24, "float16": 2.0**-24}
native = kernels.row_kernel  # before a test puts Triton's in its place


def verify(form, transform, prior, rows, classes, dtype, device):
    problem = narrowed(make(form, transform, prior, rows, classes))
    tensors, values = torch_problem(problem, dtype, device)
    truth, size = true_planes(problem, values)
    found = row_statistics(*tensors.arguments())
    check(found, truth, size, EPS[dtype], f"{prior} {rows}×{classes}")


@each_form_and_transform
def test_statistics_are_those_of_the_definition(device, form, transform):
    for prior in PRIORS:
        verify(form, transform, prior, 9, 5, "float32", device)
    verify(form, transform, "vector", 9, 5, "float64", device)


@sampled({"form": FORMS, "dtype": ["bfloat16", "float16"]})
def test_statistics_of_halves_are_those_of_the_values_they_hold(device, dtype, form):
    for transform, prior in (("plain", "uniform"), ("all", "vector")):
        verify(form, transform, prior, 9, 5, dtype, device)


@sampled({"classes": [1, 8, 9, 17], "form": FORMS})
def test_statistics_are_the_same_however_many_blocks_a_row_takes(device, monkeypatch, form, classes):
    from crossentropy._kernels.triton import launch

    monkeypatch.setattr(launch, "MOST_BYTES", 32)
    monkeypatch.setattr(launch, "FEW_ENTRIES", 16)
    verify(form, "all", "vector", 5, classes, "float32", device)


@pytest.mark.parametrize("form", FORMS)
def test_long_rows_take_the_blocks_of_their_length(device, form):
    verify(form, "all", "vector", 2, 8200, "float32", device)


@pytest.mark.parametrize("form", FORMS)
def test_every_plane_is_the_native_kernels(device, blocks, form):
    """Those too that only a gradient reads: the planes of one kernel serve the backward pass of the other."""
    problem, _ = torch_problem(make(form, "row temperature", "vector", 6, 11), "float64")
    arguments = problem.logits, 1, problem.target, problem.transform, problem.prior
    expected = native("cpu")(*arguments).statistics(problem.target, (6,), problem.requested)
    problem, _ = torch_problem(make(form, "row temperature", "vector", 6, 11), "float64", device)
    arguments = problem.logits, 1, problem.target, problem.transform, problem.prior
    found = kernel.RowKernel(*arguments).statistics(problem.target, (6,), problem.requested)
    for name in RowStatistics.__slots__:
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert (ours is None) == (theirs is None), name
        if name != "bad_row" and ours is not None:
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-13, atol=1e-13, msg=name)


LOGITS = {
    "random": lambda rng, C: rng.normal(size=C) * 3,
    "confident": lambda rng, C: np.where(np.arange(C) == C // 2, 40.0, rng.normal(size=C)),
    "hopeless": lambda rng, C: np.where(np.arange(C) == C // 3, 90.0, rng.normal(size=C)),
    "tied": lambda rng, C: rng.integers(0, 2, size=C).astype(float),
    "far out": lambda rng, C: rng.integers(0, 60, size=C) + 1e6,
}


@sampled({"classes": [3, 300], "logits": LOGITS, "dtype": ["float32", "float64"]})
def test_log_odds_keep_their_digits(device, dtype, logits, classes):
    """Within 4·max(1, |D|) ulp in what becomes a loss, against sixty digits."""
    z = LOGITS[logits](np.random.default_rng(0), classes).astype(dtype)
    labels = np.array([classes // 2, 0])
    D = row_statistics(
        torch.from_numpy(np.stack([z, z])).to(device), 1, Target(torch.from_numpy(labels).to(device))
    ).log_odds
    losses = torch.logaddexp(D, torch.zeros_like(D)).cpu()
    for loss, odds, label in zip(losses, D.cpu(), labels, strict=True):
        row = oracle_rows.index_row(z, label)
        truth = float(row.log_odds_against)
        assert abs(float(odds) - truth) <= 4 * EPS[dtype] * 2 * max(1.0, abs(truth))
        if truth > -700:
            limit = ulps.allowed(4 * max(1.0, abs(truth)), float(row.loss), dtype)
            assert abs(ulps.errors(loss, row.loss)[0]) <= limit


@sampled({"order": ["rising", "falling", "one late"], "form": ["label", "set", "dense"]})
def test_what_comes_late_is_worth_as_much_as_what_came_first(device, blocks, order, form):
    problem = narrowed(make(form, "plain", "vector", 2, 40))
    z = np.sort(problem.logits, axis=1)
    z = {"rising": z, "falling": z[:, ::-1], "one late": np.where(np.arange(40) == 38, z.max() + 30, z)}[
        order
    ]
    tensors, values = torch_problem(problem.with_logits(z.copy()), "float32", device)
    truth, size = true_planes(problem, values)
    check(row_statistics(*tensors.arguments()), truth, size, EPS["float32"])


def test_ties_with_the_top_are_counted_exactly(device, blocks):
    z = torch.zeros(2, 37, device=device)
    z[1, 5] = 3.0
    said = row_statistics(
        z, 1, Target(torch.tensor([36, 5], device=device)), requested=Requested(argmax=True, rank=True)
    )
    assert said.rest.tolist() == [35.0, 35.0]
    assert said.argmax.tolist() == [0, 5]
    assert said.rank.tolist() == [36, 0]


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    form=st.sampled_from(FORMS),
    transform=st.sampled_from(TRANSFORMS),
    prior=st.sampled_from(PRIORS),
    dtype=st.sampled_from(sorted(EPS)),
    rows=st.integers(1, 9),
    classes=st.integers(1, 20),
    most=st.sampled_from([32, 32768]),
    few=st.sampled_from([16, 512]),
)
def test_every_composition_of_options_is_that_of_the_definition(
    device, form, transform, prior, dtype, rows, classes, most, few
):
    from crossentropy._kernels.triton import launch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "MOST_BYTES", most)
        patch.setattr(launch, "FEW_ENTRIES", few)
        verify(form, transform, prior, rows, classes, dtype, device)


def test_what_is_not_asked_for_is_not_there(device):
    z = torch.zeros(3, 5, device=device)
    said = row_statistics(z, 1, Target(torch.zeros(3, dtype=torch.int64, device=device)))
    for name in ("log_partition", "prior_term", "dense_term", "entropy", "argmax", "rank"):
        assert getattr(said, name) is None


@pytest.mark.parametrize("total", [None, 0.25])
def test_a_prior_over_some_of_the_classes_has_the_total_it_is_said_to_have(device, total):
    """Its sum is not read on the host; where the logits are a shard's, it is given."""
    values = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64, device=device)
    z = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64, device=device, requires_grad=True)
    target = Target(torch.tensor([1], device=device))
    said = row_statistics(z, 1, target, prior=Prior(values, total))
    (gradient,) = torch.autograd.grad(said.prior_term.sum(), z)
    expected = (0.75 if total is None else total) * z.softmax(-1) - values
    torch.testing.assert_close(gradient, expected.detach())
