"""Arguments of another kind or shape: what was passed, and what to write, which works when it is typed in."""

import re

import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402

G = torch.Generator().manual_seed(0)
Z, Y = torch.randn(6, 3, generator=G), torch.tensor([0, 2, 1, 1, 2, 0])
T = torch.rand(6, 3, generator=G)
HEAD = torch.randn(3, 3, generator=G)


def linear_module(weight):
    module = ct.LinearCrossEntropyLoss(3, 3, weight=weight)
    with torch.no_grad():
        module.linear.weight.copy_(HEAD)
    return module


#: call, and the argument that a weight is passed to
WEIGHTED = {
    "cross_entropy": (lambda w: ct.cross_entropy(Z, Y, w), "weight"),
    "focal_loss": (lambda w: ct.focal_loss(Z, Y, weight=w), "weight"),
    "nll_loss": (lambda w: ct.nll_loss(Z.log_softmax(1), Y, w), "weight"),
    "linear_cross_entropy": (lambda w: ct.linear_cross_entropy(Z, HEAD, Y, weight=w), "weight"),
    "binary_cross_entropy": (lambda w: ct.binary_cross_entropy(Z.sigmoid(), T, w), "weight"),
    "binary with logits": (lambda w: ct.binary_cross_entropy_with_logits(Z, T, w), "weight"),
    "its pos_weight": (lambda w: ct.binary_cross_entropy_with_logits(Z, T, pos_weight=w), "pos_weight"),
    "multilabel_soft_margin_loss": (lambda w: ct.multilabel_soft_margin_loss(Z, T, w), "weight"),
    "CrossEntropyLoss": (lambda w: ct.CrossEntropyLoss(w)(Z, Y), "weight"),
    "FocalLoss": (lambda w: ct.FocalLoss(weight=w)(Z, Y), "weight"),
    "NLLLoss": (lambda w: ct.NLLLoss(w)(Z.log_softmax(1), Y), "weight"),
    "LinearCrossEntropyLoss": (lambda w: linear_module(w)(Z, Y), "weight"),
    "BCELoss": (lambda w: ct.BCELoss(w)(Z.sigmoid(), T), "weight"),
    "BCEWithLogitsLoss": (lambda w: ct.BCEWithLogitsLoss(w)(Z, T), "weight"),
    "its pos_weight too": (lambda w: ct.BCEWithLogitsLoss(pos_weight=w)(Z, T), "pos_weight"),
    "MultiLabelSoftMarginLoss": (lambda w: ct.MultiLabelSoftMarginLoss(w)(Z, T), "weight"),
}
each_weighted = pytest.mark.parametrize("name", WEIGHTED)


def advice(error, after):
    """The expression that a message gives, up to the words that follow it."""
    return re.search(r"(\w+)=(.*?)" + after, str(error)).groups()


@each_weighted
def test_a_dictionary_of_class_weights_is_answered_with_its_numbers_in_order(name):
    call, argument = WEIGHTED[name]
    d = {2: 3.0, 0: 0.5, 1: 2.0}
    with pytest.raises(TypeError, match=f"^{argument} is a dict; pass") as raised:
        call(d)
    typed, expression = advice(raised.value, " of the dict d")
    assert typed == argument
    assert call(eval(expression, {"torch": torch, "d": d})).equal(call(torch.tensor([0.5, 2.0, 3.0])))


@each_weighted
def test_balanced_is_answered_with_what_computes_it(name):
    call, argument = WEIGHTED[name]
    with pytest.raises(TypeError, match=f"^{argument} is 'balanced', a word") as raised:
        call("balanced")
    typed, expression = advice(raised.value, " of the training labels")
    assert typed == argument
    import crossentropy.losses

    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    weights = eval(expression, {"torch": torch, "crossentropy": crossentropy, "labels": labels, "C": 3})
    torch.testing.assert_close(weights.double(), torch.tensor([6 / 9, 6 / 3, 6 / 6]).double())
    assert call(weights.float()).isfinite()


@each_weighted
def test_another_object_is_named(name):
    call, argument = WEIGHTED[name]
    with pytest.raises(TypeError, match=f"^{argument} is a torch.nn.modules.linear.Linear; pass a tensor"):
        call(torch.nn.Linear(2, 2))


@each_weighted
def test_lists_and_arrays_are_weights(name):
    call, _ = WEIGHTED[name]
    w = torch.tensor([0.5, 2.0, 3.0])
    torch.testing.assert_close(call(w.tolist()), call(w))
    torch.testing.assert_close(call(w.numpy()), call(w))


@pytest.mark.parametrize("argument", ["weight", "pos_weight"])
@pytest.mark.parametrize("axis", [1, 0, 2])
def test_weights_of_another_axis_than_the_last_are_told_how_to_be_written(argument, axis):
    shape = (2, 3, 4, 5)
    z, t = torch.randn(shape, generator=G), torch.rand(shape, generator=G)
    w = torch.rand(shape[axis], generator=G) + 0.5
    with pytest.raises(
        ValueError, match=rf"^{argument} has shape \({shape[axis]},\), which does not"
    ) as raised:
        ct.binary_cross_entropy_with_logits(z, t, **{argument: w})
    typed, expression = advice(raised.value, ", or use")
    assert typed == argument
    value = ct.binary_cross_entropy_with_logits(z, t, **{argument: eval(expression, {argument: w})})
    own = {"pos_weight": "pos_weight", "weight": "class_weight"}[argument]
    assert f"crossentropy.sigmoid_cross_entropy({own}={argument}, axis={axis})" in str(raised.value)
    expected = ce.sigmoid_cross_entropy(z, t, **{own: w}, axis=axis, normalizer="count")
    torch.testing.assert_close(value, expected)


def test_weights_that_fit_no_axis_are_told_so():
    with pytest.raises(ValueError, match=r"does not broadcast to the input's \(6, 3\)$"):
        ct.binary_cross_entropy_with_logits(Z, T, pos_weight=torch.ones(7))


class Image(torch.Tensor):
    pass


class Mask(torch.Tensor):
    pass


class Photograph(Image):
    pass


#: what takes a prediction and a target, and the two
PAIRS = {
    "cross_entropy": (ct.cross_entropy, Z, Y),
    "nll_loss": (ct.nll_loss, Z.log_softmax(1), Y),
    "linear_cross_entropy": (lambda x, y: ct.linear_cross_entropy(x, HEAD, y), Z, Y),
    "binary_cross_entropy": (ct.binary_cross_entropy, Z.sigmoid(), T),
    "binary_cross_entropy_with_logits": (ct.binary_cross_entropy_with_logits, Z, T),
    "multilabel_soft_margin_loss": (ct.multilabel_soft_margin_loss, Z, T),
    "CrossEntropyLoss": (ct.CrossEntropyLoss(), Z, Y),
}


@pytest.mark.parametrize("name", PAIRS)
def test_tensors_of_two_unrelated_kinds_are_named_with_the_fix(name):
    call, x, y = PAIRS[name]
    words = r"^input is a .*\.Image and target a .*\.Mask, .*target\.as_subclass\(torch\.Tensor\)"
    with pytest.raises(TypeError, match=words):
        call(x.as_subclass(Image), y.as_subclass(Mask))
    found = call(x.as_subclass(Image), y.as_subclass(Mask).as_subclass(torch.Tensor))
    assert found.as_subclass(torch.Tensor).equal(call(x, y))
    related = call(x.as_subclass(Photograph), y.as_subclass(Image))
    assert related.as_subclass(torch.Tensor).equal(call(x, y))
