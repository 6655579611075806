"""Copies of a model that `apply` was called for compute their losses without logits, each from its own weights."""

import copy
import importlib
import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from crossentropy.transformers import apply, restore
from tiny_transformers import V, assert_same, batch, gradients, loss_of_logits, make


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, saved])
def test_a_copy_is_a_model_of_its_own(copied):
    model, inputs = apply(make("llama"), z_loss=1e-3), batch()
    expected = model(**inputs).loss
    twin = copied(model)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    outputs = twin(**inputs)
    assert outputs.logits is None
    assert torch.equal(outputs.loss, expected)
    assert model(**inputs).loss.item() == pytest.approx(
        torch.tensor(V).log().item() + 1e-3 * torch.tensor(V).log().item() ** 2
    )
    assert restore(twin)(**inputs).logits.shape == (2, 7, V)
    assert "_replicate_for_data_parallel" not in vars(twin) | vars(twin.lm_head)


def test_replicas_of_data_parallel_run_at_the_same_time_each_with_its_own_weights(monkeypatch):
    model, inputs = make("llama"), batch(rows=4)
    expected = gradients(model, loss_of_logits(model, inputs))
    labels = (inputs["labels"][:, 1:] != -100).sum()
    apply(model)
    replicate = importlib.import_module("torch.nn.parallel.replicate")
    # DataParallel copies to GPUs; here every "device" is the CPU, and the copies are differentiable as its are.
    monkeypatch.setattr(replicate, "_get_device_index", lambda device, optional: device)
    monkeypatch.setattr(
        replicate,
        "_broadcast_coalesced_reshape",
        lambda tensors, devices, detach: [[x.clone() for x in tensors] for _ in devices],
    )
    both_run, first_has_ended, this = threading.Barrier(2, timeout=20), threading.Event(), threading.local()

    def meet(*_):  # behind the decoder, while the output layer records; the first then ends before the second
        both_run.wait()
        if this.rank == 1:
            first_has_ended.wait(20)

    handle = model.model.register_forward_hook(meet)
    first, second = replicate.replicate(model, [0, 1])
    with torch.no_grad():
        before = first.lm_head.weight.clone()
        model.lm_head.weight.zero_()  # whoever reads the weights of the original reads zeros

    def loss(replica, rank):
        this.rank = rank
        outputs = replica(**{name: x[rank::2] for name, x in inputs.items()}, num_items_in_batch=labels)
        assert outputs.logits is None
        first_has_ended.set()
        return outputs.loss

    with ThreadPoolExecutor(2) as threads:
        total = sum(threads.map(loss, (first, second), (0, 1)))
    handle.remove()  # from the replicas as well, which share their hooks
    with torch.no_grad():
        model.lm_head.weight.copy_(before)
    assert_same(gradients(model, total), expected)
    tokens = inputs["input_ids"]
    torch.testing.assert_close(first(input_ids=tokens).logits, restore(model)(input_ids=tokens).logits)
