"""`row_statistics`: the kernels and the reference formulas against the definitions, in extended precision."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from crossentropy._statistics import Requested, Target, Transform, formulas, row_statistics
from row_problems import FORMS, PRIORS, TRANSFORMS, narrowed, torch_problem
from sampling import sampled

SIZES = ((1, 1), (1, 2), (67, 5), (130, 10), (3, 128), (3, 129), (2, 4160), (2, 8300))
EPS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-24, "float16": 2.0**-24}


def by_reference(*arguments):
    return formulas.statistics(*arguments)


@sampled({"transform": TRANSFORMS, "form": FORMS, "dtype": ["float64", "float32"]}, pairs=True)
def test_numpy_statistics_are_those_of_the_definition(rows_of, dtype, form, transform):
    for rows, classes in SIZES:
        for prior in PRIORS:
            problem = narrowed(rows_of.make(form, transform, prior, rows, classes))
            problem = problem.with_logits(problem.logits.astype(dtype))
            truth, size = rows_of.truth(problem)
            found = row_statistics(*problem.arguments())
            rows_of.check(found, truth, size, EPS[dtype], f"{prior} {rows}×{classes}")


@sampled(
    {"transform": TRANSFORMS, "form": FORMS, "dtype": ["float64", "float32", "bfloat16", "float16"]},
    pairs=True,
)
def test_torch_statistics_are_those_of_the_definition(rows_of, dtype, form, transform):
    pytest.importorskip("torch")
    for rows, classes in ((67, 5), (3, 131), (2, 4160)):
        for prior in PRIORS:
            problem = narrowed(rows_of.make(form, transform, prior, rows, classes))
            tensors, values = torch_problem(problem, dtype)
            truth, size = rows_of.truth(problem, values)
            found = row_statistics(*tensors.arguments())
            rows_of.check(found, truth, size, EPS[dtype], f"{prior} {rows}×{classes}")


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("form", FORMS)
def test_reference_statistics_are_those_of_the_definition(rows_of, form, transform):
    for rows, classes in ((67, 5), (3, 131)):
        for prior in PRIORS:
            problem = rows_of.make(form, transform, prior, rows, classes)
            truth, size = rows_of.truth(problem)
            reach = np.abs(problem.logits).max() * 3.4  # it divides by T before it takes the maximum off
            found = by_reference(*problem.arguments())
            rows_of.check(found, truth, size, EPS["float64"], prior, digits=8 + 4 * reach)


@pytest.mark.parametrize("offset", [-1e6, 1e6, 1e10, 1e30])
@pytest.mark.parametrize("transform", ["plain", "temperature"])
@pytest.mark.parametrize("form", ["label", "several", "set"])
@pytest.mark.parametrize("how", [row_statistics, by_reference], ids=["kernel", "reference"])
def test_an_offset_of_the_row_costs_the_log_odds_no_digits(rows_of, how, form, transform, offset):
    """As the difference of two large logarithms, log-odds would be wrong by the offset's last digit."""
    problem = rows_of.make(form, transform, "none", 20, 6)
    problem = problem.with_logits(problem.logits + offset)
    truth, size = rows_of.truth(problem)
    off = np.abs(how(*problem.arguments()).log_odds - truth.log_odds) / (EPS["float64"] * size.log_odds)
    assert off.max() <= 8, f"{float(off.max()):.3g} units off"


@pytest.mark.parametrize("offset", [100.0, 1e6])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["label", "several"])
def test_a_margin_on_a_row_far_from_zero_is_taken_off_exactly(rows_of, form, dtype, offset):
    """Index targets are exact to 4·max(1, |D|) units, those with a margin too."""
    problem = rows_of.make(form, "plain", "none", 20, 6)
    problem = problem.with_logits((problem.logits + offset).astype(dtype))
    problem = replace(problem, transform=Transform(margin=0.35))
    truth, _ = rows_of.truth(problem)
    D = np.maximum(1, np.abs(truth.log_odds))
    off = np.abs(row_statistics(*problem.arguments()).log_odds - truth.log_odds) / (EPS[dtype] * D)
    assert off.max() <= 8, f"{float(off.max()):.3g} units off"


def nchw(z):
    return np.ascontiguousarray(np.moveaxis(z.reshape(2, -1, z.shape[-1]), -1, 1)), 1


def transposed(z):
    return np.asfortranarray(z), 1


def class_axis_first(z):
    return np.ascontiguousarray(z.T), 0


def channels_last(z):
    return np.moveaxis(z.reshape(2, -1, 2, z.shape[-1]), -1, 1), 1


def backwards(z):
    return z[::-1, ::-1].copy()[::-1, ::-1], 1


def spread(z):
    room = np.full((z.shape[0], 2 * z.shape[1]), np.nan)
    room[:, ::2] = z
    return room[:, ::2], 1


LAYOUTS = (nchw, transposed, class_axis_first, channels_last, backwards, spread)


@pytest.mark.parametrize("classes", [5, 140])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("form", FORMS)
def test_statistics_do_not_depend_on_the_layout(rows_of, form, layout, classes):
    problem = rows_of.make(form, "all", "vector", 68, classes)
    truth, size = rows_of.truth(problem)
    z, axis = layout(problem.logits)
    rows = z.shape[:axis] + z.shape[axis + 1 :]
    target = problem.target
    placed = replace(
        target,
        indices=None if target.indices is None else target.indices.reshape(*rows, *target.indices.shape[1:]),
        mask=None if target.mask is None else layout(target.mask)[0],
        dense=None if target.dense is None else layout(target.dense)[0],
    )
    transform = replace(problem.transform, temperature=problem.transform.temperature.reshape(rows))
    found = row_statistics(z, axis, placed, transform, problem.prior, problem.requested)
    for name in found.__slots__:
        plane = getattr(found, name)
        if name != "bad_row" and plane is not None:
            assert plane.shape[: len(rows)] == rows
            setattr(found, name, plane.reshape(68, *plane.shape[len(rows) :]))
    rows_of.check(found, truth, size, EPS["float64"], layout.__name__)


@pytest.mark.parametrize("form", FORMS)
def test_one_row_expanded_over_the_batch_is_read_where_it_is(rows_of, form):
    problem = rows_of.make(form, "all", "vector", 9, 133)
    z = np.broadcast_to(problem.logits[:1], problem.logits.shape)
    assert z.strides[0] == 0
    truth, size = rows_of.truth(problem, z)
    rows_of.check(row_statistics(*problem.with_logits(z).arguments()), truth, size, EPS["float64"])


def test_what_was_not_asked_for_is_not_computed(rows_of):
    problem = rows_of.make("label", "plain", "none", 3, 5)
    found = row_statistics(problem.logits, 1, problem.target, requested=Requested())
    for name in ("log_partition", "prior_term", "dense_term", "entropy", "argmax", "rank"):
        assert getattr(found, name) is None


# --------------------------------------------------------------------------------------- rows that differ

INF = np.inf
WIDTHS = (6, 133, 4200, 9000)


def masked_row(classes, finite):
    z = np.full(classes, -INF)
    z[finite] = np.linspace(-1, 1, len(finite))
    return z


@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("place", ["front", "middle", "back"])
def test_masked_classes_contribute_nothing_wherever_they_lie(rows_of, place, dtype, classes):
    """Whole chunks of −∞ too: (−∞) − (−∞) is what turns such rows NaN elsewhere."""
    finite = np.arange(3) + {"front": 0, "middle": classes // 2, "back": classes - 3}[place]
    z = masked_row(classes, finite).astype(dtype)[None]
    problem = rows_of.make("label", "plain", "none", 1, classes)
    for j in range(3):
        found = row_statistics(z, 1, Target(indices=finite[j : j + 1]), requested=problem.requested)
        few = row_statistics(z[:, finite], 1, Target(indices=np.array([j])), requested=problem.requested)
        for name in ("log_odds", "log_partition", "entropy"):
            np.testing.assert_allclose(getattr(found, name), getattr(few, name), rtol=8 * EPS[dtype])
        assert found.argmax == finite[2]
        assert found.rank == few.rank


@pytest.mark.parametrize("classes", WIDTHS)
def test_a_masked_label_is_infinitely_unlikely_and_ranks_behind_what_is_not(classes):
    z = masked_row(classes, np.arange(3) + classes // 2)[None]
    label = classes // 2 - 1
    found = row_statistics(z, 1, Target(indices=np.array([label])), requested=Requested(rank=True))
    assert found.log_odds == INF
    assert found.rank == 3 + label  # the other masked classes tie with it


@pytest.mark.parametrize("classes", WIDTHS)
def test_the_only_class_left_is_certain(classes):
    z = masked_row(classes, np.array([classes - 1]))[None]
    found = row_statistics(z, 1, Target(indices=np.array([classes - 1])), requested=Requested(True, True))
    assert found.log_odds == -INF
    assert found.log_partition == -1
    assert found.entropy == 0


@pytest.mark.parametrize("classes", WIDTHS)
@pytest.mark.parametrize("fill", [-INF, np.nan, INF], ids=["all −inf", "nan", "+inf"])
@pytest.mark.parametrize("form", FORMS)
def test_a_row_that_makes_no_sense_is_nan_in_every_statistic_and_alone(rows_of, form, fill, classes):
    problem = rows_of.make(form, "plain", "vector", 5, classes)
    requested = replace(problem.requested, argmax=False, rank=False)
    z = problem.logits.copy()
    bad = 2 if form != "ignored" else 4  # a row that is not ignored
    z[bad, slice(None) if fill == -INF else classes - 2] = fill
    arguments = (1, problem.target, problem.transform, problem.prior, requested)
    clean, spoilt = row_statistics(problem.logits, *arguments), row_statistics(z, *arguments)
    for name in ("log_odds", "log_partition", "prior_term", "dense_term", "entropy"):
        if getattr(clean, name) is None:
            continue
        assert np.isnan(getattr(spoilt, name)[bad]).all(), name
        keep = np.arange(5) != bad
        np.testing.assert_array_equal(getattr(spoilt, name)[keep], getattr(clean, name)[keep], err_msg=name)


@pytest.mark.parametrize("classes", [6, 133])
def test_a_weight_of_zero_on_a_masked_class_is_worth_nothing(rows_of, classes):
    problem = rows_of.make("dense", "plain", "vector", 4, classes)
    z, a, r = problem.logits.copy(), problem.target.dense.copy(), problem.prior.values.copy()
    z[:, 1::3], a[:, 1::3], r[1::3] = -INF, 0, 0
    rest = np.arange(classes) % 3 != 1
    prior, few = replace(problem.prior, values=r), replace(problem.prior, values=r[rest])
    found = row_statistics(z, 1, Target(dense=a), problem.transform, prior)
    expected = row_statistics(z[:, rest], 1, Target(dense=a[:, rest]), problem.transform, few)
    np.testing.assert_allclose(found.dense_term, expected.dense_term, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(found.prior_term, expected.prior_term, rtol=1e-13)


# ---------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("several", [False, True], ids=["label", "several"])
@pytest.mark.parametrize("classes", [5, 140])
def test_a_label_outside_the_classes_makes_its_row_nan_where_it_is_not_checked(rows_of, classes, several):
    problem = rows_of.make("several" if several else "label", "plain", "uniform", 5, classes)
    requested = replace(problem.requested, argmax=False, rank=False)
    clean = row_statistics(*problem.arguments()[:-1], requested)
    for label in (-1, classes, -100, 2**40):
        y = problem.target.indices.copy()
        y[3, ...] = label
        target = replace(problem.target, indices=y)
        arguments = (target, problem.transform, problem.prior, requested)
        found = row_statistics(problem.logits, 1, *arguments, validate=False)
        for name in ("log_odds", "log_partition", "prior_term", "entropy"):
            assert np.isnan(getattr(found, name)[3]).all(), name
            keep = np.arange(5) != 3
            np.testing.assert_array_equal(getattr(found, name)[keep], getattr(clean, name)[keep])


CRASH = """
    import numpy as np
    from crossentropy._statistics import Prior, Target, row_statistics
    z, r = np.zeros((3, 5)), np.full(5, 0.2)
    for k in (1, 2):
        y = np.zeros((3, k), dtype=np.int64)
        y[1] = 2**45
        ignored = Target(y if k > 1 else y[:, 0], several=k > 1, ignore_index=2**45)
        print(row_statistics(z, 1, ignored, prior=Prior(r)).prior_term[1])
        try:
            row_statistics(z, 1, Target(y if k > 1 else y[:, 0], several=k > 1), prior=Prior(r))
        except ValueError as error:
            print("refused")
"""


def test_a_label_far_outside_the_classes_is_never_used_as_an_address():
    """Neither where it is ignored nor where it is refused; in a process of its own, since that may end it."""
    command = [sys.executable, "-c", textwrap.dedent(CRASH)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr[-2000:]}"
    assert done.stdout.split() == ["0.0", "refused"] * 2


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_error_names_the_row_and_the_label_however_many_labels_a_row_has(k):
    y = np.zeros((3, 4, k), dtype=np.int64)
    y[1, 2, k - 1] = 9
    target = Target(indices=y, several=True)
    with pytest.raises(ValueError, match=r"label 9 at row \(1, 2"):
        row_statistics(np.zeros((3, 4, 5)), 2, target)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "bool"])
def test_labels_of_any_integer_dtype_are_the_same_labels(dtype):
    z = np.random.default_rng(0).normal(size=(6, 4))
    y = np.array([0, 1, 1, 0, 1, 0])
    expected = row_statistics(z, 1, Target(indices=y)).log_odds
    np.testing.assert_array_equal(row_statistics(z, 1, Target(indices=y.astype(dtype))).log_odds, expected)


def test_a_margin_does_not_move_a_class_off_the_target(rows_of):
    """At margin m the log-odds against the label rise by m/T, and nothing else of the row moves."""
    problem = rows_of.make("label", "plain", "none", 20, 7)
    plain = row_statistics(problem.logits, 1, problem.target).log_odds
    moved = row_statistics(problem.logits, 1, problem.target, Transform(margin=0.5)).log_odds
    np.testing.assert_allclose(moved - plain, 0.5, rtol=1e-12)
