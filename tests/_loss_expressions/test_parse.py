import numpy as np
import pytest
import torch

from crossentropy import losses
from crossentropy._loss_expressions.errors import LossExpressionError
from crossentropy._loss_expressions.known_losses import KNOWN_LOSSES, WORDS
from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.torch import CrossEntropyLoss, FocalLoss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
LABELS = torch.tensor([2, 1])
COUNTS = torch.tensor([60, 30, 10])


@pytest.mark.parametrize(
    ("expression", "module"),
    [
        ("cross_entropy", CrossEntropyLoss()),
        (" cross_entropy() ", CrossEntropyLoss()),
        (
            "cross_entropy(label_smoothing=0.1, z_loss=1e-3)",
            CrossEntropyLoss(label_smoothing=0.1, z_loss=1e-3),
        ),
        ("focal", FocalLoss()),
        ("focal(gamma=3)", FocalLoss(gamma=3)),
    ],
)
def test_an_expression_stands_for_the_module_called_with_its_keywords(expression, module):
    assert parse_loss(expression).loss(LOGITS, LABELS) == module(LOGITS, LABELS)


OTHERS = {"order": 3, "iterations": 4, "keep": 1, "tau": 2.0, "log_zero": -1.0}
NEEDS = {"hard_example_loss": "keep=1"}


@pytest.mark.parametrize("name", KNOWN_LOSSES)
def test_every_known_loss_takes_every_keyword_it_names(name):
    needed = NEEDS.get(name, "")
    assert KNOWN_LOSSES[name].keywords
    for keyword in KNOWN_LOSSES[name].keywords:
        for value in WORDS.get(keyword, [OTHERS.get(keyword, 0.5)]):
            settings = f"{keyword}={value}" if keyword in needed else f"{keyword}={value}, {needed}"
            parse_loss(f"{name}({settings.strip(', ')})")


@pytest.mark.parametrize("name", KNOWN_LOSSES)
def test_every_known_loss_can_be_learnt_from(name):
    logits = LOGITS.clone().requires_grad_()
    loss = parse_loss(f"{name}({NEEDS.get(name, '')})", COUNTS).loss(logits, LABELS)
    loss.backward()
    assert loss.shape == ()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("poly_loss(epsilon=2)", lambda: losses.poly_loss(LOGITS, LABELS, epsilon=2)),
        ("balanced_softmax_loss", lambda: losses.balanced_softmax_loss(LOGITS, LABELS, COUNTS)),
        ("ldam_loss(scale=1)", lambda: losses.ldam_loss(LOGITS, LABELS, COUNTS, scale=1)),
        (
            "cross_entropy(class_weight=balanced)",
            lambda: losses.softmax_cross_entropy(LOGITS, LABELS, class_weight=100 / (3 * COUNTS)),
        ),
        (
            "focal(class_weight=class_balanced)",
            lambda: losses.focal_loss(LOGITS, LABELS, class_weight=losses.class_balanced_weights(COUNTS)),
        ),
        (
            "cross_entropy(logit_bias=adjusted)",
            lambda: torch.nn.functional.cross_entropy(LOGITS + (COUNTS / 100).log(), LABELS),
        ),
        (
            "hinge_loss(kind=weston-watkins)",
            lambda: losses.hinge_loss(LOGITS, LABELS, kind="weston-watkins"),
        ),
        (
            "soft_bootstrapping_loss(detach=True)",
            lambda: losses.soft_bootstrapping_loss(LOGITS, LABELS, detach=True),
        ),
    ],
)
def test_losses_are_those_of_the_literature_with_the_counts_of_the_training_rows(expression, expected):
    torch.testing.assert_close(parse_loss(expression, COUNTS).loss(LOGITS, LABELS), expected())


def test_a_word_that_a_keyword_does_not_know_names_those_it_does():
    with pytest.raises(LossExpressionError, match="class_weight=balanced or class_weight=class_balanced"):
        parse_loss("cross_entropy(class_weight=heavy)")


def test_a_keyword_without_a_default_is_asked_for():
    with pytest.raises(LossExpressionError, match=r"needs keep=number"):
        parse_loss("hard_example_loss")


def test_the_scale_of_a_margin_loss_is_in_its_predictions():
    got = parse_loss("ldam_loss(scale=4)", COUNTS).transform.log_probabilities(LOGITS.numpy())
    np.testing.assert_allclose(got, torch.log_softmax(4 * LOGITS.double(), 1), rtol=1e-14, atol=1e-15)


def test_an_offset_for_rare_classes_is_not_in_the_predictions():
    got = parse_loss("balanced_softmax_loss", COUNTS).transform.log_probabilities(LOGITS.numpy())
    np.testing.assert_allclose(got, torch.log_softmax(LOGITS.double(), 1), rtol=1e-14, atol=1e-15)


def test_probabilities_are_those_the_loss_is_about():
    """With a temperature or a softcap, the loss is not that of softmax(logits): nor is the prediction."""
    objective = parse_loss("cross_entropy(temperature=2, softcap=1.5)")
    picked = objective.transform.log_probabilities(LOGITS.numpy())[np.arange(2), LABELS]
    np.testing.assert_allclose(objective.loss(LOGITS, LABELS), -picked.mean(), rtol=1e-6)


def test_an_unknown_name_is_answered_in_one_line_by_the_nearest_loss_and_all_of_them():
    with pytest.raises(LossExpressionError) as error:
        parse_loss("hinge")
    text = str(error.value)
    assert text.startswith("'hinge' is the name of no loss. Did you mean hinge_loss?")
    assert text.endswith(f"A classifier can be trained with {', '.join(KNOWN_LOSSES)}.")


def test_a_loss_that_is_not_of_a_classifier_is_said_to_be_one_of_other_models():
    with pytest.raises(LossExpressionError, match="'info_nce' is a loss for other models"):
        parse_loss("info_nce")


def test_an_unknown_keyword_names_the_accepted_ones():
    with pytest.raises(LossExpressionError, match=r"takes gamma.*'gama'"):
        parse_loss("focal(gama=2)")


def test_a_value_the_loss_refuses_is_reported_with_its_reason():
    with pytest.raises(LossExpressionError, match=r"label_smoothing=2.*not possible"):
        parse_loss("cross_entropy(label_smoothing=2)")


@pytest.mark.parametrize("value", ["'2'", "True", "None", "[1]", "1e999", "x", "2+1", "abs(2)"])
def test_a_value_that_is_no_finite_number_is_refused(value):
    with pytest.raises(LossExpressionError, match="keyword=number"):
        parse_loss(f"focal(gamma={value})")


@pytest.mark.parametrize(
    "expression",
    ["", "focal(", "focal(gamma=1, gamma=2)", "2", "a.b", "a.b()", "f(1)(2)", "focal\0", "x = 1", "(" * 1000],
)
def test_what_is_neither_a_name_nor_a_call_of_one_is_refused(expression):
    with pytest.raises(LossExpressionError, match="cannot be read"):
        parse_loss(expression)


@pytest.mark.parametrize("expression", ["focal(2)", "focal(*[2])", "focal(**{'gamma': 2})"])
def test_only_keywords_are_taken(expression):
    with pytest.raises(LossExpressionError, match="keyword=number"):
        parse_loss(expression)


def test_nothing_is_evaluated(tmp_path):
    witness = tmp_path / "witness"
    with pytest.raises(LossExpressionError):
        parse_loss(f"focal(gamma=open({str(witness)!r}, 'w'))")
    assert not witness.exists()
