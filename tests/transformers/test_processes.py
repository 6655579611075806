"""On two processes the gradients are those of one process on the whole batch, however the model is spread."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from functools import partial

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

import process_groups
from crossentropy.transformers import apply
from tiny_transformers import assert_same, batch, gradients, loss_of_logits, make


def shared_batch(rank, world):
    """The rows of a rank, and the divisor of its loss: what all have over the number of ranks."""
    inputs = batch(rows=4)
    labels = (inputs["labels"][:, 1:] != -100).sum()
    return {name: x[rank::world] for name, x in inputs.items()} | {"num_items_in_batch": labels / world}


def replicated(rank, world):
    model = DistributedDataParallel(apply(make("llama")))
    model(**shared_batch(rank, world)).loss.backward()
    return {name: p.grad.clone() for name, p in model.module.named_parameters()}


def sharded(rank, world, name="llama", apart=False, **options):
    model, mesh = apply(make(name)), init_device_mesh("cpu", (world,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, **options)
    if apart:
        fully_shard(model.lm_head, mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)
    model(**shared_batch(rank, world)).loss.backward()
    return {name: p.grad.full_tensor() for name, p in model.named_parameters()}


HALF = {"mp_policy": MixedPrecisionPolicy(torch.bfloat16, torch.float32)}
JOBS = {
    "replicated (DDP)": ("llama", 1e-10, replicated),
    "sharded (FSDP)": ("llama", 1e-10, sharded),
    "sharded, the head apart": ("llama", 1e-10, partial(sharded, apart=True)),
    "sharded, tied embeddings": ("llama, tied", 1e-10, partial(sharded, name="llama, tied")),
    "sharded, in bfloat16": ("llama", 0.1, partial(sharded, apart=True, **HALF)),
}


def every_job(rank, world):
    return {name: job(rank, world) for name, (_, _, job) in JOBS.items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return process_groups.run(tmp_path_factory.mktemp("ranks"), __file__, "every_job", 2)


@pytest.mark.parametrize("name", JOBS)
def test_gradients_on_two_processes_are_those_of_one(found, name):
    architecture, tolerance, _ = JOBS[name]
    model = make(architecture)
    expected = gradients(model, loss_of_logits(model, batch(rows=4)))
    scale = max(x.abs().max().item() for x in expected.values())
    for rank in found:
        gradient = {key: x.double() for key, x in rank[name].items()}
        assert_same(gradient, expected, atol=tolerance * scale)
