"""Every public loss and link against a plain formula of it, in every array library.

The cases and their truths are in `catalogue/`. A loss that is missing there fails the first test here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import crossentropy as ce
from losses.catalogue.agreement import assert_agreement
from losses.catalogue.case import CLASSES, Case, Helper, logits
from losses.catalogue.libraries import LIBRARIES, Library
from losses.catalogue.table import CASES, FAMILIES, HELPERS

WITHOUT_A_CASE = {
    "linear_cross_entropy": "is compared with the loss of its logits in test_linear_*.py",
    "linear_distillation_losses": "is compared with the loss of its logits in test_linear_rows.py",
    "linear_loss_and_gradients": "is compared with the loss of its logits in test_linear_numpy.py",
    "linear_row_losses": "is compared with the loss of its logits in test_linear_rows.py",
    "linear_target_statistics": "is compared with those of its logits in test_linear_statistics.py",
    "TargetStatistics": "what target_statistics returns",
    "loss_and_gradient": "differentiates the losses of the cases",
}
BY_NAME = {case.name: case for case in CASES}
STATEFUL = {"EarlyLearningRegularization"}  # written by each call, which a trace cannot do
WEIGHTS = np.array([0.5, 2.0, 1.25, 0.75, 3.0, 1.5, 0.25, 1.0, 2.5, 0.1])


def names(cases):
    return [case.name for case in cases]


def each(cases, libraries=LIBRARIES, *, compiled="every"):
    """Every case in every library that it is for; with compiled="one", in JAX one case of a loss alone.

    Compiling is most of what these tests cost. So of JAX's cases the first of each loss runs every time, with another
    word than "every" the first of each family; the rest is for the full suite.
    """
    one = set(names({getattr(case, "loss", case.name): case for case in reversed(cases)}.values()))
    chosen = set(names(cases))
    firsts = {next((name for name in names(family.CASES) if name in chosen), "") for family in FAMILIES}
    compiled_always = one if compiled == "every" else firsts
    pairs = []
    for case in cases:
        for library in libraries:
            in_jax = library == "jax"
            if library in case.libraries and not (in_jax and compiled == "one" and case.name not in one):
                marks = [pytest.mark.full] if in_jax and case.name not in compiled_always else []
                pairs.append(pytest.param(case, library, id=f"{case.name}-{library}", marks=marks))
    return pytest.mark.parametrize(("case", "library"), pairs)


def those(flag):
    """Every case of which this is true."""
    cases = [case for case in CASES if flag(case)]
    return pytest.mark.parametrize("case", cases, ids=names(cases))


def row_weights(losses):
    """Unequal weights in the shape of the losses."""
    return np.resize(WEIGHTS, losses.shape)


def mean(case, losses, weights):
    if case.mean is not None:
        return case.mean(losses, weights)
    return np.sum(weights * losses) / np.sum(weights)


def assert_close(found, truth, relative, absolute=1e-13):
    np.testing.assert_allclose(found, truth, rtol=relative, atol=absolute)


# ----------------------------------------------------------------------------------------- the table


def test_every_public_loss_has_a_case():
    covered = {case.loss for case in CASES} | {helper.function for helper in HELPERS} | set(WITHOUT_A_CASE)
    assert set(ce.losses.__all__) - covered == set()


def test_every_case_is_of_something_public():
    assert {case.loss for case in CASES} | {h.function for h in HELPERS} <= set(ce.losses.__all__)


def test_names_of_cases_are_unique():
    assert len(set(names(CASES))) == len(CASES)
    assert len(set(names(HELPERS))) == len(HELPERS)


# ---------------------------------------------------------------------------------------------- values


@each(CASES)
def test_the_loss_is_that_of_the_formula(case: Case, library):
    truth = case.losses()
    extra = {"reduction": "none"} if case.rows else {}
    found = Library(library).value(case, **extra)
    assert found.shape == truth.shape
    assert_close(found, truth, case.digits)


@each(CASES, ("numpy", "torch", "jax"), compiled="one")
def test_the_loss_is_that_of_the_formula_in_float32(case: Case, library):
    extra = {"reduction": "none"} if case.rows else {}
    assert_close(Library(library, "float32").value(case, **extra), case.losses(), case.digits32, 2e-6)


@each([case for case in CASES if case.rows], compiled="one")
def test_reductions_sum_and_average_weighted_rows(case: Case, library):
    lib, truth = Library(library), case.losses()
    ones, weights = np.ones(truth.shape), row_weights(truth)
    calls = [
        ({}, mean(case, truth, ones)),
        ({"reduction": "sum"}, np.sum(truth)),
        ({"reduction": "none", "sample_weight": weights}, weights * truth),
        ({"reduction": "sum", "sample_weight": weights}, np.sum(weights * truth)),
        ({"sample_weight": weights}, mean(case, truth, weights)),
    ]
    for value, (_, expected) in zip(lib.values(case, [extra for extra, _ in calls]), calls, strict=True):
        assert_close(value, expected, case.digits)


@those(lambda case: case.options)
def test_class_weights_multiply_the_rows_of_their_class_and_count_in_the_mean(case: Case):
    class_weight = WEIGHTS[:CLASSES]
    labels = case.given.get("labels", case.given.get("actions"))
    weights, truth = class_weight[labels], case.losses()
    lib = Library("numpy")
    assert_close(lib.value(case, reduction="none", class_weight=class_weight), weights * truth, case.digits)
    assert_close(
        lib.value(case, class_weight=class_weight), np.sum(weights * truth) / np.sum(weights), case.digits
    )


@those(lambda case: case.options)
def test_rows_of_the_ignored_label_count_nothing(case: Case):
    name = "labels" if "labels" in case.given else "actions"
    truth, labels = case.losses(), case.given[name].copy()
    labels[[1, 3]] = -7
    kept = labels >= 0
    lib = Library("numpy")
    changed = {name: labels}
    assert_close(
        lib.value(case, changed, reduction="none", ignore_index=-7), np.where(kept, truth, 0), case.digits
    )
    assert_close(lib.value(case, changed, ignore_index=-7), np.mean(truth[kept]), case.digits)


@each([case for case in CASES if case.options], ("torch", "jax"))
def test_an_ignored_row_has_no_gradient_whatever_it_holds(case: Case, library):
    name, first = next(iter(case.inputs.items()))
    target = "labels" if "labels" in case.given else "actions"
    labels, spoilt = case.given[target].copy(), first.copy()
    labels[1], spoilt[1] = -7, np.nan
    lib = Library(library)
    extra = {"ignore_index": -7, "reduction": "none"}
    clean = lib.slopes(case, None, {target: labels}, **extra)[name]
    found = lib.slopes(case, None, {target: labels, name: spoilt}, **extra)[name]
    assert (found[1] == 0).all()
    np.testing.assert_allclose(found, clean, rtol=1e-12, atol=1e-15)


@those(lambda case: case.options)
def test_a_normalizer_replaces_the_weights(case: Case):
    truth, weights = case.losses(), row_weights(case.losses())
    lib = Library("numpy")
    total = np.sum(weights * truth)
    assert_close(lib.value(case, sample_weight=weights, normalizer="count"), total / len(truth), case.digits)
    assert_close(lib.value(case, sample_weight=weights, normalizer=7.0), total / 7, case.digits)


@those(lambda case: case.shift_invariant)
def test_a_number_added_to_a_row_changes_nothing(case: Case):
    name, first = next(iter(case.inputs.items()))
    moved = first + np.linspace(-64, 64, len(first)).reshape(-1, 1)
    extra = {"reduction": "none"} if case.rows else {}
    assert_close(Library("numpy").value(case, {name: moved}, **extra), case.losses(), 1e-11, 1e-12)


# ------------------------------------------------------------------------------------------- gradients


@cache
def slope(of: str, name: str, end: str = "") -> np.ndarray:
    """The derivative of the formula of a case by an input, as it is or at its end: one truth for all libraries."""
    case = BY_NAME[of]
    if end:
        return case.slopes(name, 1.0, {name: dict(ends(case))[end]})
    return case.slopes(name, row_weights(case.losses()) if case.rows else 1.0)


@each(CASES, ("numpy", "torch", "jax"), compiled="family")
def test_the_gradient_is_the_derivative_of_the_formula(case: Case, library):
    """By each differentiable argument, with a weight of its own on every row."""
    extra = {"reduction": "none"} if case.rows else {}
    cotangent = row_weights(case.losses()) if case.rows else None
    found = Library(library).slopes(case, cotangent, **extra)
    for name in case.differentiable:
        truth = slope(case.name, name)
        assert_close(found[name], truth, 1e-8, 1e-9 * max(1.0, np.abs(truth).max()))


@each([case for case in CASES if "numpy" in case.libraries], ("torch", "jax"), compiled="family")
def test_values_and_gradients_of_all_libraries_are_numpy_s_to_four_ulp(case: Case, library):
    extra = {"reduction": "none"} if case.rows else {}
    cotangent = row_weights(case.losses()) if case.rows else None
    found, other = Library(library), Library("numpy")
    assert_agreement(found.value(case, **extra), other.value(case, **extra))
    slopes, others = found.slopes(case, cotangent, **extra), other.slopes(case, cotangent, **extra)
    for name in case.differentiable:
        assert_agreement(slopes[name], others[name])


@those(lambda case: case.twice and "torch" in case.libraries)
def test_pytorch_differentiates_twice(case: Case):
    """The Hessian along a direction, against differences of the first derivative, which is checked above."""
    lib = Library("torch")
    torch, function = lib.xp, case.function(ce.losses)
    inputs, rest = lib.arguments(case, {}, {})
    at = [*inputs, *(rest[name] for name in case.parameters)]
    along = [torch.from_numpy(np.asarray(logits(200 + k, tuple(x.shape), 1.0))) for k, x in enumerate(at)]

    def first(step, create_graph=False):
        moved = [(x.detach() + step * v).requires_grad_() for x, v in zip(at, along, strict=True)]
        named = dict(zip(case.parameters, moved[len(inputs) :], strict=True))
        value = function(*moved[: len(inputs)], **(rest | named)).sum()
        return moved, torch.autograd.grad(value, moved, create_graph=create_graph)

    moved, slopes = first(0.0, create_graph=True)
    product = sum((slope * v).sum() for slope, v in zip(slopes, along, strict=True))
    found = torch.autograd.grad(product, moved, allow_unused=True, materialize_grads=True)
    h = case.step / 4
    near = [a - b for a, b in zip(first(h)[1], first(-h)[1], strict=True)]
    far = [a - b for a, b in zip(first(2 * h)[1], first(-2 * h)[1], strict=True)]
    for hessian, n, f in zip(found, near, far, strict=True):
        expected = (8 * n - f) / (12 * h)
        assert_close(hessian.numpy(), expected.numpy(), 1e-7, 1e-8 * max(1.0, float(expected.abs().max())))


@those(lambda case: "jax" in case.libraries and case.loss not in STATEFUL)
def test_jax_can_trace_it(case: Case):
    """With every array of it unknown, labels and options too; only shapes are computed."""
    lib = Library("jax")
    with lib():
        inputs, rest = lib.arguments(case, {}, {})
        arrays = {name: value for name, value in rest.items() if hasattr(value, "shape")}
        fixed = {name: value for name, value in rest.items() if name not in arrays}
        function = case.function(ce.losses)
        value = pytest.importorskip("jax").eval_shape(
            lambda inputs, arrays: function(*inputs, **arrays, **fixed), inputs, arrays
        )
        assert value.dtype == "float64"
        assert value.shape == (() if case.rows else case.losses().shape)


# --------------------------------------------------------------------------------------- at the ends


def ends(case: Case):
    """Inputs driven to their ends, by what they are; −inf is off the target."""
    first = next(iter(case.inputs.values()))
    if case.extreme == "cosine":
        yield "aligned and opposed", np.where(first > 0, 1.0, -1.0)
        return
    rng = np.random.default_rng(11)
    yield f"{case.reach:g}", np.where(rng.random(first.shape) < 0.5, -1, 1) * case.reach + first
    if case.extreme == "sigmoid":
        yield "±100", np.sign(first) * 100.0
        return
    labels = case.given.get("labels", case.given.get("actions"))
    labels = np.argmax(first, axis=-1) if labels is None else labels
    hot = np.eye(first.shape[-1])[labels] == 1
    yield "margin 100", np.where(hot, 100.0, 0.0) + first / 8
    yield "margin −100", np.where(hot, -100.0, 0.0) + first / 8
    off = np.eye(first.shape[-1])[(labels + 1) % first.shape[-1]] == 1
    yield "−inf", np.where(off, -np.inf, first)


EXTREMES = [(case, name) for case in CASES if case.extreme for name, _ in ends(case)]
FIRST = {case.loss: case.name for case, _ in reversed(EXTREMES)}
at_the_ends = pytest.mark.parametrize(
    ("case", "end", "library"),
    [
        pytest.param(
            case,
            end,
            library,
            id=f"{case.name}-{end}-{library}",
            marks=pytest.mark.full if library == "jax" and case.name != FIRST[case.loss] else (),
        )
        for case, end in EXTREMES
        for library in ("numpy", "torch", "jax")
    ],
)


@at_the_ends
def test_at_the_ends_the_loss_is_the_limit_of_the_formula(case: Case, end, library):
    changed = {next(iter(case.inputs)): dict(ends(case))[end]}
    truth = case.losses(changed)
    assert not np.isnan(truth).any()
    found = Library(library).value(case, changed, reduction="none")
    assert_close(found, truth, 1e-10, 1e-12)


@at_the_ends
def test_at_the_ends_the_gradient_is_the_derivative_of_the_formula(case: Case, end, library):
    """It is finite wherever the loss is, and nowhere NaN."""
    name = next(iter(case.inputs))
    at = dict(ends(case))[end]
    losses = case.losses({name: at})
    bounded = np.broadcast_to(
        np.isfinite(losses).reshape(losses.shape + (1,) * (at.ndim - losses.ndim)), at.shape
    )
    for dtype in ("float32", "float64") if library == "torch" else ("float64",):
        found = Library(library, dtype).slopes(case, None, {name: at}, reduction="none")[name]
        assert not np.isnan(found).any()
        assert np.isfinite(found[bounded]).all()
        assert (found[np.isinf(at) & bounded] == 0).all()
    finite = np.isfinite(at)
    if case.extreme != "cosine" and finite.all() and bounded.all():
        assert_close(found, slope(case.name, name, end), 1e-7, 1e-7)


# ------------------------------------------------------------------------------------ rows left out


@each([case for case in CASES if case.rows and case.independent_rows], compiled="one")
def test_a_row_of_weight_zero_counts_nothing_whatever_it_holds(case: Case, library):
    lib, truth = Library(library), case.losses()
    weights = row_weights(truth)
    weights[1] = 0
    spoilt = {name: value.copy() for name, value in case.inputs.items()}
    for value in spoilt.values():
        value[1] = np.nan
    rest = np.where(weights == 0, 0.0, weights * np.where(weights == 0, 0.0, truth))
    extras = [{"reduction": "none", "sample_weight": weights}, {"sample_weight": weights}]
    losses, average = lib.values(case, extras, spoilt)
    assert_close(losses, rest, case.digits)
    assert_close(average, mean(case, truth, weights), case.digits)
    if library in ("numpy", "torch", "jax"):
        clean = lib.slopes(case, None, reduction="sum", sample_weight=weights)
        found = lib.slopes(case, None, spoilt, reduction="sum", sample_weight=weights)
        for name in case.inputs:
            assert (found[name][1] == 0).all()
            np.testing.assert_allclose(found[name], clean[name], rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------------------------- helpers


@each(HELPERS)
def test_a_helper_returns_what_its_formula_says(case: Helper, library):
    lib = Library(library)
    with lib():
        given = [lib.array(value) for value in case.arrays]
        options = {name: lib.array(value) for name, value in case.options.items()}
        found = getattr(ce.losses, case.function)(*given, **options)
        if isinstance(case.truth, dict):
            for name, truth in case.truth.items():
                assert_close(lib.numpy(getattr(found, name)), truth(*case.arrays), case.digits)
        else:
            assert_close(lib.numpy(found), case.truth(*case.arrays, **case.options), case.digits)
