"""The loops on the page for Accelerate and Lightning take the steps that one process takes on whole batches."""

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import process_groups

PAGE = Path(__file__).parents[2] / "docs/transformers.md"


def program(word):
    """The block of the page that imports `word`."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if re.search(rf"^(import|from) {word}\b", block, re.MULTILINE))
    return block


def run(word, changes=()):
    """What the block defines, with each pair of `changes`, (old text, new text), made in it."""
    text, namespace = program(word), {}
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    exec(text, namespace)
    return namespace


def steps_on_whole_batches(tokens, labels, model):
    """Two steps of gradient descent on the mean over the labels of eight rows, by PyTorch from logits."""
    for rows in torch.arange(16).split(8):
        logits = model(input_ids=tokens[rows]).logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, labels[rows, 1:].flatten())
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= parameter.grad
    return model.state_dict()


def expected_weights(namespace, model):
    return steps_on_whole_batches(namespace["tokens"], namespace["labels"], model)


def assert_same_weights(found, expected):
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-5, msg=name)


SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def accelerated(rank, world):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29511", "ACCELERATE_USE_CPU": "true"}
    namespace = run("accelerate")
    assert namespace["accelerator"].num_processes == world
    return {name: namespace[name] for name in ("weights", "tokens", "labels")}


@pytest.fixture(scope="module")
def fresh():
    """The model of the page, as it begins there."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=100, **SIZES))


def test_two_processes_of_accelerate_end_with_the_weights_of_one_on_whole_batches(fresh, tmp_path):
    pytest.importorskip("accelerate")
    first, second = process_groups.run(tmp_path, __file__, "accelerated", 2)
    assert_same_weights(first["weights"], second["weights"])
    assert_same_weights(first["weights"], expected_weights(first, fresh))


def trained_by_lightning(changes=()):
    """What the block for Lightning defines, and the weights that its model begins with."""
    lightning = pytest.importorskip("lightning")
    begun, original = {}, lightning.Trainer.fit

    def fit(self, module, loader):
        begun.update({name: x.clone() for name, x in module.model.state_dict().items()})
        return original(self, module, loader)

    lightning.Trainer.fit = fit
    try:
        return run("lightning", changes), begun
    finally:
        lightning.Trainer.fit = original


def assert_steps_of_lightning(weights, namespace, begun):
    model = LlamaForCausalLM(LlamaConfig(vocab_size=100, **SIZES))
    model.load_state_dict(begun)
    assert_same_weights(weights, expected_weights(namespace, model))


def test_lightning_ends_with_the_weights_of_whole_batches():
    namespace, begun = trained_by_lightning()
    assert_steps_of_lightning(namespace["module"].model.state_dict(), namespace, begun)


def by_lightning(rank, world):
    """As the page has it, on several processes that share the rows of each step."""
    os.environ["LOCAL_RANK"] = str(rank)
    share = "sampler=torch.utils.data.DistributedSampler(tokens, shuffle=False)"  # Lightning's own shuffles
    changes = [
        ("devices=1", f'devices={world}, strategy="ddp"'),
        ("batch_size=4", f"batch_size={4 // world}, {share}"),
    ]
    namespace, begun = trained_by_lightning(changes)
    assert namespace["trainer"].world_size == world
    assert namespace["trainer"].global_step == 2
    found = {name: namespace[name] for name in ("tokens", "labels")}
    return found | {"weights": namespace["module"].model.state_dict(), "begun": begun}


def test_two_processes_of_lightning_end_with_the_weights_of_whole_batches(tmp_path):
    pytest.importorskip("lightning")
    first, second = process_groups.run(tmp_path, __file__, "by_lightning", 2)
    assert_same_weights(first["weights"], second["weights"])
    assert_steps_of_lightning(first["weights"], first, first["begun"])
