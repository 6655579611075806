"""The modules of the named losses: each its function with the settings kept, and what a module has besides."""

import inspect
from math import log

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from crossentropy import links, losses  # noqa: E402
from crossentropy.torch import named, named_tasks  # noqa: E402
from loss_modules import CASES, COUNTS, LEARNT, ROWS, randn  # noqa: E402

each_module = pytest.mark.parametrize("name", CASES)


def module_of(name, **changes):
    return getattr(ct, name)(**CASES[name][1] | changes)


def call(loss, name, **more):
    """Value and gradient of the first input."""
    _, _, (first, *others), keywords = CASES[name]
    first = first.clone().requires_grad_()
    value = loss(first, *others, **keywords, **more)
    (gradient,) = torch.autograd.grad(value.sum(), first)
    return value.detach(), gradient


def test_every_module_is_tried():
    assert set(CASES) == {*named.__all__, *named_tasks.__all__}
    assert set(CASES) < set(ct.__all__)


@each_module
def test_a_module_is_its_function(name):
    function, settings, _, _ = CASES[name]
    module = module_of(name).double()
    expected = call(getattr(losses, function), name, **settings, **LEARNT.get(name, {}))
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if name in LEARNT else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(call(module, name), expected, **tolerance)
    assert expected[1].abs().sum() > 0


@each_module
def test_settings_count(name):
    """A module that dropped its settings would be the one of the defaults."""
    settings = {n: x for n, x in CASES[name][1].items() if n not in ("counts", "transition", "keep", "total")}
    if not settings:
        return
    given, kept = {n: x for n, x in CASES[name][1].items() if n not in settings}, call(module_of(name), name)
    assert not torch.equal(call(getattr(ct, name)(**given), name)[1], kept[1])


@each_module
def test_a_module_shows_its_settings(name):
    text = repr(module_of(name))
    for setting, value in CASES[name][1].items():
        shown = f"Tensor{tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        assert f"{setting}={shown}" in text


@each_module
def test_an_unknown_setting_names_the_known_ones(name):
    with pytest.raises(TypeError, match="has no option 'gama'; it takes"):
        module_of(name, gama=2)


def test_lists_are_taken_for_counts_and_matrices():
    assert ct.LDAMLoss([60, 20, 15, 5]).counts.equal(COUNTS)
    assert ct.ForwardCorrectedLoss([[0.8, 0.2], [0.1, 0.9]]).transition.shape == (2, 2)


def test_settings_are_taken_by_position_in_the_order_of_the_function():
    assert repr(ct.SymmetricCrossEntropyLoss(0.2, 0.5)).startswith(
        "SymmetricCrossEntropyLoss(forward_weight=0.2, reverse_weight=0.5, log_zero=-4.0"
    )
    assert list(inspect.signature(ct.LDAMLoss).parameters)[:3] == ["counts", "largest", "scale"]


def test_a_setting_changed_afterwards_counts():
    module = ct.PolyLoss()
    module.epsilon, module.reduction = 3.0, "sum"
    assert module(*ROWS).equal(losses.poly_loss(*ROWS, epsilon=3.0, reduction="sum"))


def test_weights_of_rows_go_to_the_call():
    weight = torch.arange(5.0)
    assert ct.TsallisLoss()(*ROWS, sample_weight=weight).equal(
        losses.tsallis_loss(*ROWS, sample_weight=weight)
    )
    with pytest.raises(TypeError, match="pass it to the call"):
        ct.TsallisLoss(sample_weight=weight)


def test_a_setting_in_a_call_is_refused():
    with pytest.raises(TypeError, match="epsilon is a setting"):
        ct.PolyLoss()(*ROWS, epsilon=2.0)


def test_a_normalizer_may_be_that_of_a_batch():
    assert ct.PolyLoss()(*ROWS, normalizer=2).equal(losses.poly_loss(*ROWS, normalizer=2))
    assert ct.PolyLoss(normalizer="count").normalizer == "count"


def test_the_class_axis_is_an_option():
    z, t = randn(2, 4, 3), torch.zeros(2, 3, dtype=torch.long)
    assert ct.HingeLoss(axis=1)(z, t).equal(losses.hinge_loss(z, t, axis=1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ct.GeneralizedCrossEntropyLoss(q=2.0), "q is 2.0"),
        (lambda: ct.TaylorCrossEntropyLoss(order=0), "order"),
        (lambda: ct.BalancedSoftmaxLoss([3, 0]), "count of class 1 is 0"),
        (lambda: ct.BrierLoss(reduction="average"), "reduction is 'average'"),
        (lambda: ct.CLIPLoss(scale=0.0), "scale is 0.0"),
    ],
)
def test_what_is_out_of_range_is_refused_when_a_module_is_made(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_missing_setting_is_asked_for():
    with pytest.raises(TypeError, match="LDAMLoss: missing a required argument: 'counts'"):
        ct.LDAMLoss()


def test_a_link_cannot_be_given_to_a_loss_that_is_one():
    with pytest.raises(TypeError, match="has no option 'link'"):
        ct.PolyLoss(link=links.Focal())
    assert ct.BalancedSoftmaxLoss(COUNTS, link=links.Focal())(*ROWS) != ct.BalancedSoftmaxLoss(COUNTS)(*ROWS)


@pytest.mark.parametrize("name", LEARNT)
def test_the_scale_of_image_and_text_is_learnt(name):
    module = module_of(name)
    call_value = module(*CASES[name][2])
    call_value.backward()
    assert set(module.state_dict()) == ({"log_scale"} if name == "CLIPLoss" else {"log_scale", "bias"})
    assert all(parameter.grad.isfinite() and parameter.grad != 0 for parameter in module.parameters())


def test_clips_scale_starts_at_its_paper_and_stays_below_a_hundred_in_training():
    module = ct.CLIPLoss()
    assert module.log_scale.item() == pytest.approx(log(1 / 0.07))
    module.log_scale.data.fill_(9.0)
    x = torch.eye(3)
    module.eval()(x, x)
    assert module.log_scale.item() == 9.0
    loss = module.train()(x, x.flip(0))
    assert module.log_scale.item() == pytest.approx(log(100))
    torch.testing.assert_close(loss, losses.clip_loss(x, x.flip(0), scale=100.0))
    loss.backward()
    assert module.log_scale.grad > 0  # so that it comes down again


def test_a_named_loss_may_be_subclassed():
    class Mine(ct.PolyLoss):
        def forward(self, *inputs, **batch):
            return 2 * super().forward(*inputs, **batch)

    assert Mine(2.0)(*ROWS).equal(2 * ct.PolyLoss(2.0)(*ROWS))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ct.FocalLoss("2"), "gamma is '2'; pass one number"),
        (lambda: ct.FocalLoss(np.ones(2)), r"gamma is a numpy.ndarray of shape \(2,\); pass one number"),
        (lambda: ct.PolyLoss(epsilon=None), "epsilon is None; pass one number"),
        (lambda: ct.GeneralizedCrossEntropyLoss([0.1, 0.2]), r"q is \[0.1, 0.2\]; pass one number"),
        (lambda: ct.CLIPLoss("10"), "scale is '10'; pass one number"),
        (lambda: ct.LDAMLoss({"cat": 3, "dog": 2}), r"counts is a dict; pass numpy.array\(\[counts\[c\]"),
    ],
)
def test_a_setting_of_another_kind_is_named_when_the_module_is_made(make, said):
    with pytest.raises(TypeError, match=said):
        make()
