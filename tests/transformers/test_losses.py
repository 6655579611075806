"""Losses of logits for the Trainer."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.nn.functional as F
from transformers.modeling_outputs import (
    CausalLMOutputWithPast,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

import crossentropy as ce
from crossentropy.transformers import loss_function
from tiny_transformers import V, batch, make

RANDOM = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 5, 7, generator=RANDOM, dtype=torch.float64)
LABELS = torch.tensor([[1, 2, -100, 4, 5], [-100, 0, 6, 3, -100]])


def test_labels_of_a_causal_model_are_those_of_the_next_position():
    expected = F.cross_entropy(LOGITS[:, :-1].flatten(0, 1), LABELS[:, 1:].flatten())
    found = loss_function()(CausalLMOutputWithPast(logits=LOGITS), LABELS)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", [TokenClassifierOutput, MaskedLMOutput])
def test_labels_of_tokens_stand_beside_their_logits(kind):
    expected = F.cross_entropy(LOGITS.flatten(0, 1), LABELS.flatten())
    torch.testing.assert_close(loss_function()(kind(logits=LOGITS), LABELS), expected, rtol=1e-14, atol=0)


def test_the_sum_is_divided_by_the_labels_of_the_whole_batch():
    expected = F.cross_entropy(LOGITS.flatten(0, 1), LABELS.flatten(), reduction="sum") / 40
    found = loss_function()(TokenClassifierOutput(logits=LOGITS), LABELS, num_items_in_batch=torch.tensor(40))
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)


def test_any_loss_of_rows_serves_with_its_options():
    logits, labels = LOGITS[:, 0], torch.tensor([3, 6])
    outputs = SequenceClassifierOutput(logits=logits)
    p = logits.softmax(1)[torch.arange(2), labels]
    expected = (-((1 - p) ** 3) * p.log()).mean()
    torch.testing.assert_close(
        loss_function(ce.losses.focal_loss, gamma=3.0)(outputs, labels), expected, rtol=1e-12, atol=0
    )
    several = torch.tensor([[1.0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0]], dtype=torch.float64)
    torch.testing.assert_close(
        loss_function(ce.sigmoid_cross_entropy)(outputs, several, num_items_in_batch=28),
        F.binary_cross_entropy_with_logits(logits, several) / 2,
        rtol=1e-12,
        atol=0,
    )


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(TypeError, match=r"focal_loss has no option gama; its options are .*gamma"):
        loss_function(ce.losses.focal_loss, gama=2)
    with pytest.raises(TypeError, match="loss is 'focal'; pass a loss of rows"):
        loss_function("focal")

    def info_gain(logits, labels, *, base=2.0): ...

    with pytest.raises(TypeError, match="info_gain has no normalizer"):
        loss_function(info_gain, base=10.0)

    class Outputs:
        logits = LOGITS

    with pytest.raises(ValueError, match=r"the model's outputs are a Outputs, .* pass loss_function"):
        loss_function()(Outputs(), LABELS)
    assert loss_function(shift=0)(Outputs(), LABELS) == loss_function()(
        TokenClassifierOutput(logits=LOGITS), LABELS
    )


def test_a_causal_model_under_the_trainer_has_the_loss_of_its_own(tmp_path):
    model, inputs = make("llama"), batch()
    labels = inputs.pop("labels")
    found = loss_function()(model(**inputs), labels)
    torch.testing.assert_close(found.float(), model(**inputs, labels=labels).loss, rtol=1e-6, atol=0)
    assert model.config.vocab_size == V
