"""`binary_log_loss`: probabilities of labels of which several can be true."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import crossentropy as ce
import oracle
from advice import message_of, typed
from crossentropy.losses import binary_log_loss
from frameworks import each_framework

RNG = np.random.default_rng(4)
P = RNG.uniform(0.02, 0.98, size=(6, 3))
Y = RNG.integers(0, 2, size=(6, 3))
SOFT = RNG.uniform(size=(6, 3))
W, C = RNG.uniform(0.5, 2, size=6), np.array([0.5, 2.0, 3.0])


def test_every_column_has_the_log_loss_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    columns = [metrics.log_loss(Y[:, c], P[:, c], labels=[0, 1]) for c in range(3)]
    np.testing.assert_allclose(binary_log_loss(P, Y, reduction="none").mean(axis=0), columns, rtol=1e-13)
    np.testing.assert_allclose(binary_log_loss(P, Y), np.mean(columns), rtol=1e-13)
    weighted = [metrics.log_loss(Y[:, c], P[:, c], labels=[0, 1], sample_weight=W) for c in range(3)]
    np.testing.assert_allclose(binary_log_loss(P, Y, sample_weight=W), np.mean(weighted), rtol=1e-13)


@pytest.mark.parametrize(
    "labels",
    [Y, Y.astype(bool), Y.astype("u1"), Y.astype(float), SOFT],
    ids=["int", "bool", "uint8", "0 and 1", "soft"],
)
@each_framework
def test_the_loss_is_that_of_torch(fw, labels):
    from torch import tensor
    from torch.nn.functional import binary_cross_entropy

    expected = binary_cross_entropy(tensor(P), tensor(labels.astype(float)), reduction="none").numpy()
    found = fw.numpy(binary_log_loss(fw.own(P), fw.own(labels), reduction="none"))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    elements = W[:, None] * C * np.ones_like(P)
    weighted = binary_log_loss(
        fw.own(P), fw.own(labels), sample_weight=fw.own(W), class_weight=fw.own(C), reduction="mean"
    )
    np.testing.assert_allclose(fw.numpy(weighted), (elements * expected).sum() / elements.sum(), rtol=1e-13)
    each = binary_log_loss(fw.own(P), fw.own(labels), sample_weight=fw.own(elements), normalizer="count")
    np.testing.assert_allclose(fw.numpy(each), (elements * expected).mean(), rtol=1e-13)


@pytest.mark.parametrize("p", [0.0, 1e-310, 1e-17, 0.5, 1 - 2**-53, 1.0])
@pytest.mark.parametrize("label", [0, 1])
def test_nothing_is_clipped_and_nothing_warned_of(p, label):
    x = oracle.mpf(p)
    certain_not = p == (0 if label else 1)
    expected = np.inf if certain_not else float(-oracle.ctx.log(x) if label else -oracle.ctx.log1p(-x))
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        found = binary_log_loss(np.array([[p]]), np.array([[label]]))
    np.testing.assert_allclose(found, expected, rtol=4e-16)


def test_tensors_have_its_gradient_compiled_too():
    torch = pytest.importorskip("torch")
    p, t = torch.tensor(P, requires_grad=True), torch.tensor(SOFT, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, t: binary_log_loss(p, t, validate="none"), (p, t))
    compiled = torch.compile(binary_log_loss, fullgraph=True, backend="eager")
    np.testing.assert_allclose(compiled(p, t).detach(), binary_log_loss(p, t).detach(), rtol=1e-14)
    edge = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64, requires_grad=True)
    binary_log_loss(edge, torch.tensor([1, 0, 0, 1]), reduction="sum").backward()
    assert edge.grad.tolist() == [0.0, 0.0, 1.0, -1.0]


@pytest.mark.parametrize("fill", [np.nan, -1.0, 7.0])
def test_elements_of_weight_zero_count_nothing_whatever_they_hold(fill):
    p, t, weight = P.copy(), SOFT.copy(), np.ones_like(P)
    p[1, 2], t[4, 0], weight[[1, 4], [2, 0]] = fill, fill, 0
    expected = binary_log_loss(P, SOFT, reduction="none")[weight > 0].mean()
    np.testing.assert_allclose(binary_log_loss(p, t, sample_weight=weight), expected, rtol=1e-14)
    rows = np.where(np.arange(6) == 1, 0.0, 1.0)
    p[4], t[4] = P[4], SOFT[4]
    np.testing.assert_allclose(
        binary_log_loss(p, t, sample_weight=rows), binary_log_loss(P, SOFT, sample_weight=rows), rtol=1e-14
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((Y, P), TypeError, r"dtype int64; .* order is \(probabilities, labels\)"),
        ((P, Y[:, 0]), ValueError, r"labels have shape \(6,\), .* \(6, 3\).*to log_loss"),
        ((P, 2 * Y), ValueError, r"labels\[\d, \d\] is 2; a label is 0, 1"),
        ((P + 0.5, Y), ValueError, r"probability of row \(\d, \d\) is 1\.\d+; it must be from 0 to 1"),
        ((P, SOFT - 1), ValueError, r"labels\[0, 0\] is -0\.\d+; a label is 0, 1 or a probability"),
    ],
)
def test_what_is_wrong_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        binary_log_loss(*arguments)


def test_the_advice_to_leave_elements_out_works():
    labels = np.where(np.eye(6, 3), -1, Y)
    message = message_of(ValueError, "f(p, y)", f=binary_log_loss, p=P, y=labels)
    weight = typed(message, r"sample_weight=(\(labels >= 0\))", labels=labels)
    expected = binary_log_loss(P, Y, reduction="none")[labels >= 0].mean()
    np.testing.assert_allclose(binary_log_loss(P, labels, sample_weight=weight), expected, rtol=1e-14)


def test_log_loss_sends_several_labels_a_row_here():
    p = np.array([[0.9, 0.8, 0.1]])
    for labels in ([[1, 1, 0]], [0]):
        message = message_of((TypeError, ValueError), "ce.log_loss(p, y)", ce=ce, p=p, y=labels)
        name = typed(message, r"crossentropy\.losses\.binary_log_loss", crossentropy=ce)
        assert name is binary_log_loss


@pytest.mark.parametrize("options", [{}, {"sample_weight": np.zeros(6)}], ids=["no rows", "weights 0"])
def test_a_score_of_nothing_is_nan_with_a_warning(options):
    p, y = (P, Y) if options else (P[:0], Y[:0])
    with pytest.warns(UserWarning, match="binary_log_loss has nothing to average"):
        assert np.isnan(binary_log_loss(p, y, **options))
    assert binary_log_loss(p, y, empty="zero", **options) == 0
