"""What people train with: adapters, checkpoints of activations, frozen heads, mixed precision, the Trainer."""

import copy
import shutil
import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch import nn
from torch._inductor import config as inductor_config
from transformers import Trainer, TrainingArguments

import crossentropy as ce
import crossentropy.torch as ct
from crossentropy.transformers import applied, apply, restore
from sampling import full
from tiny_transformers import V, assert_same, batch, gradients, loss_of_logits, make


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("name", ["llama", "gemma 2", "mixtral", "t5"])
def test_activations_may_be_checkpointed(name, use_reentrant):
    model, inputs = make(name, **({"dropout_rate": 0.0} if name == "t5" else {})), batch()
    model.train()
    whole = gradients(model, loss_of_logits(model, inputs))
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    model.enable_input_require_grads()  # which reentrant checkpoints need
    expected = gradients(model, loss_of_logits(model, inputs))
    if not (name == "mixtral" and use_reentrant):  # whose routers then have no gradient of their own loss
        assert_same(expected, whole)
    assert_same(gradients(model, apply(model)(**inputs).loss), expected)


def test_a_frozen_head_has_no_gradient_and_the_others_have_theirs():
    model, inputs = make("llama"), batch()
    model.lm_head.requires_grad_(False)
    expected = gradients(model, loss_of_logits(model, inputs))
    found = gradients(apply(model), model(**inputs).loss)
    assert "lm_head.weight" not in found
    assert_same(found, expected)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_low_rank_update_of_the_head_and_of_other_layers_learns(order, dropout):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=3, lora_alpha=5, lora_dropout=dropout, target_modules=["q_proj", "lm_head"], init_lora_weights=False
    )
    model, inputs = make("gemma 2", tie_word_embeddings=False), batch()
    if order == "before":
        apply(model)
    model = peft.get_peft_model(model, config).double().train()
    if order == "after":
        apply(model)
    torch.manual_seed(7)
    found_loss = model(**inputs).loss
    found = gradients(model, found_loss)
    restore(model)
    torch.manual_seed(7)
    expected_loss = loss_of_logits(model, inputs)
    assert found_loss.item() == pytest.approx(expected_loss.item(), abs=1e-12)
    assert any("lm_head.lora_A" in name for name in found)
    assert_same(found, gradients(model, expected_loss))


def test_adapters_that_are_switched_off_are_left_out():
    peft = pytest.importorskip("peft")
    inputs = batch()
    expected = loss_of_logits(make("llama"), inputs)
    config = peft.LoraConfig(r=3, target_modules=["lm_head"], init_lora_weights=False)
    model = (
        apply(peft.get_peft_model(make("llama"), config))
        and peft.get_peft_model(make("llama"), config).double()
    )
    apply(model)
    with model.disable_adapter():
        assert model(**inputs).loss.item() == pytest.approx(expected.item(), abs=1e-12)


def test_an_adapter_that_scales_the_logits_class_by_class_is_refused_with_what_it_does():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=3, target_modules=["lm_head"], use_dora=True)
    model = apply(peft.get_peft_model(make("llama"), config))
    with pytest.raises(TypeError, match=r"the model .*logits of its output layer.*restore"):
        model(**batch())


ADAPTERS = {
    "IA3": ("IA3Config", {"feedforward_modules": []}),
    "VeRA": ("VeraConfig", {"r": 3}),
    "LoHa": ("LoHaConfig", {"r": 3}),
    "DoRA": ("LoraConfig", {"r": 3, "use_dora": True}),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_other_adapters_serve_on_other_layers_and_are_refused_on_the_head(name):
    peft = pytest.importorskip("peft")
    kind, settings = ADAPTERS[name]

    def adapted(layer):
        config = getattr(peft, kind)(target_modules=[layer], **settings)
        return peft.get_peft_model(make("llama"), config).double()

    model, inputs = adapted("q_proj"), batch()
    expected = gradients(model, loss_of_logits(model, inputs))
    apply(model)
    assert model(**inputs).logits is None
    assert_same(gradients(model, model(**inputs).loss), expected)
    with pytest.raises(TypeError, match=r"the logits of its output layer.*restore"):
        apply(adapted("lm_head"))(**inputs)


def test_trained_tokens_of_tied_embeddings_are_refused():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=3, target_modules=["q_proj"], trainable_token_indices=[3, 4])
    model = apply(peft.get_peft_model(make("llama, tied"), config))
    with pytest.raises(TypeError, match=r"computed no loss .* a TrainableTokensWrapper, .*restore"):
        model(**batch())


def test_a_saved_copy_of_the_head_learns():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=3, target_modules=["q_proj"], modules_to_save=["lm_head"])
    model, inputs = peft.get_peft_model(make("llama"), config).double(), batch()
    expected = gradients(model, loss_of_logits(model, inputs))
    found = gradients(apply(model), model(**inputs).loss)
    assert any("modules_to_save" in name for name in expected)
    assert {name.removeprefix("base_model.model."): x.shape for name, x in expected.items()} == {
        name.removeprefix("base_model.model."): x.shape for name, x in found.items()
    }
    assert_same({f"base_model.model.{name}": x for name, x in found.items()}, expected)


def test_in_half_precision_the_loss_is_closer_to_the_truth_than_that_of_half_precision_logits():
    model, inputs = make("llama").float(), batch()
    truth = loss_of_logits(copy.deepcopy(model).double(), inputs).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        usual = model(**inputs).loss
        with applied(model):
            loss = model(**inputs).loss
    loss.backward()
    assert loss.dtype == torch.float32
    assert model.lm_head.weight.grad.dtype == torch.float32
    assert abs(loss.item() - truth) <= abs(usual.item() - truth) + 2e-3 * truth


@pytest.mark.parametrize("name", ["llama", "gemma 2", "mixtral"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_gradients_of_a_model_in_half_precision_are_as_close_to_the_truth_as_those_of_its_logits(
    name, dtype
):
    model, inputs = make(name).to(dtype), batch()
    exact = copy.deepcopy(model).double()
    truth = gradients(exact, loss_of_logits(exact, inputs))

    def error(loss):
        found = gradients(model, loss)
        assert found.keys() == truth.keys()
        return max(((found[key].double() - x).abs().max() / x.abs().max()).item() for key, x in truth.items())

    usual = error(model(**inputs).loss)
    loss = apply(model)(**inputs).loss
    assert loss.dtype == torch.float32
    # The layers below the head round either way: a rounding or two of the largest entry lie between the errors.
    assert error(loss) <= usual + 2 * torch.finfo(dtype).eps


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a compiler")
def test_a_model_that_inductor_compiles_has_the_same_loss_and_gradients():
    model, inputs = make("llama"), batch()
    expected = loss_of_logits(model, inputs)
    expected_gradients = gradients(model, expected)
    with inductor_config.patch(
        compile_threads=1
    ):  # processes that compile take longer to begin than this does
        loss = torch.compile(apply(model), fullgraph=True)(**inputs).loss
        found = gradients(model, loss)
    # The model normalizes in float32, in which inductor orders and contracts the operations otherwise.
    assert loss.item() == pytest.approx(expected.item(), abs=1e-7)
    assert_same(found, expected_gradients, atol=1e-6)


@pytest.mark.full
def test_a_traced_model_has_the_same_loss_and_gradients():
    model, inputs = make("gemma 2"), batch()
    expected = loss_of_logits(model, inputs)
    expected_gradients = gradients(model, expected)
    compiled = torch.compile(apply(model), fullgraph=True, backend="aot_eager")
    loss = compiled(**inputs).loss
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    assert_same(gradients(model, loss), expected_gradients)


def test_what_is_saved_is_what_would_be_saved_without(tmp_path):
    model, inputs = apply(make("llama")), batch()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, dtype=torch.float64)
    assert loaded(**inputs).logits is not None
    torch.testing.assert_close(apply(loaded)(**inputs).loss, model(**inputs).loss, rtol=0, atol=0)


class Rows(torch.utils.data.Dataset):
    """Rows of different numbers of labels."""

    def __init__(self):
        random = torch.Generator().manual_seed(2)
        self.tokens = torch.randint(3, V, (64, 9), generator=random)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, i):
        labels = self.tokens[i].clone()
        labels[: i % 6] = -100
        return {"input_ids": self.tokens[i], "labels": labels}


def train(model, folder, **settings):
    """The losses of a training by the Trainer, step by step."""
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        seed=3,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(model, arguments, train_dataset=Rows())
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("name", ["llama", *full(["mixtral"])])
def test_fifty_steps_of_the_trainer_end_at_the_same_losses(name, tmp_path):
    expected = train(make(name), tmp_path, max_steps=50)
    losses = train(apply(make(name)), tmp_path, max_steps=50)
    assert len(losses) == 50
    assert losses[-1] < losses[0]
    # The models round logits to float32, and fifty steps of AdamW carry this on.
    assert losses == pytest.approx(expected, rel=1e-4)


def test_a_head_that_does_not_record_is_refused_at_apply_time_and_at_the_call():
    from transformers import BertConfig, BertModel

    with pytest.raises(TypeError, match="has no output embeddings"):
        apply(BertModel(BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=1)))
    with pytest.raises(TypeError, match=r"Linear; pass a transformers.PreTrainedModel"):
        apply(nn.Linear(2, 2))
    with pytest.raises(
        TypeError, match=r"model is 'gpt2'; pass .* as AutoModelForCausalLM.from_pretrained loads"
    ):
        apply("gpt2")
    with pytest.raises(TypeError, match=r"pass a model, as BertModel\(config\) makes one"):
        apply(BertModel)
    for wrapped in (torch.compile(make("llama")), nn.DataParallel(make("llama"))):
        with pytest.raises(
            TypeError, match=r"PreTrainedModel that it wraps, and wrap it after apply\(model\)"
        ):
            apply(wrapped)
    with pytest.raises(TypeError, match="no option temperature, which is the model's"):
        apply(make("llama"), temperature=2.0)
    with pytest.raises(
        TypeError, match=r"apply has no argument label_smooting; pass label_smoothing=.* Its arguments"
    ):
        apply(make("llama"), label_smooting=0.1)

    class Quantized(nn.Linear):
        def forward(self, x):
            return super().forward(x).round()

    model = make("llama")
    model.lm_head = Quantized(16, V, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"the output layer of this LlamaForCausalLM is a .*Quantized"):
        apply(model)

    model = make("llama")
    forward = nn.Linear.forward
    apply(model).lm_head = nn.Sequential(nn.Linear(16, V, dtype=torch.float64))
    model.lm_head.weight = model.lm_head[0].weight
    model.lm_head.register_forward_hook(lambda layer, inputs, logits: logits.sigmoid())
    with pytest.raises(TypeError, match="uses their attribute 'sigmoid'"):
        model(**batch())
    assert nn.Linear.forward is forward


def test_a_model_that_is_refused_is_as_it_was():
    model = make("llama")
    model.forward = lambda **inputs: None
    before = dict(vars(model))
    with pytest.raises(TypeError, match="which is no method"):
        apply(model)
    assert vars(model) == before
    assert "forward" not in vars(model.lm_head)


def test_a_model_that_computes_its_loss_otherwise_is_refused():
    model = apply(make("llama"))
    model.loss_function = lambda logits, labels, **kwargs: torch.tensor(0.0)
    with pytest.raises(TypeError, match=r"computed no loss by torch\.nn\.functional\.cross_entropy"):
        model(**batch())
    model.loss_function = lambda logits, labels, **kwargs: torch.log_softmax(logits, -1).sum()
    with pytest.raises(TypeError, match=r"the model calls log_softmax\(\) on them"):
        model(**batch())
    for loss in ct.cross_entropy, ce.softmax_cross_entropy:
        model.loss_function = lambda logits, labels, loss=loss, **kwargs: loss(logits, labels)
        with pytest.raises(TypeError, match=r"the model passes them to a function .*restore\(model\)"):
            model(**batch())
    model.loss_function = lambda logits, labels, **kwargs: logits + torch.tensor(1.0)
    with pytest.raises(TypeError, match=r"the model adds a tensor of shape \(\) to them"):
        model(**batch())


def test_a_label_outside_the_vocabulary_is_an_error_that_names_it():
    inputs = batch()
    inputs["labels"][1, 2] = V
    with pytest.raises(ValueError, match=str(V)):
        apply(make("llama"))(**inputs)
