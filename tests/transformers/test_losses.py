"""Losses of logits for the Trainer."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.nn.functional as F
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    Trainer,
    TrainingArguments,
)
from transformers.modeling_outputs import (
    CausalLMOutputWithPast,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

import crossentropy as ce
from crossentropy.torch import causal_lm_loss
from crossentropy.transformers import loss_function
from sampling import full
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


@pytest.mark.parametrize("loss", [ce.softmax_cross_entropy, ce.losses.zlpr_loss])
def test_a_batch_of_labels_for_each_class_is_divided_by_its_rows(loss):
    labels = torch.eye(7, dtype=torch.float64)[[3, 6]]
    counted = labels.ne(-100).sum() * 2  # as the Trainer does; as many are elsewhere
    found = loss_function(loss)(SequenceClassifierOutput(logits=LOGITS[:, 0]), labels, counted)
    expected = loss(LOGITS[:, 0], labels, reduction="sum") / 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("loss", [loss_function(), causal_lm_loss])
def test_with_two_gpus_in_one_process_the_trainer_has_the_mean_over_the_batch(loss, averaged, tmp_path):
    """The Trainer repeats its count for each GPU, and makes up for it or not."""
    arguments = TrainingArguments(
        str(tmp_path), use_cpu=True, report_to=[], average_tokens_across_devices=averaged
    )
    arguments._n_gpu = 2
    model, tokens = make("llama"), batch()["input_ids"]
    inputs = {"input_ids": tokens, "labels": tokens}
    trainer = Trainer(model, arguments, compute_loss_func=loss)
    count = trainer._get_num_items_in_batch([inputs], torch.device("cpu"))
    assert count.shape == (2, 1)
    found = trainer.compute_loss(model, dict(inputs), num_items_in_batch=count).mean()
    assert found.item() == pytest.approx(model(**inputs).loss.item(), rel=1e-6)


def test_outputs_may_be_a_mapping_or_a_tuple():
    expected = loss_function(shift=0)(TokenClassifierOutput(logits=LOGITS), LABELS)
    for outputs in {"logits": LOGITS}, (LOGITS,):
        assert torch.equal(loss_function(shift=0)(outputs, LABELS), expected)
        with pytest.raises(ValueError, match=r"which does not tell .* pass loss_function\(shift=1\)"):
            loss_function()(outputs, LABELS)


NEEDED = {
    "balanced_softmax_loss": {"counts": torch.arange(1, 8)},
    "ldam_loss": {"counts": torch.arange(1, 8)},
    "forward_corrected_loss": {"transition": 0.9 * torch.eye(7) + 0.1 / 7},
    "backward_corrected_loss": {"transition": 0.9 * torch.eye(7) + 0.1 / 7},
}
OF_CLASS_INDICES = [
    "softmax_cross_entropy",
    "focal_loss",
    "poly_loss",
    "generalized_cross_entropy",
    "mean_absolute_error_loss",
    "bi_tempered_loss",
    "brier_loss",
    "hinge_loss",
    "active_passive_loss",
    "normalized_cross_entropy",
    "symmetric_cross_entropy",
    "hard_bootstrapping_loss",
    "soft_bootstrapping_loss",
    "taylor_cross_entropy",
    "tsallis_loss",
    "unlikelihood_loss",
    "partially_huberized_cross_entropy",
    "balanced_softmax_loss",
    "ldam_loss",
    "forward_corrected_loss",
    "backward_corrected_loss",
]


@pytest.mark.parametrize("name", OF_CLASS_INDICES)
def test_every_loss_of_class_indices_is_the_sum_over_the_labels_by_the_count_of_the_whole_batch(name):
    loss, options = getattr(ce.losses, name), NEEDED.get(name, {})
    kept = LABELS != -100
    expected = loss(LOGITS[kept], LABELS[kept], axis=-1, reduction="none", **options).sum() / 40
    found = loss_function(loss, **options)(
        TokenClassifierOutput(logits=LOGITS), LABELS, num_items_in_batch=torch.tensor(40)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_what_does_not_fit_is_refused_with_what_would():
    with pytest.raises(TypeError, match=r"focal_loss has no option gama; its options are .*gamma"):
        loss_function(ce.losses.focal_loss, gama=2)
    with pytest.raises(TypeError, match=r"ldam_loss needs counts; pass loss_function\(ldam_loss, counts=…\)"):
        loss_function(ce.losses.ldam_loss)
    with pytest.raises(ValueError, match=r"labels of dtype torch.float64 are not shifted; pass .*shift=0"):
        loss_function(ce.sigmoid_cross_entropy, shift=1)(TokenClassifierOutput(logits=LOGITS), LOGITS)
    with pytest.raises(TypeError, match=r"labels is None: the Trainer found none .* name the column"):
        loss_function()(TokenClassifierOutput(logits=LOGITS), None)
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


TINY = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def trainings(kind, folder):
    """Return a function from a loss to the losses of the Trainer's steps with it, by a model of this kind."""

    def losses(compute_loss_func):
        torch.manual_seed(0)
        if kind == "causal":
            model = make("llama").float()
        else:
            config = BertConfig(vocab_size=V, num_labels=4, hidden_dropout_prob=0, **TINY)
            config.attention_probs_dropout_prob = 0
            model = {"sequence": BertForSequenceClassification, "token": BertForTokenClassification}[kind](
                config
            )
        arguments = TrainingArguments(
            str(folder),
            max_steps=6,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(model, arguments, train_dataset=ROWS[kind], compute_loss_func=compute_loss_func)
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    return losses


def rows_of(kind):
    rows = []
    for i in range(24):
        tokens = torch.arange(3 + i, 11 + i) % V
        labels = {"sequence": torch.tensor(i % 4), "token": tokens % 4, "causal": tokens.clone()}[kind]
        if kind != "sequence":
            labels[: i % 6] = -100
        rows.append({"input_ids": tokens, "labels": labels})
    return rows


ROWS = {kind: rows_of(kind) for kind in ("sequence", "token", "causal")}


@pytest.mark.parametrize("kind", ROWS)
def test_the_trainer_accumulates_it_to_the_mean_over_the_whole_batch(kind, tmp_path):
    def by_torch(outputs, labels, num_items_in_batch=None):
        logits = outputs.logits
        if kind == "causal":
            logits, labels = logits[:, :-1], labels[:, 1:]
        total = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")
        return total / num_items_in_batch

    train = trainings(kind, tmp_path)
    found = train(loss_function())
    assert len(found) == 6
    assert found == pytest.approx(train(by_torch), rel=1e-4)


@pytest.mark.parametrize("kind", [next(iter(ROWS)), *full(list(ROWS)[1:])])
def test_the_trainer_takes_any_loss_with_its_options(kind, tmp_path):
    train = trainings(kind, tmp_path)
    assert train(loss_function(ce.losses.focal_loss, gamma=2.0))[0] < train(loss_function())[0]
