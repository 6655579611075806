"""TRL's trainers take the statistics of tokens from hidden states, and train as they do without."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("trl")

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from crossentropy.losses import focal_loss
from crossentropy.transformers import apply, loss_function
from tiny_transformers import SMALL, V, batch, make

WORDS = ["<pad>", "<s>", "</s>", *(f"w{i}" for i in range(V - 3))]
SETTINGS = {
    "per_device_train_batch_size": 2,
    "max_steps": 4,
    "learning_rate": 1e-2,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": [],
    "use_cpu": True,
    "disable_tqdm": True,
    "bf16": False,
    "gradient_checkpointing": False,
}


def tokenizer():
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<pad>"
    )


def sentence(i, length):
    return " ".join(f"w{(7 * i + 3 * j * j) % (V - 3)}" for j in range(length))


def losses_of(trainer):
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def sft(folder, use, **arguments):
    texts = Dataset.from_list([{"text": sentence(i, 4 + i % 5)} for i in range(12)])
    trainer = SFTTrainer(
        make("gemma 2").float(),
        SFTConfig(str(folder), max_length=16, **SETTINGS),
        train_dataset=texts,
        processing_class=tokenizer(),
        **arguments,
    )
    if use:
        apply(trainer.model)
    return losses_of(trainer)


def dpo(folder, use):
    pairs = [
        {"prompt": sentence(i, 3), "chosen": sentence(i + 1, 3 + i % 3), "rejected": sentence(i + 2, 4)}
        for i in range(12)
    ]
    trainer = DPOTrainer(
        make("gemma 2").float(),
        make("gemma 2").float(),
        args=DPOConfig(str(folder), max_length=16, **SETTINGS),
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer(),
    )
    if use:
        apply(trainer.model)
        apply(trainer.ref_model)
    return losses_of(trainer)


pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, about itself


@pytest.mark.parametrize("train", [sft, dpo])
def test_training_and_its_metrics_are_those_without(train, tmp_path):
    expected, found = train(tmp_path, False), train(tmp_path, True)
    assert len(found) == 4
    for step, reference in zip(found, expected, strict=True):
        for name in ("loss", "entropy", "mean_token_accuracy", "logps/chosen", "logits/rejected"):
            if name in reference:
                assert step[name] == pytest.approx(reference[name], rel=2e-4, abs=2e-5), name


def test_sft_takes_a_loss_of_logits(tmp_path):
    usual = sft(tmp_path, False)
    assert sft(tmp_path, False, compute_loss_func=loss_function())[0]["loss"] == pytest.approx(
        usual[0]["loss"], rel=1e-5
    )
    focal = sft(tmp_path, False, compute_loss_func=loss_function(focal_loss))
    assert focal[0]["loss"] < usual[0]["loss"]


def test_statistics_of_tokens_are_those_of_the_logits():
    model, inputs = make("cohere"), batch()
    u, labels = model(**inputs).logits[:, :-1], inputs["labels"][:, 1:]
    log_p = u.log_softmax(-1)
    outputs = apply(model)(**inputs, fused_lm_head=True)
    mask = labels != -100
    assert torch.equal(outputs.label_mask, mask)
    expected = log_p.gather(-1, labels.clamp(min=0)[..., None])[..., 0] * mask
    torch.testing.assert_close(outputs.log_probs, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(outputs.entropy, -(log_p.exp() * log_p).sum(-1) * mask, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(outputs.mean_logits, u.mean(-1) * mask, rtol=1e-11, atol=1e-12)
    assert torch.equal(outputs.is_top1, (u.argmax(-1) == labels) & mask)
    assert outputs.loss.item() == pytest.approx(-expected.sum().item() / mask.sum().item())


def test_options_that_would_have_no_effect_are_refused():
    with pytest.raises(
        ValueError, match="apply was called with z_loss, and a trainer of TRL computes its loss"
    ):
        apply(make("llama"), z_loss=1e-4)(**batch(), fused_lm_head=True)
    assert SMALL["pad_token_id"] == 0
