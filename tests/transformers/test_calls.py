"""However a model is called and changed after `apply`, its loss and gradients are those of its logits."""

import copy
from types import MethodType

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.nn.functional as F

from crossentropy.transformers import applied, apply, restore
from tiny_transformers import V, assert_same, batch, gradients, loss_of_logits, make

ONE = {"input_ids": torch.tensor([[5]]), "labels": torch.tensor([[5]])}


def assert_serves(model, inputs, **call):
    """The model with `apply`, called so, has the loss and the gradients that its logits have."""
    reference = restore(copy.deepcopy(model))
    expected = loss_of_logits(reference, inputs)
    outputs = model(**inputs, **call)
    loss = outputs[0] if isinstance(outputs, tuple) else outputs.loss
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected.item(), abs=1e-10, rel=0)
    assert_same(gradients(model, loss), gradients(reference, expected))
    return outputs


@pytest.mark.parametrize("name", ["llama", "gpt-2", "t5"])
def test_without_a_label_the_loss_is_nan_as_before_and_its_gradients_are_zero(name):
    model, inputs = make(name), batch()
    inputs["labels"].fill_(-100)
    assert model(**inputs).loss.isnan()
    loss = apply(model)(**inputs).loss
    assert loss.isnan()
    assert all(not gradient.any() for gradient in gradients(model, loss).values())


def test_a_part_of_a_batch_without_a_label_adds_nothing_where_other_parts_have_labels():
    model, inputs = apply(make("llama")), batch()
    loss = model(**inputs | {"labels": torch.full_like(inputs["labels"], -100)}, num_items_in_batch=5).loss
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model, loss).values())


def test_one_token_has_no_label_ahead_unless_it_is_shifted_already():
    model = make("llama")
    logits = model(input_ids=ONE["input_ids"]).logits
    apply(model)
    assert model(**ONE).loss.isnan()
    found = model(**ONE, shift_labels=torch.tensor([[7]])).loss
    torch.testing.assert_close(found, F.cross_entropy(logits[0], torch.tensor([7])), rtol=1e-12, atol=0)


def test_what_else_a_model_returns_is_what_it_returned():
    model, inputs = make("llama"), batch()
    asked = {"output_hidden_states": True, "use_cache": True}
    expected, expected_tuple = model(**inputs, **asked), model(**inputs, **asked, return_dict=False)
    outputs = assert_serves(apply(model), inputs, **asked)
    assert set(outputs) == set(expected) - {"logits"}
    for found, before in zip(outputs.hidden_states, expected.hidden_states, strict=True):
        assert torch.equal(found, before)
    assert len(assert_serves(model, inputs, **asked, return_dict=False)) == len(expected_tuple) - 1


def test_labels_by_place_embeddings_in_place_of_tokens_and_labels_of_32_bits_serve():
    model, inputs = apply(make("llama")), batch()
    by_name = model(**inputs).loss
    places = (inputs["input_ids"], inputs["attention_mask"], None, None, None, inputs["labels"])
    assert torch.equal(model(*places).loss, by_name)
    embedded = {
        "inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]),
        "attention_mask": inputs["attention_mask"],
    }
    assert torch.equal(model(**embedded, labels=inputs["labels"]).loss, by_name)
    assert torch.equal(model(**inputs | {"labels": inputs["labels"].int()}).loss, by_name)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_with_labels_has_the_loss_and_no_graph(mode):
    model, inputs = make("gemma 2"), batch()
    expected = loss_of_logits(model, inputs).item()
    with mode():
        loss = apply(model)(**inputs).loss
    assert loss.item() == pytest.approx(expected, abs=1e-10)
    assert not loss.requires_grad


@pytest.mark.parametrize("learning", ["nothing", "head", "body"])
def test_whatever_is_frozen_the_rest_has_its_gradient(learning):
    model, inputs = apply(make("llama")), batch()
    model.model.requires_grad_(learning == "body")
    model.lm_head.requires_grad_(learning == "head")
    if learning == "nothing":
        assert not model(**inputs).loss.requires_grad
    else:
        assert_serves(model, inputs)


def test_changes_of_the_model_after_apply_count():
    model, inputs = apply(make("gemma 2")), batch()
    before = model(**inputs).loss.item()
    model.config.final_logit_softcapping = 1.0
    assert_serves(model, inputs)
    assert abs(model(**inputs).loss.item() - before) > 1e-4
    model.config.final_logit_softcapping = None
    assert_serves(model, inputs)
    model.resize_token_embeddings(V + 9, mean_resizing=False)
    assert assert_serves(model, inputs).logits is None
    assert restore(model)(**inputs).logits.shape[-1] == V + 9


def test_a_model_that_has_lost_its_output_layer_says_so_and_can_be_restored():
    model, inputs = apply(make("llama")), batch()
    before = model.lm_head
    for head, said in (
        (None, "has no output embeddings"),
        (torch.nn.Sequential(), "output layer .* is a .*Seq"),
    ):
        model.lm_head = head
        with pytest.raises(TypeError, match=said):
            model(**inputs)
    assert "forward" not in vars(restore(model))
    assert "forward" not in vars(before)
    with applied(make("llama")) as model:
        model.lm_head = None


def test_an_output_layer_that_was_replaced_is_a_plain_one_after_restore():
    model, inputs = apply(make("llama")), batch()
    before = model.lm_head
    model.lm_head = copy.deepcopy(before)
    assert_serves(model, inputs)
    restore(model)
    assert not {"forward", "_recording"} & {*vars(before), *vars(model.lm_head)}


def test_a_second_call_of_apply_replaces_the_first():
    model, inputs = make("llama"), batch()
    names = set(vars(model)), set(vars(model.lm_head))
    apply(model, label_smoothing=0.5)
    apply(model)
    assert_serves(model, inputs)
    restore(model)
    assert (set(vars(model)), set(vars(model.lm_head))) == names


def test_a_block_with_apply_ends_with_the_model_as_it_was_by_an_error_too():
    model, inputs = make("llama"), batch()
    with applied(model) as same:
        assert same is model
        assert_serves(model, inputs)
    assert model(**inputs).logits is not None
    with pytest.raises(ValueError, match="label 99 "), applied(model):
        model(**inputs | {"labels": torch.full_like(inputs["labels"], 99)})
    assert model(**inputs).logits is not None


def test_what_has_wrapped_the_forward_since_stays_and_the_model_in_it_is_restored():
    model, inputs = apply(make("llama")), batch()
    model.forward = MethodType(torch.no_grad()(model.forward.__func__), model)
    outputs = restore(model)(**inputs)
    assert outputs.logits.shape == (2, 7, V)
    assert not outputs.loss.requires_grad


def test_an_error_while_the_model_runs_leaves_its_logits_without_labels_as_they_are():
    model, inputs = make("llama"), batch()
    expected = model(input_ids=inputs["input_ids"]).logits
    apply(model)
    with pytest.raises(ValueError, match="label 99 "):
        model(**inputs | {"labels": torch.full_like(inputs["labels"], 99)})
    assert torch.equal(model(input_ids=inputs["input_ids"]).logits, expected)


def test_an_exported_program_without_labels_is_that_of_the_model():
    model, tokens = make("llama"), batch()["input_ids"]
    expected = model(input_ids=tokens).logits
    program = torch.export.export(apply(model), (), {"input_ids": tokens, "use_cache": False})
    assert torch.equal(program.module()(input_ids=tokens, use_cache=False).logits, expected)


def test_functional_calls_differentiate_with_respect_to_the_parameters_they_pass():
    model, inputs = apply(make("llama")), batch()
    expected = gradients(model, model(**inputs).loss)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters):
        return torch.func.functional_call(model, parameters, (), inputs).loss

    assert_same(torch.func.grad(loss)(parameters), expected)


def test_a_layer_that_accelerate_moves_is_refused():
    hooks = pytest.importorskip("accelerate.hooks")
    model = make("llama")
    hooks.add_hook_to_module(model.lm_head, hooks.AlignDevicesHook("cpu", offload=True))
    with pytest.raises(TypeError, match=r"a forward of its own .*device_map with offloading"):
        apply(model)
