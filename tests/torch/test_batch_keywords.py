"""What belongs to a batch goes to the call of every module: weights of rows, and what a mean divides by."""

import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from loss_modules import CASES, LABELS, LOGITS, YES  # noqa: E402

F = torch.nn.functional
W = torch.tensor([1.0, 0.5, 2.0, 3.0], dtype=torch.float64)
Y = YES.double()
OF_ROWS = torch.tensor([1.0, 0.0, 2.5, 0.5, 3.0], dtype=torch.float64)
LINEAR = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def head():
    module = ct.LinearCrossEntropyLoss(4, 4, weight=W).double()
    with torch.no_grad():
        module.linear.weight.copy_(LINEAR)
    return module


def nll(z):
    return F.nll_loss(z, LABELS, W, reduction="none"), W[LABELS]


def bce(z):
    return F.binary_cross_entropy_with_logits(z, Y, W, reduction="none"), None


#: module, its input, target, and by torch alone: each loss, and what torch's mean counts it as (None: 1)
TORCHS = {
    "CrossEntropyLoss": (lambda: ct.CrossEntropyLoss(W), LOGITS, LABELS, lambda: nll(LOGITS.log_softmax(1))),
    "NLLLoss": (lambda: ct.NLLLoss(W), LOGITS.log_softmax(1), LABELS, lambda: nll(LOGITS.log_softmax(1))),
    "LinearCrossEntropyLoss": (head, LOGITS, LABELS, lambda: nll((LOGITS @ LINEAR.T).log_softmax(1))),
    "BCEWithLogitsLoss": (lambda: ct.BCEWithLogitsLoss(W), LOGITS, Y, lambda: bce(LOGITS)),
    "BCEWithLogitsLoss with pos_weight of elements": (
        lambda: ct.BCEWithLogitsLoss(W, pos_weight=torch.ones(5, 4).double()),
        LOGITS,
        Y,
        lambda: bce(LOGITS),
    ),
    "BCELoss": (lambda: ct.BCELoss(W), LOGITS.sigmoid(), Y, lambda: bce(LOGITS)),
    "MultiLabelSoftMarginLoss": (
        lambda: ct.MultiLabelSoftMarginLoss(W),
        LOGITS,
        Y,
        lambda: (bce(LOGITS)[0].mean(-1), None),
    ),
}
each_module = pytest.mark.parametrize("name", TORCHS)
each_named = pytest.mark.parametrize(
    "name", [n for n in CASES if n not in ("HardExampleLoss", "DiscriminatorLoss")]
)


def weighed(losses, weights):
    """Of each element or row, with weights of rows."""
    return losses * weights.reshape(weights.shape + (1,) * (losses.ndim - weights.ndim))


@each_module
@pytest.mark.parametrize("divisor", [7, 7.0, torch.tensor(7.0)], ids=repr)
def test_a_call_says_what_its_mean_divides_by(name, divisor):
    make, z, t, truth = TORCHS[name]
    torch.testing.assert_close(make()(z, t, normalizer=divisor), truth()[0].sum() / 7)


@each_module
def test_what_a_call_says_comes_before_what_the_module_says_and_none_is_nothing(name):
    make, z, t, _ = TORCHS[name]
    module = make()
    plain = module(z, t)
    assert module(z, t, normalizer=None, sample_weight=None).equal(plain)
    module.normalizer = 3.0
    assert module(z, t, normalizer=None).equal(module(z, t, normalizer=3.0))
    assert not module(z, t, normalizer=4.0).isclose(module(z, t))


@each_module
def test_the_words_for_denominators(name):
    make, z, t, truth = TORCHS[name]
    losses, counted = truth()
    torch.testing.assert_close(make()(z, t, normalizer="count"), losses.mean())
    masses = W.expand_as(losses) if counted is None and losses.ndim > 1 else counted
    expected = losses.mean() if masses is None else losses.sum() / masses.sum()
    torch.testing.assert_close(make()(z, t, normalizer="weight"), expected)


@each_module
def test_a_sum_has_no_denominator(name):
    make, z, t, _ = TORCHS[name]
    module = make()
    module.reduction = "sum"
    with pytest.raises(ValueError, match="normalizer is 7"):
        module(z, t, normalizer=7)


@each_module
def test_weights_of_rows_go_to_the_call(name):
    make, z, t, truth = TORCHS[name]
    losses, counted = truth()
    each = weighed(losses, OF_ROWS)
    total = torch.tensor(float(losses.numel())) if counted is None else (counted * OF_ROWS).sum()
    torch.testing.assert_close(make()(z, t, sample_weight=OF_ROWS), each.sum() / total)
    module = make()
    module.reduction = "none"
    torch.testing.assert_close(module(z, t, sample_weight=OF_ROWS), each)


@each_module
def test_a_row_without_weight_counts_nothing_whatever_stands_there(name):
    make, z, t, truth = TORCHS[name]
    bad, marked = z.clone(), t.clone()
    bad[1] = torch.nan
    if t.is_floating_point():
        marked[1] = 77
    bad.requires_grad_()
    value = make()(bad, marked, sample_weight=OF_ROWS, normalizer=1.0)
    torch.testing.assert_close(value, weighed(truth()[0], OF_ROWS).sum())
    (gradient,) = torch.autograd.grad(value, bad)
    assert gradient.isfinite().all()
    assert not gradient[1].any()


@each_module
def test_weights_of_rows_have_a_gradient(name):
    make, z, t, truth = TORCHS[name]
    weights = OF_ROWS.clone().requires_grad_()
    (found,) = torch.autograd.grad(make()(z, t, sample_weight=weights, normalizer=1.0), weights)
    losses = truth()[0]
    torch.testing.assert_close(found, losses.reshape(5, -1).sum(-1))


@each_module
def test_weights_of_another_shape_are_refused_under_their_name(name):
    make, z, t, _ = TORCHS[name]
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\); pass .*\(5,\)"):
        make()(z, t, sample_weight=torch.ones(3))


@each_module
@pytest.mark.parametrize("word", ["weight", "count"])
def test_a_word_for_the_denominator_is_not_blamed_for_another_error(word, name):
    make, z, t, _ = TORCHS[name]
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\); pass .*\(5,\)"):
        make()(z, t, sample_weight=torch.ones(3), normalizer=word)


@pytest.mark.parametrize("name", [n for n in TORCHS if "elements" not in n])
def test_parts_of_a_batch_add_up(name):
    make, z, t, truth = TORCHS[name]
    module = make()
    parts = sum(module(z[rows], t[rows], normalizer=5) for rows in (slice(0, 1), slice(1, 3), slice(3, 5)))
    torch.testing.assert_close(parts, truth()[0].sum() / 5)


@each_named
def test_a_named_loss_takes_the_denominator_of_a_batch(name):
    _, settings, inputs, keywords = CASES[name]
    settings = {n: x for n, x in settings.items() if n not in ("reduction", "normalizer")}
    kind = getattr(ct, name)
    total = kind(**settings, reduction="sum").double()(*inputs, **keywords)
    mean = kind(**settings).double()
    torch.testing.assert_close(mean(*inputs, **keywords, normalizer=7), total / 7)
    torch.testing.assert_close(
        mean(*inputs, **keywords, normalizer=None), mean(*inputs, **keywords), rtol=0, atol=0
    )


def test_a_loss_of_two_means_names_what_a_call_takes():
    with pytest.raises(TypeError, match="a call takes real_logits, fake_logits, real_weight, fake_weight"):
        ct.DiscriminatorLoss()(LOGITS[0], LOGITS[1], normalizer=3)
