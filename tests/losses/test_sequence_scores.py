"""Log-probabilities and perplexities of sequences: sums, means, masks, and sequences without tokens."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.special import log_softmax

import crossentropy as ce
from advice import message_of, typed
from crossentropy.losses import (
    sequence_cross_entropy,
    sequence_log_prob,
    sequence_perplexity,
)
from frameworks import each_framework

RNG = np.random.default_rng(8)
LOGITS = 2 * RNG.normal(size=(3, 5, 4))
TOKENS = RNG.integers(0, 4, size=(3, 5))
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
NATS = -np.take_along_axis(log_softmax(LOGITS, axis=-1), TOKENS[..., None], axis=-1)[..., 0]
AFTER = -np.take_along_axis(log_softmax(LOGITS[:, :-1], axis=-1), TOKENS[:, 1:, None], axis=-1)[..., 0]


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-13)


# ------------------------------------------------------------------------------------------ log-probabilities


@each_framework
def test_the_mean_log_probability_is_over_the_tokens_that_count(fw):
    z, y, m = fw.own(LOGITS), fw.own(TOKENS), fw.own(MASK)
    expected = [-NATS[0].mean(), -NATS[1, 1:3].mean(), 0]
    same(fw.numpy(sequence_log_prob(z, y, m, reduction="mean")), expected)
    ignored = fw.own(np.where(MASK == 1, TOKENS, -100))
    same(fw.numpy(sequence_log_prob(z, ignored, reduction="mean", ignore_index=-100)), expected)
    shifted = [-AFTER[0].mean(), -AFTER[1, :2].mean(), 0]
    same(fw.numpy(sequence_log_prob(z, y, m, shift=1, reduction="mean")), shifted)
    weights = np.array([[0.5, 2, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 3]])
    expected = -(NATS * weights).sum(axis=1) / weights.sum(axis=1)
    same(fw.numpy(sequence_log_prob(z, y, fw.own(weights), reduction="mean")), expected)


def test_a_sequence_without_tokens_has_the_log_probability_zero_and_no_gradient():
    torch = pytest.importorskip("torch")
    for reduction in ("sum", "mean"):
        z = torch.tensor(LOGITS, requires_grad=True)
        found = sequence_log_prob(z, torch.tensor(TOKENS), torch.tensor(MASK), reduction=reduction)
        found.sum().backward()
        assert found[2] == 0
        assert torch.isfinite(z.grad).all()
        assert (z.grad[2] == 0).all()
        assert (z.grad[0] != 0).all()


def test_the_mean_has_its_gradient_compiled_too():
    torch = pytest.importorskip("torch")
    y, m = torch.tensor(TOKENS), torch.tensor(MASK)

    def loss(z):
        return sequence_log_prob(z, y, m, shift=1, reduction="mean")

    z = torch.tensor(LOGITS, requires_grad=True)
    assert torch.autograd.gradcheck(loss, z)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    same(compiled(z).detach(), loss(z).detach())


def test_preferences_can_be_normalized_by_length():
    """SimPO's rewards are means; ours of a preference whose masks are empty is no NaN."""
    torch = pytest.importorskip("torch")
    chosen, rejected = (torch.tensor(LOGITS, requires_grad=True) for _ in range(2))
    y, m = torch.tensor(TOKENS), torch.tensor(MASK)
    means = [sequence_log_prob(z, y, m, reduction="mean") for z in (chosen, rejected.flip(-1))]
    zero = torch.zeros(3, dtype=torch.float64)
    ce.losses.dpo_loss(*means, zero, zero, beta=2.0).backward()
    assert torch.isfinite(chosen.grad).all()


def test_a_reduction_that_is_none_of_these_is_refused_and_its_fix_gives_each_token():
    message = message_of(ValueError, "f(z, y, reduction='none')", f=sequence_log_prob, z=LOGITS, y=TOKENS)
    each = typed(
        message,
        r"minus (sequence_cross_entropy\(.*\))",
        sequence_cross_entropy=sequence_cross_entropy,
        logits=LOGITS,
        labels=TOKENS,
    )
    same(each, NATS)


# ----------------------------------------------------------------------------------------------- perplexities


@each_framework
def test_perplexity_is_over_all_tokens_or_over_those_of_each_sequence(fw):
    z, y, m = fw.own(LOGITS), fw.own(TOKENS), fw.own(MASK)
    same(fw.numpy(sequence_perplexity(z, y)), math.exp(NATS.mean()))
    same(fw.numpy(sequence_perplexity(z, y, reduction="none")), np.exp(NATS.mean(axis=1)))
    kept = NATS[MASK == 1]
    same(fw.numpy(sequence_perplexity(z, y, m)), math.exp(kept.mean()))
    ignored = fw.own(np.where(MASK == 1, TOKENS, -100))
    same(fw.numpy(sequence_perplexity(z, ignored, ignore_index=-100)), math.exp(kept.mean()))
    same(fw.numpy(sequence_perplexity(z, y, shift=1)), math.exp(AFTER.mean()))
    rows = sequence_perplexity(z[:2], y[:2], m[:2], shift=1, reduction="none")
    same(fw.numpy(rows), np.exp([AFTER[0].mean(), AFTER[1, :2].mean()]))
    uneven = np.array([[1.0, 0, 1, 1, 0], [1, 1, 0, 0, 0]])  # the first token has no logits
    rows = sequence_perplexity(z[:2], y[:2], fw.own(uneven), shift=1, reduction="none")
    same(fw.numpy(rows), np.exp([AFTER[0, 1:3].mean(), AFTER[1, 0]]))
    channels_first = sequence_perplexity(fw.own(np.moveaxis(LOGITS, -1, 1)), y, axis=1)
    same(fw.numpy(channels_first), math.exp(NATS.mean()))


def test_perplexity_is_that_of_the_text_and_not_a_mean_of_perplexities():
    p = sequence_perplexity(LOGITS, TOKENS, reduction="none")
    assert abs(float(sequence_perplexity(LOGITS, TOKENS)) - p.mean()) > 0.1


def test_one_sequence_needs_no_batch():
    same(sequence_perplexity(LOGITS[0], TOKENS[0]), math.exp(NATS[0].mean()))
    assert sequence_perplexity(LOGITS[0], TOKENS[0], reduction="none").shape == ()


@each_framework
def test_the_perplexity_of_no_tokens_is_nan_with_a_warning(fw):
    z, y, m = fw.own(LOGITS), fw.own(TOKENS), fw.own(MASK)
    with pytest.warns(UserWarning, match="sequence_perplexity is NaN where no token counts") as caught:
        found = fw.numpy(sequence_perplexity(z, y, m, reduction="none"))
    assert caught[0].filename == __file__
    assert np.isnan(found).tolist() == [False, False, True]
    for nothing in (
        {"mask": fw.own(0 * MASK)},
        {"ignore_index": 7, "labels": fw.own(np.full_like(TOKENS, 7))},
        {"shift": 5},
    ):
        with pytest.warns(UserWarning, match="no token counts"):
            assert np.isnan(fw.numpy(sequence_perplexity(z, **{"labels": y, **nothing})))
    with pytest.warns(UserWarning, match="no token counts"):
        assert np.isnan(fw.numpy(sequence_perplexity(z[:0], y[:0])))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_hopeless_model_has_infinite_perplexity_without_a_warning(dtype):
    z = np.array([[0.0, 2000.0]], dtype=dtype)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        assert sequence_perplexity(z, np.array([0])) == np.inf
        assert sequence_perplexity(z, np.array([1])) == 1
        z = np.array([[0.0, 80.0]], dtype=dtype)
        assert sequence_perplexity(z, np.array([0])) == pytest.approx(math.exp(80), rel=1e-6)


def test_perplexity_of_float32_logits_is_float32_and_as_exact():
    z = LOGITS.astype("f4")
    nats = -np.take_along_axis(log_softmax(z.astype(float), axis=-1), TOKENS[..., None], axis=-1)
    found = sequence_perplexity(z, TOKENS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, math.exp(nats.mean()), rtol=2e-7)


def test_perplexity_has_a_gradient_compiled_too_and_none_of_nothing():
    torch = pytest.importorskip("torch")
    z = torch.tensor(LOGITS, requires_grad=True)
    y, m = torch.tensor(TOKENS), torch.tensor(MASK)
    assert torch.autograd.gradcheck(lambda z: sequence_perplexity(z[:2], y[:2], m[:2], reduction="none"), z)
    compiled = torch.compile(sequence_perplexity, fullgraph=True, backend="eager")
    same(compiled(z, y, m).detach(), sequence_perplexity(z, y, m).detach())
    with pytest.warns(UserWarning, match="no token counts"):
        sequence_perplexity(z, y, m, reduction="none").sum().backward()
    assert torch.isfinite(z.grad).all()


def test_jax_traces_and_differentiates_them():
    jax = pytest.importorskip("jax")
    z, y, m = (jax.numpy.asarray(x) for x in (LOGITS.astype("f4"), TOKENS, MASK))

    def loss(z):
        return sequence_perplexity(z, y, m) + sequence_log_prob(z, y, m, reduction="mean").sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(z)
    kept = NATS[MASK == 1].mean()
    np.testing.assert_allclose(value, math.exp(kept) - NATS[0].mean() - NATS[1, 1:3].mean(), rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert (gradient[2] == 0).all()


def test_perplexity_of_distributions_names_that_of_logits_and_labels():
    p = np.exp(log_softmax(LOGITS, axis=-1))
    for values in (LOGITS, p):
        message = message_of(TypeError, "ce.perplexity(z, y)", ce=ce, z=values, y=TOKENS)
        found = typed(
            message, r"crossentropy\.losses\.sequence_perplexity\(logits, labels\)",
            crossentropy=ce, logits=LOGITS, labels=TOKENS,
        )  # fmt: skip
        same(found, math.exp(NATS.mean()))


def test_a_reduction_of_perplexities_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="for each sequence"):
        sequence_perplexity(LOGITS, TOKENS, reduction="sum")


# ------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mask": -MASK}, "mask goes down to -1"),
        ({"mask": -MASK, "normalizer": "sequence"}, "mask goes down to -1"),
        ({"mask": MASK[:, :4]}, r"mask has shape \(3, 4\) but labels have shape \(3, 5\)"),
        ({"mask": MASK[:, :4], "labels": TOKENS[:, :4]}, r"labels have shape \(3, 4\), but logits"),
        (
            {"mask": MASK, "axis": 1},
            r"labels have shape \(3, 5\), but logits of shape \(3, 5, 4\) with class axis 1",
        ),
        (
            {"mask": MASK[:, :4], "labels": TOKENS[:, :4], "shift": 1},
            r"labels have shape \(3, 4\), but logits",
        ),
        ({"mask": np.ma.masked_array(MASK)}, "mask"),
        ({"mask": {"a": 1}}, "mask"),
        ({"mask": "no"}, "mask"),
        ({"mask": MASK * 1j}, "mask"),
    ],
)
def test_what_is_wrong_with_a_mask_is_said_of_the_mask(arguments, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        sequence_cross_entropy(LOGITS, **{"labels": TOKENS, **arguments})
    assert "sample_weight" not in str(caught.value)


def test_a_negative_mask_has_a_sum_and_a_number_to_divide_by():
    same(sequence_cross_entropy(LOGITS, TOKENS, mask=-MASK, reduction="sum"), -(NATS * MASK).sum())
    same(sequence_cross_entropy(LOGITS, TOKENS, mask=-MASK, normalizer=7.0), -(NATS * MASK).sum() / 7)
