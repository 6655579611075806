"""What `crossentropy.torch` says of arguments that do not fit."""

import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from advice import message_of, typed  # noqa: E402

Z = torch.zeros(4, 3)
Y = torch.tensor([0, 1, 2, 0])
both = pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])


@both
@pytest.mark.parametrize("label", [3, -1, -2])
@pytest.mark.parametrize("options", [{}, {"reduction": "none"}, {"weight": torch.ones(3)}], ids=str)
def test_a_label_outside_the_classes_is_named_with_its_row(name, label, options):
    y = Y.clone()
    y[2] = label
    with pytest.raises(ValueError, match=rf"label {label} at row 2 is outside \[0, 3\)"):
        getattr(ct, name)(Z, y, **options)


@both
def test_labels_that_count_from_one_get_a_hint(name):
    with pytest.raises(ValueError, match="labels - 1"):
        getattr(ct, name)(Z, Y + 1)


@both
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_an_unchecked_label_outside_the_classes_makes_its_row_nan(name, reduction):
    y = Y.clone()
    y[1] = 3
    value = getattr(ct, name)(Z, y, reduction=reduction, validate="none")
    assert value.reshape(-1)[0 if reduction == "mean" else 1].isnan()
    if reduction == "none":
        assert value[[0, 2, 3]].isfinite().all()


@both
def test_the_gradient_of_an_unchecked_label_outside_the_classes_is_nan(name):
    z = Z.clone().requires_grad_()
    y = Y.clone()
    y[1] = 3
    value = getattr(ct, name)(z, y, reduction="sum", validate="none")
    (gradient,) = torch.autograd.grad(value, z)
    assert gradient[1].isnan().any()
    assert gradient[[0, 2, 3]].isfinite().all()


@both
@pytest.mark.parametrize("shape", [(3,), (4, 1), (4, 2), ()], ids=str)
def test_labels_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match="one label for each of their rows"):
        getattr(ct, name)(Z, torch.zeros(shape, dtype=torch.long))


@both
def test_floating_labels_in_the_shape_of_indices_are_told_to_be_integers(name):
    with pytest.raises(TypeError, match="long"):
        getattr(ct, name)(Z, Y.float())


def test_an_integer_one_hot_is_told_of_its_name():
    with pytest.raises(TypeError, match="OneHot"):
        ct.cross_entropy(Z, torch.eye(3, dtype=torch.long)[Y])


def test_nll_loss_asks_for_a_tensor_as_a_target():
    said = message_of(TypeError, "nll_loss(Z, target)", nll_loss=ct.nll_loss, Z=Z, target=[0, 1, 2, 0])
    assert typed(said, r"torch\.as_tensor\(target\)", torch=torch, target=[0, 1]).equal(torch.tensor([0, 1]))


def test_nll_loss_refuses_probabilities_as_a_target():
    with pytest.raises(TypeError, match="class indices"):
        ct.nll_loss(Z, torch.ones(4, 3))


@both
@pytest.mark.parametrize("shape", [(2,), (4,), (1, 3), ()], ids=str)
def test_a_class_weight_of_another_shape_is_refused(name, shape):
    with pytest.raises(ValueError, match="each of the 3 classes"):
        getattr(ct, name)(Z, Y, torch.ones(shape))


@both
def test_an_unknown_reduction_is_refused(name):
    with pytest.raises(ValueError, match="reduction is 'batchmean'"):
        getattr(ct, name)(Z, Y, reduction="batchmean")


@both
@pytest.mark.parametrize("empty", ["zero", "nan", "raise"])
def test_what_the_mean_of_nothing_is_may_be_said(name, empty):
    def loss():
        return getattr(ct, name)(Z, torch.full_like(Y, -100), empty=empty)

    if empty == "raise":
        with pytest.raises(ValueError, match="nothing to average"):
            loss()
    else:
        assert str(loss().item()) == {"zero": "0.0", "nan": "nan"}[empty]


@both
def test_integer_logits_are_refused(name):
    with pytest.raises(TypeError, match="float"):
        getattr(ct, name)(Z.long(), Y)


@both
def test_a_single_number_has_no_classes(name):
    with pytest.raises(ValueError, match="class axis"):
        getattr(ct, name)(torch.tensor(0.0), torch.tensor(0))


@both
def test_no_classes_are_refused(name):
    with pytest.raises(ValueError, match="no classes"):
        getattr(ct, name)(torch.zeros(4, 0), Y)


def test_a_label_to_ignore_makes_no_sense_with_probabilities():
    with pytest.raises(ValueError, match="sample_weight"):
        ct.cross_entropy(Z, torch.ones(4, 3), ignore_index=1)


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_a_share_of_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        ct.cross_entropy(Z, Y, label_smoothing=smoothing)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_binary_targets_are_not_broadcast(name):
    with pytest.raises(ValueError, match="must be equal"):
        getattr(ct, name)(torch.full((4, 1), 0.5), torch.ones(4))


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_outside_its_range_is_refused(p):
    with pytest.raises(ValueError, match="binary_cross_entropy_with_logits"):
        ct.binary_cross_entropy(torch.tensor([0.5, p]), torch.ones(2))


@pytest.mark.parametrize("t", [-0.1, 1.1])
def test_a_target_of_probabilities_outside_its_range_is_refused(t):
    with pytest.raises(ValueError, match=r"target .*\[0, 1\]"):
        ct.binary_cross_entropy(torch.tensor([0.5, 0.5]), torch.tensor([1.0, t]))


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("shape", [(2,), (4, 1, 1), (2, 3)], ids=str)
def test_a_weight_that_does_not_broadcast_is_refused(name, shape):
    with pytest.raises((ValueError, RuntimeError)):
        getattr(ct, name)(torch.full((4, 3), 0.5), torch.ones(4, 3), torch.ones(shape))


@pytest.mark.parametrize("shape", [(2,), (4,), (5, 4, 3)], ids=str)
def test_a_positive_weight_that_does_not_broadcast_is_refused(shape):
    with pytest.raises((ValueError, RuntimeError)):
        ct.binary_cross_entropy_with_logits(torch.zeros(4, 3), torch.ones(4, 3), pos_weight=torch.ones(shape))


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_integer_probabilities_and_logits_are_refused(name):
    with pytest.raises(TypeError, match="float"):
        getattr(ct, name)(torch.ones(3, dtype=torch.long), torch.ones(3))
