"""One mean over a batch that comes in parts: micro-batches, processes, the Trainer of Hugging Face."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

import torch._dynamo  # noqa: E402, F811 - or each rank imports it by itself

import process_groups  # noqa: E402
from crossentropy.losses.sequences import sequence_cross_entropy  # noqa: E402
from crossentropy.torch.accumulation import causal_lm_loss, global_normalizer  # noqa: E402

VOCABULARY = 7
LENGTHS = (9, 2, 5, 3)  # of tokens to be learnt: uneven


def batch():
    """Four sequences of ten tokens, −100 behind what counts."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(VOCABULARY, (len(LENGTHS), 10), generator=generator)
    labels = tokens.clone()
    for n, length in enumerate(LENGTHS):
        labels[n, length + 1 :] = -100
    return tokens, labels


def make_model():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Embedding(VOCABULARY, 4), torch.nn.Linear(4, VOCABULARY)).double()


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters()]


def whole_batch():
    """The gradient of one process on everything at once."""
    model = make_model()
    tokens, labels = batch()
    loss = sequence_cross_entropy(model(tokens), labels, shift=1, ignore_index=-100)
    loss.backward()
    return loss.detach(), gradients(model)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


# ------------------------------------------------------------------------------------------ micro-batches


def test_accumulated_gradients_are_those_of_the_whole_batch():
    model = make_model()
    tokens, labels = batch()
    normalizer = global_normalizer((labels[:, 1:] != -100).sum())
    for n in range(4):
        loss = sequence_cross_entropy(
            model(tokens[n : n + 1]), labels[n : n + 1], shift=1, ignore_index=-100, normalizer=normalizer
        )
        loss.backward()
    assert_same(gradients(model), whole_batch()[1])


# ---------------------------------------------------------------------------------------------- processes


def of_a_rank(rank, world):
    """The normalizer, and the gradient that DistributedDataParallel has averaged."""
    model = torch.nn.parallel.DistributedDataParallel(make_model())
    tokens, labels = batch()
    mine = [[0], [1]] if rank == 0 else [[2], [3]]
    count = sum((labels[rows, 1:] != -100).sum() for rows in mine)
    normalizer = global_normalizer(count)
    for step, rows in enumerate(mine):
        model.require_backward_grad_sync = step == 1
        loss = sequence_cross_entropy(
            model(tokens[rows]), labels[rows], shift=1, ignore_index=-100, normalizer=normalizer
        )
        loss.backward()
    return normalizer, gradients(model)


def test_two_processes_with_uneven_tokens_have_the_gradient_of_one(tmp_path):
    """11 tokens here and 8 there: DistributedDataParallel averages over processes (transformers#34242)."""
    for normalizer, found in process_groups.run(tmp_path, __file__, "of_a_rank", 2):
        assert float(normalizer) == sum(LENGTHS) / 2
        assert_same(found, whole_batch()[1])


def test_one_process_divides_by_what_it_has():
    assert float(global_normalizer(12)) == 12
    tokens = torch.tensor([3.0], requires_grad=True)
    found = global_normalizer(tokens)
    assert found.shape == ()
    assert not found.requires_grad
    with pytest.raises(ValueError, match="one number"):
        global_normalizer(torch.ones(2))


# ------------------------------------------------------------------------------------ Trainer's loss function


def test_it_has_the_signature_that_trainer_calls():
    bound = inspect.signature(causal_lm_loss).bind("outputs", "labels", num_items_in_batch=None)
    assert list(bound.arguments) == ["outputs", "labels", "num_items_in_batch"]


@pytest.mark.parametrize("count", [sum(LENGTHS), torch.tensor(sum(LENGTHS))], ids=["int", "tensor"])
def test_micro_batches_of_the_trainer_add_up_to_the_whole(count):
    """`Trainer` counts `labels.ne(-100)` over all of them, and does not divide by their number again."""
    model = make_model()
    tokens, labels = batch()
    total = 0.0
    for rows in ([0], [1, 2], [3]):
        outputs = SimpleNamespace(logits=model(tokens[rows]))
        loss = causal_lm_loss(outputs, labels[rows], num_items_in_batch=count)
        loss.backward()
        total += loss.detach()
    expected, slopes = whole_batch()
    torch.testing.assert_close(total, expected, rtol=1e-13, atol=0)
    assert_same(gradients(model), slopes)


def test_without_a_count_it_is_the_mean_as_in_evaluation():
    tokens, labels = batch()
    logits = make_model()(tokens)
    from torch.nn.functional import cross_entropy

    expected = cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), labels[:, 1:].reshape(-1))
    torch.testing.assert_close(causal_lm_loss((logits,), labels), expected, rtol=1e-13, atol=0)


def test_the_logits_are_found_where_models_put_them():
    tokens, labels = batch()
    logits = make_model()(tokens)

    class ModelOutput(dict):
        """A mapping with attributes, as transformers' own."""

        logits = property(lambda self: self["logits"])

    expected = causal_lm_loss((logits, "cache"), labels)
    for outputs in ({"logits": logits}, ModelOutput(logits=logits), SimpleNamespace(logits=logits)):
        assert causal_lm_loss(outputs, labels) == expected
    for outputs in ({"loss": expected}, (), None, "logits", SimpleNamespace()):
        with pytest.raises(TypeError, match="without logits"):
            causal_lm_loss(outputs, labels)


def test_labels_that_are_shifted_already_are_left_where_they_are():
    tokens, labels = batch()
    logits = make_model()(tokens)
    moved = torch.cat([labels[:, 1:], torch.full((4, 1), -100)], dim=1)
    assert causal_lm_loss((logits,), moved, shift=0) == causal_lm_loss((logits,), labels)


def test_options_of_the_loss_are_passed_on():
    tokens, labels = batch()
    logits = make_model()(tokens)
    labels = labels.masked_fill(labels == -100, -1)
    found = causal_lm_loss((logits,), labels, ignore_index=-1, label_smoothing=0.1, z_loss=1e-3)
    expected = sequence_cross_entropy(
        logits, labels, shift=1, ignore_index=-1, label_smoothing=0.1, z_loss=1e-3
    )
    assert found == expected


def test_the_rows_of_a_classifier_are_not_shifted_against_each_other():
    logits, labels = torch.eye(4, dtype=torch.float64) * 9, torch.arange(4)
    with pytest.raises(
        ValueError, match=r"outputs have logits of shape \(4, 4\), and a shift of 1"
    ) as raised:
        causal_lm_loss((logits,), labels)
    assert "logits.unsqueeze(0) and labels.unsqueeze(0)" in str(raised.value)
    one = causal_lm_loss((logits.unsqueeze(0),), labels.unsqueeze(0))
    torch.testing.assert_close(one, torch.nn.functional.cross_entropy(logits[:-1], labels[1:]))

    from crossentropy.torch import cross_entropy

    assert "crossentropy.torch.cross_entropy(logits, labels, normalizer=num_items_in_batch)" in str(
        raised.value
    )
    torch.testing.assert_close(
        cross_entropy(logits, labels, normalizer=8),
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / 8,
    )
    torch.testing.assert_close(
        causal_lm_loss((logits,), labels, shift=0), torch.nn.functional.cross_entropy(logits, labels)
    )


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("labels", [(4,), (3, 4), (2, 3), (2, 4, 1), (8,)], ids=str)
def test_labels_of_another_rank_are_refused_by_every_shifted_loss(labels, shift):
    from crossentropy.torch import linear_cross_entropy

    logits, labels = torch.zeros(2, 4, 3), torch.zeros(labels, dtype=torch.long)
    for call in (
        lambda: causal_lm_loss((logits,), labels, shift=shift),
        lambda: sequence_cross_entropy(logits, labels, shift=shift),
        lambda: linear_cross_entropy(logits, torch.zeros(5, 3), labels, shift=shift),
    ):
        with pytest.raises(ValueError, match="shape"):
            call()
