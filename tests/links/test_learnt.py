"""Settings of a link that are learnt: their derivative is that of the link by them."""

import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
from crossentropy import links  # noqa: E402

#: link, the setting that is learnt, where, and the others
CASES = {
    "Focal": (links.Focal, "gamma", 1.5, {}),
    "Poly": (links.Poly, "epsilon", 0.5, {}),
    "Poly without part of a term": (links.Poly, "epsilon", -0.25, {}),
    "GeneralizedCrossEntropy": (links.GeneralizedCrossEntropy, "q", 0.4, {}),
    "GeneralizedCrossEntropy, truncated": (links.GeneralizedCrossEntropy, "q", 0.4, {"truncation": 0.3}),
    "its truncation": (links.GeneralizedCrossEntropy, "truncation", 0.3, {"q": 0.4}),
    "Tsallis": (links.Tsallis, "t", 0.6, {}),
    "Tsallis above one": (links.Tsallis, "t", 1.3, {}),
    "SymmetricCrossEntropy forward_weight": (links.SymmetricCrossEntropy, "forward_weight", 0.3, {}),
    "SymmetricCrossEntropy reverse_weight": (links.SymmetricCrossEntropy, "reverse_weight", 0.3, {}),
    "SymmetricCrossEntropy log_zero": (links.SymmetricCrossEntropy, "log_zero", -3.0, {}),
    "PartiallyHuberized": (links.PartiallyHuberized, "tau", 3.0, {}),
}
D = torch.tensor([-3.0, -0.4, 0.2, 1.7, 4.0], dtype=torch.float64)
H = 1e-5


@pytest.mark.parametrize("name", CASES)
def test_the_derivative_by_a_setting_is_its_difference(name):
    kind, setting, value, others = CASES[name]
    learnt = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(kind(**{setting: learnt}, **others).loss(D).sum(), learnt)
    high, low = (kind(**{setting: value + h}, **others).loss(D).sum() for h in (H, -H))
    torch.testing.assert_close(found, (high - low) / (2 * H), rtol=1e-7, atol=1e-9)
    assert found != 0


@pytest.mark.parametrize("name", CASES)
def test_a_setting_that_is_learnt_is_the_number_it_stands_for(name):
    kind, setting, value, others = CASES[name]
    learnt, fixed = (
        kind(**{setting: x}, **others) for x in (torch.tensor(value, dtype=torch.float64), value)
    )
    torch.testing.assert_close(learnt.loss(D), fixed.loss(D), rtol=1e-14, atol=0)
    torch.testing.assert_close(learnt.gain(D), fixed.gain(D), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_gives_a_learnt_setting_its_gradient(name):
    kind, setting, value, others = CASES[name]
    logits, labels = torch.stack([D, -D, D.flip(0)], dim=-1), torch.tensor([0, 1, 2, 1, 0])

    def loss(x):
        return ce.softmax_cross_entropy(logits, labels, link=kind(**{setting: x}, **others))

    learnt = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(loss(learnt), learnt)
    torch.testing.assert_close(found, (loss(value + H) - loss(value - H)) / (2 * H), rtol=1e-6, atol=1e-9)
