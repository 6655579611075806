import pytest
import torch

from crossentropy.torch import CrossEntropyLoss, FocalLoss
from crossentropy.training.errors import InputError
from crossentropy.training.loss_expressions import KNOWN_LOSSES, parse_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
LABELS = torch.tensor([2, 1])


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


@pytest.mark.parametrize("name", KNOWN_LOSSES)
def test_every_known_loss_takes_every_keyword_it_names(name):
    for keyword in KNOWN_LOSSES[name].keywords:
        parse_loss(f"{name}({keyword}=0.5)")


def test_probabilities_are_those_the_loss_is_about():
    """With a temperature or a softcap, the loss is not that of softmax(logits): nor is the prediction."""
    objective = parse_loss("cross_entropy(temperature=2, softcap=1.5)")
    picked = objective.log_probabilities(LOGITS)[torch.arange(2), LABELS]
    torch.testing.assert_close(objective.loss(LOGITS, LABELS).double(), -picked.mean(), rtol=1e-6, atol=0)


def test_an_unknown_name_lists_the_known_losses_a_line_each():
    with pytest.raises(InputError) as error:
        parse_loss("hinge")
    first, *lines = str(error.value).splitlines()
    assert "'hinge'" in first
    assert [line.split()[0] for line in lines] == list(KNOWN_LOSSES)


def test_an_unknown_keyword_names_the_accepted_ones():
    with pytest.raises(InputError, match=r"takes gamma.*'gama'"):
        parse_loss("focal(gama=2)")


def test_a_value_the_loss_refuses_is_reported_with_its_reason():
    with pytest.raises(InputError, match=r"label_smoothing=2.*not possible"):
        parse_loss("cross_entropy(label_smoothing=2)")


@pytest.mark.parametrize("value", ["'2'", "True", "None", "[1]", "1e999", "x", "2+1", "abs(2)"])
def test_a_value_that_is_no_finite_number_is_refused(value):
    with pytest.raises(InputError, match="keyword=number"):
        parse_loss(f"focal(gamma={value})")


@pytest.mark.parametrize(
    "expression",
    ["", "focal(", "focal(gamma=1, gamma=2)", "2", "a.b", "a.b()", "f(1)(2)", "focal\0", "x = 1", "(" * 1000],
)
def test_what_is_neither_a_name_nor_a_call_of_one_is_refused(expression):
    with pytest.raises(InputError, match="cannot be read"):
        parse_loss(expression)


@pytest.mark.parametrize("expression", ["focal(2)", "focal(*[2])", "focal(**{'gamma': 2})"])
def test_only_keywords_are_taken(expression):
    with pytest.raises(InputError, match="keyword=number"):
        parse_loss(expression)


def test_nothing_is_evaluated(tmp_path):
    witness = tmp_path / "witness"
    with pytest.raises(InputError):
        parse_loss(f"focal(gamma=open({str(witness)!r}, 'w'))")
    assert not witness.exists()
