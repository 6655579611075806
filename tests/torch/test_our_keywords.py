"""The keywords PyTorch does not have: the same as those of `crossentropy.softmax_cross_entropy` along axis 1."""

import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402
from crossentropy import links, targets  # noqa: E402

SHAPE = (4, 5, 3)
ROWS = (4, 3)


def random(shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logits():
    return random(SHAPE, 0).sub(0.5).mul(8).requires_grad_()


def labels():
    return torch.randint(0, 5, ROWS, generator=torch.Generator().manual_seed(1))


def distribution(shape=(5,), axis=0, seed=2):
    return torch.softmax(random(shape, seed), axis)


KEYWORDS = {
    "smoothing_prior": {"label_smoothing": 0.2, "smoothing_prior": distribution()},
    "sample_weight": {"sample_weight": random(ROWS, 3).round()},
    "temperature": {"temperature": 0.7},
    "temperature of rows": {"temperature": random(ROWS, 4).add(0.5)},
    "softcap": {"softcap": 3.0},
    "logit_bias": {"logit_bias": random(5, 5)},
    "margin": {"margin": 0.4},
    "margins of classes": {"margin": random(5, 6)},
    "z_loss": {"z_loss": 1e-2},
    "entropy_bonus": {"entropy_bonus": 0.1},
    "focal": {"link": links.Focal(2.0)},
    "count": {"normalizer": "count", "sample_weight": random(ROWS, 7)},
    "number": {"normalizer": 17.0},
    "divisors": {"normalizer": random(ROWS, 8).add(1)},
    "several": {"temperature": 2.0, "z_loss": 0.1, "softcap": 9.0, "sample_weight": random(ROWS, 9)},
}
TARGETS = {
    "indices": labels,
    "OneHot": lambda: targets.OneHot(torch.nn.functional.one_hot(labels(), 5).movedim(-1, 1)),
    "Probabilities": lambda: targets.Probabilities(distribution(SHAPE, 1)),
    "Sparse": lambda: targets.Sparse(
        torch.stack([labels(), labels().flip(0)], -1), distribution((*ROWS, 2), -1)
    ),
    "LabelSet": lambda: targets.LabelSet(random(SHAPE, 10).argsort(1) < 2),
}
each_keyword = pytest.mark.parametrize("options", KEYWORDS.values(), ids=KEYWORDS)
each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def both(target, **options):
    """Value and gradient through the face, and from the function behind it."""
    for loss in (ct.cross_entropy, lambda *a, **k: ce.softmax_cross_entropy(*a, axis=1, **k)):
        z = logits()
        value = loss(z, target, **options)
        yield value.detach(), torch.autograd.grad(value, z, torch.ones_like(value))[0]


def assert_identical(target, **options):
    (value, gradient), (expected, slope) = both(target, **options)
    assert value.equal(expected)
    assert gradient.equal(slope)


@each_keyword
def test_a_keyword_is_that_of_the_function_behind_the_face(options):
    assert_identical(labels(), **options)


@each_keyword
def test_a_keyword_holds_beside_an_ignored_label(options):
    y = labels()
    y[0] = -100
    (value, gradient), (expected, slope) = (
        next(both(y, **options)),
        list(both(y, ignore_index=-100, **options))[1],
    )
    assert value.equal(expected)
    assert gradient.equal(slope)
    assert not gradient[0].any()


@each_target
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_every_form_of_target(target, reduction):
    assert_identical(target(), reduction=reduction)


@each_target
def test_the_mean_of_every_form_of_target_with_our_denominator(target):
    assert_identical(target(), normalizer="count")


@pytest.mark.parametrize("normalizer", ["weight", "count"])
def test_our_denominators_of_class_probabilities(normalizer):
    t, w = distribution(SHAPE, 1), random(5, 11).add(0.5)
    z = logits()
    value = ct.cross_entropy(z, t, w, normalizer=normalizer)
    expected = ce.softmax_cross_entropy(z, t, axis=1, class_weight=w, normalizer=normalizer)
    assert value.equal(expected)


def test_torchs_mean_of_probabilities_counts_rows_without_sample_weight():
    ω = random(ROWS, 12).round()
    t = distribution(SHAPE, 1)
    each = ct.cross_entropy(logits(), t, sample_weight=ω, reduction="none")
    torch.testing.assert_close(ct.cross_entropy(logits(), t, sample_weight=ω), each.sum() / ω.numel())


@pytest.mark.parametrize("empty", ["zero", "nan"])
def test_what_the_mean_of_nothing_is(empty):
    y = torch.full(ROWS, -100)
    z = logits()
    value = ct.cross_entropy(z, y, empty=empty)
    expected = ce.softmax_cross_entropy(z, y, axis=1, ignore_index=-100, empty=empty)
    torch.testing.assert_close(value, expected, equal_nan=True, rtol=0, atol=0)


def test_no_label_is_ignored_if_none_is_to_be():
    y = labels()
    y[0, 0] = -100
    with pytest.raises(ValueError, match="-100"):
        ct.cross_entropy(logits(), y, ignore_index=None)
    with pytest.raises(ValueError, match="-100"):
        ct.nll_loss(logits().log_softmax(1), y, ignore_index=None)


def test_soft_targets_have_no_label_to_ignore():
    soft = logits().softmax(1)
    expected = torch.nn.functional.cross_entropy(logits(), soft)
    torch.testing.assert_close(ct.cross_entropy(logits(), soft, ignore_index=None), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_the_cross_entropy_with_its_link(gamma, reduction):
    z, w = logits(), random(5, 13)
    value = ct.focal_loss(z, labels(), gamma, w, ignore_index=2, reduction=reduction)
    expected = ce.softmax_cross_entropy(
        z, labels(), axis=1, link=links.Focal(gamma), class_weight=w, ignore_index=2, reduction=reduction
    )
    assert value.equal(expected)


def test_the_focal_loss_takes_the_other_keywords():
    z = logits()
    value = ct.focal_loss(z, labels(), 1.0, temperature=2.0, label_smoothing=0.1)
    expected = ce.softmax_cross_entropy(
        z, labels(), axis=1, link=links.Focal(1.0), temperature=2.0, label_smoothing=0.1
    )
    assert value.equal(expected)


def test_the_focal_loss_takes_no_other_link_and_names_what_does():
    for call in (lambda **x: ct.focal_loss(logits(), labels(), **x)), ct.FocalLoss:
        with pytest.raises(TypeError, match=r"(?i)has no option link, which it sets .*; cross_?entropy"):
            call(link=links.Poly(1.0))


@pytest.mark.parametrize("name", ["temperature", "logit_bias", "margin", "sample_weight"])
def test_gradients_flow_to_our_keywords(name):
    x = random({"temperature": (), "logit_bias": 5, "margin": (), "sample_weight": ROWS}[name], 14)
    x = x.add(0.5).requires_grad_()
    value = ct.cross_entropy(logits(), labels(), **{name: x})
    expected = ce.softmax_cross_entropy(logits(), labels(), axis=1, **{name: x})
    assert torch.autograd.grad(value, x)[0].equal(torch.autograd.grad(expected, x)[0])
    assert torch.autograd.grad(ct.cross_entropy(logits(), labels(), **{name: x}), x)[0].any()


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1},
        {"link": links.Focal(2.0)},
        {"link": links.Focal(1.0), "negative_link": links.Focal(4.0), "negative_shift": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_keywords_of_binary_logits(options, weighted):
    z, t = logits(), random(SHAPE, 15).round()
    weights = {"pos_weight": torch.tensor([1.0, 2.0, 3.0])} if weighted else {}
    value = ct.binary_cross_entropy_with_logits(z, t, **weights, **options)
    expected = ce.sigmoid_cross_entropy(z, t, normalizer="count", **weights, **options)
    assert value.equal(expected)


def test_inplace_writes_the_gradient_over_the_logits():
    z = random((64, 5), 16).requires_grad_()
    plain = torch.autograd.grad(ct.cross_entropy(z, torch.arange(64) % 5), z)[0]
    scores = z * 1
    (gradient,) = torch.autograd.grad(ct.cross_entropy(scores, torch.arange(64) % 5, inplace=True), scores)
    assert gradient.equal(plain)
    assert gradient.data_ptr() == scores.data_ptr()


@pytest.mark.parametrize("name", ["axis", "class_weight", "warns"])
def test_a_keyword_of_another_function_is_refused(name):
    z, y = logits(), labels()
    with pytest.raises(TypeError, match=f"^cross_entropy has no argument {name}"):
        ct.cross_entropy(z, y, **{name: None})
    with pytest.raises(TypeError, match=f"^linear_cross_entropy has no argument {name}"):
        ct.linear_cross_entropy(z[:, :, 0], z[0].T, y[:, 0] % 3, **{name: None})
