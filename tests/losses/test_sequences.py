"""Losses of tokens: shifts, masks, what a mean divides by; and labels of unknown alignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

import crossentropy as ce
from crossentropy.losses.sequences import ctc_loss, sequence_cross_entropy, sequence_log_prob

RNG = np.random.default_rng(8)
LOGITS = 2 * RNG.normal(size=(3, 5, 4))
TOKENS = RNG.integers(0, 4, size=(3, 5))
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]])


def costs(logits=LOGITS, tokens=TOKENS):
    """−log p of every token."""
    return -np.take_along_axis(log_softmax(logits, axis=-1), tokens[..., None], axis=-1)[..., 0]


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-14)


# ------------------------------------------------------------------------------------------------ shifts


def test_the_error_about_a_shifted_label_names_no_ignored_label_that_nobody_passed():
    with pytest.raises(
        ValueError, match=r"^label -1 at row \(0, 0\) is outside \[0, 4\); to leave such rows out"
    ):
        sequence_cross_entropy(LOGITS[:1, :2], np.array([[0, -1]]), shift=1)


def test_a_shift_sets_tokens_against_the_logits_of_the_steps_before():
    expected = costs(LOGITS[:, :-1], TOKENS[:, 1:])
    same(sequence_cross_entropy(LOGITS, TOKENS, shift=1, reduction="none"), expected)
    same(sequence_cross_entropy(LOGITS, TOKENS, shift=1), expected.mean())
    two = sequence_cross_entropy(LOGITS, TOKENS, shift=2)
    same(two, costs(LOGITS[:, :-2], TOKENS[:, 2:]).mean())


def test_a_mask_is_the_tokens_and_moves_with_them():
    own, kept = costs(LOGITS[:, :-1], TOKENS[:, 1:]), MASK[:, 1:]
    for mask in (MASK, MASK.astype(bool), MASK.astype(np.float32)):
        same(sequence_cross_entropy(LOGITS, TOKENS, mask=mask, shift=1), (own * kept).sum() / kept.sum())


def test_ignored_tokens_stay_ignored_under_a_shift():
    tokens = np.where(MASK == 1, TOKENS, -100)
    found = sequence_cross_entropy(LOGITS, tokens, shift=1, ignore_index=-100)
    same(found, sequence_cross_entropy(LOGITS, TOKENS, mask=MASK, shift=1))


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("label", [-100, -1, 4])
def test_no_token_is_ignored_unless_asked_for(shift, label):
    tokens = TOKENS.copy()
    tokens[1, 3] = label
    with pytest.raises(ValueError, match=f"label {label} at row"):
        sequence_cross_entropy(LOGITS, tokens, shift=shift)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64"])
def test_tokens_of_any_integer_type_can_be_shifted(dtype):
    expected = sequence_cross_entropy(LOGITS, TOKENS, shift=1)
    same(sequence_cross_entropy(LOGITS, TOKENS.astype(dtype), shift=1), expected)


def test_sequences_too_short_for_the_shift_have_nothing_to_average():
    assert float(sequence_cross_entropy(LOGITS[:, :1], TOKENS[:, :1], shift=1)) == 0
    found = sequence_cross_entropy(LOGITS[:, :1], TOKENS[:, :1], shift=1, empty="nan")
    assert np.isnan(found)


def test_the_last_logits_are_not_read_and_get_no_gradient():
    torch = pytest.importorskip("torch")
    spoilt = torch.tensor(LOGITS)
    spoilt[:, -1] = torch.nan
    spoilt.requires_grad_()
    loss = sequence_cross_entropy(spoilt, torch.tensor(TOKENS), shift=1)
    same(loss.detach(), sequence_cross_entropy(LOGITS, TOKENS, shift=1))
    loss.backward()
    assert (spoilt.grad[:, -1] == 0).all()
    assert torch.isfinite(spoilt.grad).all()


@pytest.mark.parametrize("options", [{}, {"mask": True}, {"mask": True, "normalizer": "sequence"}])
def test_a_shift_copies_no_logits(options):
    """Slices of logits would be copied by the kernels, and once more backwards to be padded."""
    torch = pytest.importorskip("torch")
    logits = torch.randn(4, 64, 1024, requires_grad=True)
    tokens = torch.randint(1024, (4, 64))
    if "mask" in options:
        options = options | {"mask": torch.rand(4, 64) < 0.5}
    with torch.profiler.profile(profile_memory=True) as found:
        sequence_cross_entropy(logits, tokens, shift=1, **options).backward()
    largest = sorted(event.self_cpu_memory_usage for event in found.events())[-2:]
    size = logits.numel() * 4
    assert largest[1] <= size * 1.01  # the gradient
    assert largest[0] <= size / 16


# ------------------------------------------------------------------------------------ what a mean divides by


def test_the_mean_over_tokens_is_not_the_mean_over_sequences():
    own = costs()
    by_token = (own * MASK).sum() / MASK.sum()
    by_sequence = np.mean((own * MASK).sum(axis=1) / MASK.sum(axis=1))
    same(sequence_cross_entropy(LOGITS, TOKENS, mask=MASK), by_token)
    same(sequence_cross_entropy(LOGITS, TOKENS, mask=MASK, normalizer="sequence"), by_sequence)
    assert abs(by_token - by_sequence) > 0.1


def test_a_sequence_without_tokens_is_none():
    mask = MASK.copy()
    mask[1] = 0
    for empty in ("zero", "nan", "raise"):
        found = sequence_cross_entropy(LOGITS, TOKENS, mask=mask, normalizer="sequence", empty=empty)
        own = (costs() * mask).sum(axis=1)[[0, 2]] / mask.sum(axis=1)[[0, 2]]
        same(found, own.mean())
    nothing = {"mask": 0 * MASK, "normalizer": "sequence"}
    assert float(sequence_cross_entropy(LOGITS, TOKENS, **nothing)) == 0
    assert np.isnan(sequence_cross_entropy(LOGITS, TOKENS, empty="nan", **nothing))


def test_ignored_tokens_are_not_among_those_of_a_sequence():
    tokens = np.where(MASK == 1, TOKENS, -100)
    found = sequence_cross_entropy(LOGITS, tokens, normalizer="sequence", ignore_index=-100)
    same(found, sequence_cross_entropy(LOGITS, TOKENS, mask=MASK, normalizer="sequence"))


def test_parts_divided_by_the_tokens_of_all_add_up_to_the_whole():
    """Means of micro-batches do not: the Trainer of Hugging Face averaged them until October 2024 (#34191)."""
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    tokens, mask = torch.tensor(TOKENS), torch.tensor(MASK)

    def loss(part, normalizer):
        return sequence_cross_entropy(
            logits[part], tokens[part], mask=mask[part], shift=1, normalizer=normalizer
        )

    whole = loss(slice(None), "token")
    total = mask[:, 1:].sum()
    parts = sum(loss(slice(n, n + 1), total) for n in range(3))
    same(parts.detach(), whole.detach())
    gradients = [torch.autograd.grad(x, logits)[0] for x in (whole, parts)]
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-13, atol=1e-17)
    of_means = sum(loss(slice(n, n + 1), "token") for n in range(3)) / 3
    assert abs(float((of_means - whole).detach())) > 0.01


def test_an_array_divides_token_by_token_and_moves_with_them():
    divisor = RNG.uniform(1, 9, size=TOKENS.shape)
    found = sequence_cross_entropy(LOGITS, TOKENS, shift=1, normalizer=divisor)
    same(found, (costs(LOGITS[:, :-1], TOKENS[:, 1:]) / divisor[:, 1:]).sum())


def test_options_of_the_softmax_are_passed_on():
    found = sequence_cross_entropy(
        LOGITS, TOKENS, label_smoothing=0.1, z_loss=1e-3, class_weight=[1, 2, 3, 4]
    )
    same(
        found,
        ce.softmax_cross_entropy(LOGITS, TOKENS, label_smoothing=0.1, z_loss=1e-3, class_weight=[1, 2, 3, 4]),
    )


def test_a_causal_loss_can_be_traced():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        arrays = map(jax.numpy.asarray, (LOGITS, TOKENS, MASK))
        loss = lambda z, y, m: sequence_cross_entropy(z, y, mask=m, shift=1, normalizer="sequence")  # noqa: E731
        same(jax.jit(loss)(*arrays), loss(LOGITS, TOKENS, MASK))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shift": 6}, ValueError, "from 0 to all 5"),
        ({"shift": -1}, ValueError, "from 0 to all 5"),
        ({"normalizer": "sentence"}, ValueError, '"token", "sequence", a number'),
        ({"normalizer": "sequence", "reduction": "sum"}, ValueError, "divides by nothing"),
        ({"normalizer": "sequence", "class_weight": np.ones(4)}, ValueError, "divisor of each token"),
        ({"mask": MASK[:, 1:], "shift": 1}, ValueError, "the first ones included"),
        ({"sample_weight": MASK}, TypeError, r"mask=mask \* sample_weight"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        sequence_cross_entropy(LOGITS, TOKENS, **options)


def test_soft_targets_are_no_tokens():
    with pytest.raises(TypeError, match="as integers"):
        sequence_cross_entropy(LOGITS, np.full(LOGITS.shape, 0.25))
    with pytest.raises(TypeError, match="slice"):
        sequence_cross_entropy(LOGITS, ce.targets.Probabilities(np.full(LOGITS.shape, 0.25)))


def test_the_log_probability_of_a_sequence_is_that_of_its_tokens_together():
    found = sequence_log_prob(LOGITS, TOKENS, MASK, shift=1)
    same(found, -(costs(LOGITS[:, :-1], TOKENS[:, 1:]) * MASK[:, 1:]).sum(axis=1))
    p = np.exp(log_softmax(LOGITS, axis=-1))
    same(np.exp(sequence_log_prob(LOGITS, TOKENS)), [p[n, np.arange(5), TOKENS[n]].prod() for n in range(3)])


# --------------------------------------------------------------------------------------------------- CTC

STEPS, SIZES = [4, 3, 5], [2, 1, 3]
SCORES = RNG.normal(size=(3, 5, 3))
WORDS = np.array([[1, 2, -1], [2, 0, 99], [1, 1, 2]])  # padded with anything


def path_costs(scores=SCORES, words=WORDS, blank=0):
    """Graves et al. 2006 by every path there is."""
    found = []
    for z, y, T, S in zip(scores, words, STEPS, SIZES, strict=True):
        log_p = log_softmax(z[:T], axis=-1)
        paths = [
            log_p[np.arange(T), path].sum()
            for path in itertools.product(range(z.shape[-1]), repeat=T)
            if [c for c, _ in itertools.groupby(path) if c != blank] == list(y[:S])
        ]
        found.append(-logsumexp(paths))
    return np.array(found)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def ctc(torch, scores=SCORES, words=WORDS, **options):
    return ctc_loss(torch.as_tensor(scores), torch.as_tensor(words), STEPS, SIZES, **options)


def test_ctc_is_the_cost_of_all_paths_together(torch):
    same(ctc(torch, reduction="none"), path_costs())
    moved = {"scores": SCORES[..., [1, 2, 0]], "words": np.where(np.isin(WORDS, (1, 2)), WORDS - 1, 7)}
    same(ctc(torch, **moved, blank=2, reduction="none"), path_costs())


def test_ctc_takes_logits_and_has_their_gradient(torch):
    """PyTorch's own is wrong for logits, or for anything but log_softmax (pytorch#52241)."""
    scores = torch.tensor(SCORES, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: ctc(torch, z, reduction="none"), scores)
    shifted = SCORES + RNG.normal(size=(3, 5, 1))
    same(ctc(torch, shifted, reduction="none"), path_costs())


def test_the_mean_of_ctc_is_over_sequences(torch):
    same(ctc(torch), path_costs().mean())
    from torch.nn.functional import ctc_loss as torchs

    log_p = torch.log_softmax(torch.tensor(SCORES), -1).transpose(0, 1)
    expected = torchs(log_p, torch.tensor(WORDS).clamp(0, 2), torch.tensor(STEPS), torch.tensor(SIZES))
    same(ctc(torch, normalizer=3 * torch.tensor(SIZES)), expected)


def test_sequences_of_weight_zero_count_nothing_whatever_they_hold(torch):
    scores, words = SCORES.copy(), WORDS.copy()
    scores[1], words[1, 0] = np.nan, 55
    z = torch.tensor(scores, requires_grad=True)
    loss = ctc(torch, z, words, sample_weight=torch.tensor([1.0, 0.0, 2.0]))
    same(loss.detach(), (path_costs()[[0, 2]] * [1, 2]).sum() / 3)
    loss.backward()
    assert (z.grad[1] == 0).all()
    assert torch.isfinite(z.grad).all()


def test_a_label_that_does_not_fit_is_infinite_unless_it_is_to_cost_nothing(torch):
    scores = torch.tensor(SCORES[:1], requires_grad=True)
    arguments = scores, torch.tensor([[1, 1, 2]]), [3], [3]  # a blank must part the equal ones
    assert torch.isinf(ctc_loss(*arguments))
    free = ctc_loss(*arguments, zero_infinity=True)
    free.backward()
    assert float(free) == 0
    assert (scores.grad == 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": np.where(WORDS == 2, 0, WORDS)}, "label 0 at row 0, place 1 .* less the blank 0"),
        ({"words": np.where(WORDS == 2, 3, WORDS)}, "label 3 at row 0"),
        ({"words": WORDS[0]}, r"pass \(N, S\)"),
        ({"blank": 3}, "the 3 classes are 0 to 2"),
        ({"scores": SCORES[0]}, r"pass \(N, T, C\)"),
        ({"scores": SCORES[:, :4]}, r"input_lengths\[2\] is 5"),
    ],
)
def test_ctc_refuses_what_cannot_be_meant(changes, message, torch):
    with pytest.raises(ValueError, match=message):
        ctc(torch, **changes)


def test_other_libraries_are_told_where_ctc_is():
    with pytest.raises(TypeError, match=r"optax\.ctc_loss"):
        ctc_loss(SCORES, WORDS, STEPS, SIZES)
