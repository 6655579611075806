"""A loss has one value and one gradient, by whatever way they are computed: kernels, formulas, and each library."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import crossentropy as ce
from crossentropy import losses
from frameworks import JAX, NUMPY, TORCH, Strict

torch = pytest.importorskip("torch")

INF, NAN = float("inf"), float("nan")
every_library = pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX(), Strict()], ids=repr)


def composed(loss, z, *labels, **options):
    """The gradient by the logits where PyTorch differentiates the composition, since a weight of rows learns too."""
    z = torch.from_numpy(np.array(z)).requires_grad_()
    weight = torch.ones(z.shape[:1], dtype=z.dtype, requires_grad=True)
    value = loss(
        z, *map(tensors, labels), sample_weight=weight, **{k: tensors(v) for k, v in options.items()}
    )
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach().numpy(), gradient.numpy()


def tensors(x):
    if isinstance(x, ce.targets.Probabilities):
        return ce.targets.Probabilities(torch.from_numpy(x.values), normalized=x.normalized)
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def value(fw, loss, z, labels, **options):
    with fw.wide() if isinstance(fw, JAX) else np.errstate():
        return fw.numpy(loss(fw.own(z), fw.own(labels), **options))


# ------------------------------------------------------------------------------------------------ rows of no doubt


@every_library
@pytest.mark.parametrize("label", [0, 2])
def test_a_brier_score_is_zero_where_all_other_classes_are_impossible(fw, label):
    z = np.full((1, 3), -INF)
    z[0, label] = 0.5
    assert value(fw, losses.brier_loss, z, np.array([label])) == 0


def test_the_gradient_of_a_brier_score_is_zero_where_all_other_classes_are_impossible():
    z = np.array([[0.5, -INF, -INF], [-INF, 0.5, -INF]])
    np.testing.assert_array_equal(composed(losses.brier_loss, z, np.array([0, 1]))[1], 0)


@every_library
@pytest.mark.parametrize("logit", [NAN, INF, -INF])
@pytest.mark.parametrize("loss", [losses.brier_loss, losses.hinge_loss, losses.bi_tempered_loss])
def test_an_invalid_logit_of_a_single_class_is_nan(fw, loss, logit):
    found = value(fw, loss, np.array([[logit], [1.0]]), np.array([0, 0]), reduction="none")
    np.testing.assert_array_equal(found, [NAN, 0])


@every_library
def test_an_invalid_logit_of_a_single_class_is_nan_in_a_brier_score_of_soft_labels(fw):
    found = value(fw, losses.brier_loss, np.array([[-INF], [1.0]]), np.ones((2, 1)), reduction="none")
    np.testing.assert_array_equal(found, [NAN, 0])


def test_a_row_that_makes_no_sense_is_nan_though_its_masses_add_up_to_zero():
    z = torch.tensor([[NAN, 1.0, 2.0]], dtype=torch.float64)
    masses = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    target = ce.targets.Probabilities(masses, normalized=False)
    assert ce.softmax_cross_entropy(z, target, reduction="sum").isnan()


# --------------------------------------------------------------------------------------- rows that count for nothing

DIVIDED = [
    (ce.softmax_cross_entropy, {"link": ce.links.Poly()}),
    (ce.softmax_cross_entropy, {"z_loss": 0.1}),
    (losses.brier_loss, {}),
    (losses.bi_tempered_loss, {}),
]


@pytest.mark.parametrize(("loss", "options"), DIVIDED)
@pytest.mark.parametrize(
    "divisor", [0.0, np.array([0.0, 1.0]), np.array(0.0)], ids=["number", "rows", "array"]
)
def test_a_row_that_is_divided_by_zero_has_no_gradient_whatever_it_holds(loss, options, divisor):
    z, labels = np.array([[NAN, 1.0, 2.0], [0.0, 1.0, 2.0]]), np.array([0, 1])
    expected = ce.loss_and_gradient(loss, z, labels, normalizer=divisor, **options)
    found = composed(loss, z, labels, normalizer=divisor, **options)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(found[1][0], 0)


def test_a_row_whose_masses_add_up_to_zero_has_no_brier_score_and_no_gradient():
    z, masses = np.array([[NAN, 1.0, 2.0], [0.0, 1.0, 2.0]]), np.array([[0.0, 1.0, -1.0], [0.5, 0.0, 0.0]])
    target = ce.targets.Probabilities(masses, normalized=False)
    expected = ce.loss_and_gradient(losses.brier_loss, z, target, reduction="none")
    found = composed(losses.brier_loss, z, target, reduction="none")
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-13)
    np.testing.assert_array_equal(found[1][0], 0)


def test_a_row_whose_label_weighs_nothing_has_no_part_in_the_gradient_by_a_bias():
    z, labels, weight = np.array([[NAN, 1.0], [0.0, 2.0]]), np.array([0, 1]), np.array([0.0, 1.0])

    def by_bias(z, labels):
        loss = lambda b: ce.softmax_cross_entropy(z, labels, logit_bias=b, class_weight=weight)  # noqa: E731
        return ce.loss_and_gradient(loss, np.array([0.1, 0.2]))[1]

    np.testing.assert_allclose(by_bias(z, labels), by_bias(z[1:], labels[1:]), rtol=1e-14)


def test_a_row_without_weight_has_no_gradient_where_a_bias_leaves_it_no_class():
    z = np.array([[-INF, 0.0], [1.0, 0.0]])
    labels = ce.targets.Probabilities(np.array([[0.5, 0.5], [1.0, 0.0]]))
    options = {"logit_bias": np.array([0.0, -INF]), "link": ce.links.Unlikelihood()}
    z, bias, weight = (
        torch.from_numpy(z).requires_grad_(),
        torch.tensor([0.0, -INF]).double(),
        torch.tensor([0.0, 1.0]),
    )
    ce.softmax_cross_entropy(
        z, tensors(labels), link=options["link"], logit_bias=bias, sample_weight=weight.double()
    ).backward()
    np.testing.assert_array_equal(z.grad[0].numpy(), 0)


@pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX()], ids=repr)
def test_a_row_without_weight_gives_its_soft_labels_no_gradient(fw):
    z, t = np.array([[0.0, -INF, 1.0], [0.0, 1.0, 2.0]]), np.array([[0.2, 0.3, 0.5], [0.5, 0.25, 0.25]])
    found = gradient_by_labels(fw, z, t, sample_weight=np.array([0.0, 1.0]), reduction="sum")
    log_p = z[1] - np.log(np.exp(z[1]).sum())
    np.testing.assert_allclose(found, [[0, 0, 0], -log_p], rtol=1e-14)


def test_infinite_logits_under_a_cap_are_numbers_in_the_gradient_by_a_weight_of_zero():
    z, labels, weight = np.array([[INF, -INF, 0.0]]), np.array([1]), np.array([0.0])
    loss = lambda w: ce.softmax_cross_entropy(z, labels, sample_weight=w, softcap=2.0, reduction="sum")  # noqa: E731
    expected = np.log(np.exp([2.0, -2.0, 0.0]).sum()) + 2
    np.testing.assert_allclose(ce.loss_and_gradient(loss, weight)[1], [expected], rtol=1e-14)
    z, labels, weight = torch.from_numpy(z), torch.from_numpy(labels), torch.from_numpy(weight)
    loss = lambda w: ce.softmax_cross_entropy(z, labels, sample_weight=w, softcap=2.0, reduction="sum")  # noqa: E731
    torch.testing.assert_close(
        torch.func.grad(loss)(weight), torch.tensor([expected]).double(), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX()], ids=repr)
@pytest.mark.parametrize("loss", [losses.brier_loss, losses.hinge_loss, losses.bi_tempered_loss])
def test_a_weight_of_zero_of_an_invalid_row_has_no_gradient(fw, loss):
    z, labels = np.array([[NAN, 1.0], [0.0, 1.0]]), np.array([0, 0])
    expected = np.array([0.0, loss(z[1:], labels[1:])])
    if fw is NUMPY:
        weighted = lambda w: loss(z, labels, sample_weight=w, reduction="sum")  # noqa: E731
        found = ce.loss_and_gradient(weighted, np.array([0.0, 1.0]))[1]
    elif fw is TORCH:
        w = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
        loss(fw.own(z), fw.own(labels), sample_weight=w, reduction="sum").backward()
        found = w.grad.numpy()
    else:
        with fw.wide():
            weighted = lambda w: loss(fw.own(z), fw.own(labels), sample_weight=w, reduction="sum")  # noqa: E731
            found = fw.numpy(fw.jax.grad(weighted)(fw.own(np.array([0.0, 1.0]))))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("fw", [TORCH, JAX()], ids=repr)
def test_an_invalid_row_without_weight_gives_its_soft_labels_no_gradient(fw):
    z, t, weight = (
        np.array([[NAN, 1.0], [0.0, 1.0]]),
        np.array([[0.25, 0.75], [0.5, 0.5]]),
        np.array([0.0, 1.0]),
    )
    found = gradient_by_labels(fw, z, t, losses.brier_loss, sample_weight=weight, reduction="sum")
    p = np.exp(z[1]) / np.exp(z[1]).sum()
    np.testing.assert_allclose(found, [[0, 0], 2 * (t[1] - p)], rtol=1e-13)


# -------------------------------------------------------------------------------------- gradients by soft labels


def gradient_by_labels(fw, z, t, loss=ce.softmax_cross_entropy, **options):
    if fw is NUMPY:
        return ce.loss_and_gradient(lambda t: loss(z, t, **options), t)[1]
    if fw is TORCH:
        t = torch.from_numpy(t).requires_grad_()
        options = {name: fw.own(x) for name, x in options.items()}
        return torch.autograd.grad(loss(fw.own(z), t, **options), t)[0].numpy()
    with fw.wide():
        options = {name: fw.own(x) for name, x in options.items()}
        return fw.numpy(fw.jax.grad(lambda t: loss(fw.own(z), t, **options))(fw.own(t)))


@pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX()], ids=repr)
@pytest.mark.parametrize("regularizer", ["z_loss", "entropy_bonus"])
def test_soft_labels_of_an_impossible_class_have_the_gradient_of_the_link_beside_a_regularizer(
    fw, regularizer
):
    z, t = np.array([[0.0, -INF, 1.0]]), np.array([[0.5, 0.25, 0.25]])
    options = {"link": ce.links.MeanAbsoluteError(), "reduction": "sum", regularizer: 0.1}
    p = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(gradient_by_labels(fw, z, t, **options), 2 * (1 - p), rtol=1e-14)


@pytest.mark.parametrize("fw", [NUMPY, TORCH, JAX()], ids=repr)
def test_soft_labels_of_an_impossible_class_that_weighs_nothing_have_no_gradient(fw):
    z, t = np.array([[0.0, -INF, 0.0]]), np.array([[0.25, 0.25, 0.5]])
    found = gradient_by_labels(fw, z, t, class_weight=np.array([1.0, 0.0, 2.0]), reduction="sum")
    np.testing.assert_allclose(found, np.log(2) * np.array([[1.0, 0.0, 2.0]]), rtol=1e-14)


@pytest.mark.parametrize("fw", [TORCH, JAX()], ids=repr)
def test_soft_labels_of_a_brier_score_have_one_gradient_in_all_libraries(fw):
    z, t = np.array([[0.0, 1.0], [2.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    found = gradient_by_labels(fw, z, t, losses.brier_loss)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(found, 2 * (t - p) / 2, rtol=1e-12)


# ------------------------------------------------------------------------------------------------- single options


@pytest.mark.parametrize("divide", [float, torch.tensor], ids=["number", "tensor"])
def test_a_temperature_that_is_an_array_divides_the_gradient_of_an_impossible_class_too(divide):
    z = torch.tensor([[-INF, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    loss = ce.softmax_cross_entropy(
        z, torch.tensor([1]), label_smoothing=0.3, temperature=divide(4.0), link=ce.links.Poly(2.0)
    )
    (gradient,) = torch.autograd.grad(loss, z)
    assert gradient[0, 0].item() == pytest.approx(-0.1 / 4, rel=1e-12)


def test_a_mass_below_zero_is_none_in_the_gradient_of_the_bi_tempered_loss_too():
    z, masses = np.array([[0.9, -0.4, -0.5, -0.7]]), np.array([[0.9, 0.0, -0.7, 0.0]])
    without = ce.targets.Probabilities(np.maximum(masses, 0), normalized=False)
    target = ce.targets.Probabilities(masses, normalized=False)
    for t in (target, without):
        found = ce.loss_and_gradient(losses.bi_tempered_loss, z, t)
        expected = ce.loss_and_gradient(losses.bi_tempered_loss, z, without)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)
    np.testing.assert_allclose(composed(losses.bi_tempered_loss, z, target)[1], expected[1], rtol=1e-12)


@every_library
def test_labels_of_zlpr_may_be_bools_in_every_library(fw):
    z, labels = np.array([[3.0, -2.0, -1.0]]), np.array([[True, False, False]])
    expected = np.log1p(np.exp([-2.0, -1.0]).sum()) + np.log1p(np.exp(-3.0))
    assert value(fw, losses.zlpr_loss, z, labels) == pytest.approx(expected, rel=1e-14)


@every_library
def test_labels_of_the_distribution_balanced_loss_may_be_bools_in_every_library(fw):
    z, labels = np.array([[3.0, -2.0, -1.0]]), np.array([[True, False, True]])
    loss = lambda z, t: losses.distribution_balanced_loss(z, t, [5.0, 2.0, 9.0], total=10.0)  # noqa: E731
    expected = loss(z, labels.astype(np.int64))
    assert value(fw, loss, z, labels) == pytest.approx(expected, rel=1e-14)


@every_library
def test_a_label_that_is_no_probability_is_written_as_a_number_in_every_library(fw):
    with pytest.raises(ValueError, match=r"labels\[0\] is 1\.5, but"):
        value(fw, ce.sigmoid_cross_entropy, np.array([0.0, 1.0]), np.array([1.5, 0.5]))
    with pytest.raises(ValueError, match=r"labels\[0\] is 1\.5; a label"):
        value(fw, losses.binary_log_loss, np.array([0.25, 0.75]), np.array([1.5, 0.5]))


def test_a_label_that_is_no_probability_is_written_as_a_number_while_it_is_differentiated():
    with pytest.raises(ValueError, match=r"labels\[0\] is 1\.5, but"):
        ce.loss_and_gradient(lambda t: ce.sigmoid_cross_entropy(np.zeros(2), t), np.array([1.5, 0.5]))


def test_types_of_numbers_of_different_libraries_are_not_compared():
    loss = lambda fw: fw.numpy(ce.sigmoid_cross_entropy(fw.own(np.zeros(1)), fw.own(np.ones(1))))  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(NUMPY) == loss(Strict()) == loss(NUMPY)
