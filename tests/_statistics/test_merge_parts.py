"""Parts of rows, each worked out by the definitions, merge to the statistics of the whole rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossentropy._statistics import Prior, Requested, Target, Transform, row_statistics
from crossentropy._statistics.log_sum import LogSumExp, logaddexp
from crossentropy._statistics.merge import ShardStatistics, merge

INF, NAN = np.inf, np.nan
FORMS = ("label", "several", "set", "dense")
WANTED = Requested(log_partition=True, entropy=True, argmax=True)
bounded = settings(derandomize=True, max_examples=150, deadline=None, database=None)


def shifted_sum(u: np.ndarray, scale: Any) -> tuple[np.ndarray, np.ndarray]:
    """``(top, rest)`` of rows before their scale, the first of the largest left out of the sum."""
    if u.shape[1] == 0:
        return np.full(len(u), -INF), np.zeros(len(u))
    rows, first = np.arange(len(u)), np.where(np.isnan(u), -INF, u).argmax(axis=1)
    top = np.where(np.isnan(u[rows, first]), -INF, u[rows, first])
    others = u.copy()
    others[rows, first] = np.where(np.isnan(u[rows, first]), NAN, -INF)
    base = np.where(np.isinf(top), 0, top)
    rest = np.exp((others - base[:, None]) * np.broadcast_to(scale, len(u))[:, None]).sum(axis=1)
    return top, rest


def part_of(problem: SimpleNamespace, classes: slice) -> ShardStatistics:
    """What is known of some of the classes."""
    z, scale, rows = problem.logits[:, classes], problem.scale, len(problem.logits)
    n = np.arange(problem.logits.shape[1])[classes]
    margin = 0.0 if problem.margin is None else problem.margin
    part = ShardStatistics(None, None)
    on = np.zeros(z.shape, dtype=bool)
    if problem.form in ("label", "several"):
        y = problem.target.indices if problem.form == "several" else problem.target.indices[:, None]
        hit = y[:, :, None] == n
        on = hit.any(axis=1)
        part.own = np.where(hit, np.where(hit, z[:, None, :], 0), 0).sum(axis=2)
        if problem.margin is not None:
            part.margin = np.where(hit.any(axis=2), margin, 0.0)
    elif problem.form == "set":
        on = problem.target.mask[:, classes]
    high = np.where(np.isnan(z), -INF, z).max(axis=1)
    part.peak = np.where(np.isinf(high), 0, high)
    part.top, part.rest = shifted_sum(np.where(on, -INF, z), scale)
    if problem.form == "set":  # a label's margin comes off what is near, a set's is rounded into its u
        part.set_top, part.set_rest = shifted_sum(np.where(on, z - margin, -INF), scale)
        u = np.where(on, z - margin, z) - part.peak[:, None]
    else:
        u = np.where(on, z - part.peak[:, None] - margin, z - part.peak[:, None])
    top, rest = shifted_sum(u, scale)
    to = np.where(np.isinf(top), 0, top)
    empty = (top == -INF) & (rest == 0)
    part.L_above_peak = np.where(empty, -INF, np.where(top == INF, NAN, to * scale + np.log1p(rest)))
    below = np.log1p(rest)[:, None] - (u - to[:, None]) * np.broadcast_to(scale, rows)[:, None]

    def weighted(w: np.ndarray) -> np.ndarray:
        return np.where(w == 0, np.where(np.isnan(below), NAN, 0), w * below).sum(axis=1)

    part.entropy = np.where(empty, 0, weighted(np.where(empty[:, None], 0, np.exp(-below))))
    if problem.prior is not None:
        r = np.broadcast_to(problem.prior.values[classes], z.shape)
        part.prior_term, part.prior_total = weighted(r), np.asarray(r[0].sum() if rows else 0.0)
    if problem.form == "dense":
        a = problem.target.dense[:, classes]
        part.dense_term, part.dense_total = weighted(a), a.sum(axis=1)
    seen = np.where(np.isnan(u), -INF, u)
    part.best, part.argmax = seen.max(axis=1) + part.peak, seen.argmax(axis=1) + classes.start
    return part


@st.composite
def problems(draw: st.DrawFn) -> SimpleNamespace:
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    form, rows, C = draw(st.sampled_from(FORMS)), 4, sum(sizes)
    ends = np.cumsum(sizes)
    slices = [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]
    z = rng.normal(size=(rows, C)) * draw(st.sampled_from([0.1, 3.0, 40.0]))
    z += draw(st.sampled_from([0.0, 1e6, -1e6]))
    hazard = draw(st.sampled_from(["none", "ties", "a part of −∞", "−∞", "∞", "NaN", "all −∞"]))
    if hazard == "ties":
        z = np.round(z)
    elif hazard == "a part of −∞":
        z[:, slices[rng.integers(len(slices))]] = -INF
    elif hazard == "all −∞":
        z[1] = -INF
    elif hazard != "none":
        z[1, rng.integers(C)] = {"−∞": -INF, "∞": INF, "NaN": NAN}[hazard]
    labels = rng.integers(0, C, size=(rows, 3))
    ignore = draw(st.sampled_from([None, -100, 0]))
    labels[2:3] = labels[2:3] if ignore is None else ignore
    dense = form == "dense"
    margin = None if dense else draw(st.sampled_from([None, 0.5]))
    values = rng.uniform(-0.2, 1, size=C) * (rng.random(C) < 0.8)
    masses = rng.normal(size=(rows, C)) * (rng.random((rows, C)) < 0.7)
    values[0] = masses[:, 0] = 0.5  # of a row without sense nothing times 0 is asked
    temperature = draw(st.sampled_from([1.0, 0.5, rng.uniform(0.5, 2, size=rows)]))
    smoothed = draw(st.booleans()) and form != "set"
    targets = {
        "label": lambda: Target(indices=labels[:, 0], ignore_index=ignore),
        "several": lambda: Target(indices=labels, several=True, ignore_index=ignore),
        "set": lambda: Target(mask=rng.random((rows, C)) < 0.4),
        "dense": lambda: Target(dense=masses),
    }
    return SimpleNamespace(
        logits=z,
        form=form,
        slices=slices,
        target=targets[form](),
        margin=margin,
        transform=Transform(temperature=temperature, margin=margin),
        scale=1 / np.asarray(temperature),
        prior=Prior(values) if smoothed else None,
    )


@bounded
@given(problems())
def test_parts_merge_to_the_statistics_of_the_whole_row(problem):
    with np.errstate(all="ignore"):
        parts = [part_of(problem, classes) for classes in problem.slices]
        found = merge(parts, problem.target, problem.logits.shape[1], problem.scale, log_partition=True)
        whole = row_statistics(
            problem.logits, 1, problem.target, problem.transform, problem.prior, WANTED, validate=False
        )
    for name in (
        "log_odds",
        "log_partition",
        "L_above_top",
        "prior_term",
        "dense_term",
        "dense_total",
        "entropy",
    ):
        expected, got = getattr(whole, name), getattr(found, name)
        if name == "entropy" or expected is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12, err_msg=name)
        elif name != "L_above_top":
            assert got is None
    # Of rows that make no sense the kernels leave the place of the largest logit to chance.
    sense = np.isfinite(whole.log_partition)
    np.testing.assert_array_equal(found.argmax[sense], whole.argmax[sense])
    np.testing.assert_allclose(found.rest[sense], whole.rest[sense], rtol=1e-12)
    if problem.target.indices is not None:  # by which a gradient knows
        np.testing.assert_array_equal(np.isnan(found.rest), np.isnan(whole.rest))


def confident(odds: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """A row whose label, in the first of two parts, is that far above all others."""
    z = np.array([[odds, 0.0, -1.0, -2.0, 0.5, -3.0]]) + offset
    return z, np.array([0])


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6])
def test_a_confident_row_keeps_its_digits_at_any_distance_from_zero(offset):
    z, y = confident(70.0, offset)
    problem = SimpleNamespace(
        logits=z, form="label", target=Target(indices=y), margin=None, scale=np.asarray(1.0), prior=None
    )
    found = merge([part_of(problem, slice(0, 2)), part_of(problem, slice(2, 6))], problem.target, 6)
    loss, rest = np.log1p(np.exp(found.log_odds)), np.exp(z[0, 1:] - z[0, 0])
    np.testing.assert_allclose(loss, rest.sum(), rtol=1e-13)
    np.testing.assert_allclose(found.entropy, (rest * (1 - np.log(rest))).sum(), rtol=1e-13)


def test_soft_targets_on_a_confident_class_keep_their_digits():
    z, _ = confident(70.0, 1e6)
    problem = SimpleNamespace(
        logits=z,
        form="dense",
        target=Target(dense=np.eye(6)[:1]),
        margin=None,
        scale=np.asarray(1.0),
        prior=None,
    )
    found = merge([part_of(problem, slice(0, 2)), part_of(problem, slice(2, 6))], problem.target, 6)
    np.testing.assert_allclose(found.dense_term, np.exp(z[0, 1:] - z[0, 0]).sum(), rtol=1e-13)


def test_a_label_outside_the_classes_is_nan_and_an_ignored_one_certain():
    z = np.random.default_rng(0).normal(size=(3, 4))
    target = Target(indices=np.array([1, 4, -1]), ignore_index=-1)
    problem = SimpleNamespace(
        logits=z, form="label", target=target, margin=None, scale=np.asarray(1.0), prior=Prior(np.ones(4))
    )
    found = merge([part_of(problem, slice(0, 2)), part_of(problem, slice(2, 4))], target, 4)
    for name in ("log_odds", "top", "rest", "L_above_top", "prior_term", "entropy"):
        plane = getattr(found, name)
        assert np.isfinite(plane[0]), name
        assert np.isnan(plane[1]), name
        assert plane[2] == (-INF if name == "log_odds" else 0), name
    assert found.argmax[2] == -1


def test_the_order_of_two_sums_says_nothing_and_an_empty_one_adds_nothing():
    a, b = LogSumExp(np.array([2.0]), np.array([0.3])), LogSumExp(np.array([-1.0]), np.array([0.1]))
    nothing = LogSumExp(np.array([-INF]), np.array([0.0]))
    assert logaddexp(a, b) == logaddexp(b, a)
    assert logaddexp(a, nothing) == a == logaddexp(nothing, a)
    assert logaddexp(nothing, nothing) == nothing
