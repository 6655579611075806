"""Models of many architectures have the loss and the gradients that they have without `apply`, and no logits."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from crossentropy.transformers import apply, restore
from tiny_transformers import ARCHITECTURES, V, assert_same, batch, gradients, loss_of_logits, make


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_loss_and_gradients_are_those_of_the_logits_which_are_not_made(name):
    model, inputs = make(name), batch()
    expected = loss_of_logits(model, inputs)
    expected_gradients = gradients(model, expected)

    outputs = apply(model)(**inputs)
    assert outputs.logits is None
    assert outputs.loss.item() == pytest.approx(expected.item(), abs=1e-10, rel=0)
    assert_same(gradients(model, outputs.loss), expected_gradients)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_without_labels_and_after_restore_a_model_is_what_it_was(name):
    model, inputs = make(name), batch()
    tokens = {key: x for key, x in inputs.items() if key != "labels"}
    if name == "t5":
        tokens["decoder_input_ids"] = inputs["input_ids"]
    before, loss_before = model(**tokens).logits, model(**inputs).loss
    attributes = set(vars(model)), [set(vars(layer)) for layer in model.modules()]

    assert torch.equal(apply(model)(**tokens).logits, before)
    restore(model)
    assert (set(vars(model)), [set(vars(layer)) for layer in model.modules()]) == attributes
    again = model(**inputs)
    assert torch.equal(again.loss, loss_before)
    assert again.logits.shape == (*inputs["labels"].shape, V)


@pytest.mark.parametrize("name", ["llama", "gemma 2", "cohere"])
def test_generation_is_unchanged(name):
    model, tokens = make(name, use_cache=True), batch()["input_ids"][:1]
    expected = model.generate(tokens, max_new_tokens=5, do_sample=False)
    assert torch.equal(apply(model).generate(tokens, max_new_tokens=5, do_sample=False), expected)


@pytest.mark.parametrize("name", ["llama", "gemma 3", "granite", "t5"])
def test_logits_are_computed_beside_the_loss_if_they_are_asked_for(name):
    model, inputs = make(name), batch()
    expected = model(**inputs).logits
    apply(model)
    torch.testing.assert_close(model(**inputs, return_logits=True).logits, expected, rtol=1e-13, atol=1e-13)
    if name != "t5":
        kept = model(**inputs, logits_to_keep=2)
        torch.testing.assert_close(kept.logits, expected[:, -2:], rtol=1e-13, atol=1e-13)
        assert torch.equal(kept.loss, model(**inputs).loss)


def test_as_a_tuple_the_outputs_begin_with_the_loss_and_have_no_logits():
    model, inputs = apply(make("llama")), batch()
    loss = model(**inputs).loss
    assert torch.equal(model(**inputs, return_dict=False)[0], loss)
    assert len(model(**inputs, return_dict=False)) == 1
    assert len(model(**inputs, return_dict=False, return_logits=True)) == 2


def test_the_divisor_of_a_batch_in_parts_is_the_one_that_is_passed():
    model, inputs = apply(make("llama")), batch()
    labels = (inputs["labels"][:, 1:] != -100).sum()
    mean = model(**inputs).loss
    torch.testing.assert_close(
        model(**inputs, num_items_in_batch=2 * labels).loss, mean / 2, rtol=1e-14, atol=0
    )


def test_labels_that_are_shifted_already_stand_where_they_are():
    model, inputs = apply(make("llama")), batch()
    shifted = torch.nn.functional.pad(inputs["labels"], (0, 1), value=-100)[:, 1:].contiguous()
    torch.testing.assert_close(
        model(**inputs, shift_labels=shifted).loss, model(**inputs).loss, rtol=1e-14, atol=0
    )


def test_options_are_those_of_the_loss():
    import crossentropy as ce

    model, inputs = make("gemma 2"), batch()
    labels = torch.nn.functional.pad(inputs["labels"], (0, 1), value=-100)[:, 1:].contiguous()
    options = {"label_smoothing": 0.1, "z_loss": 1e-2, "link": ce.links.Focal(2.0)}
    expected = ce.softmax_cross_entropy(model(**inputs).logits, labels, ignore_index=-100, **options)
    torch.testing.assert_close(apply(model, **options)(**inputs).loss, expected, rtol=1e-12, atol=0)
