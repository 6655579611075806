"""Tiny models of many architectures, with random weights in float64, and batches for them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

V = 61
SMALL = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "use_cache": False}
LLAMA = SMALL | {
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
}
GEMMA = LLAMA | {"head_dim": 8, "final_logit_softcapping": 3.0, "tie_word_embeddings": True}
GPT2 = SMALL | {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
T5 = SMALL | {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 20,
    "num_layers": 1,
    "num_heads": 2,
    "decoder_start_token_id": 0,
}
ROUTED = {"num_local_experts": 3, "output_router_logits": True, "router_aux_loss_coef": 0.5}

#: Architecture -> the prefix of its classes, the name of its model, and its configuration.
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "ForCausalLM", LLAMA),
    "llama, tied": ("Llama", "ForCausalLM", LLAMA | {"tie_word_embeddings": True}),
    "gemma 2": ("Gemma2", "ForCausalLM", GEMMA),
    "gemma 3": ("Gemma3Text", "ForCausalLM", GEMMA),
    "qwen 2": ("Qwen2", "ForCausalLM", LLAMA),
    "qwen 3": ("Qwen3", "ForCausalLM", LLAMA | {"head_dim": 8}),
    "mistral": ("Mistral", "ForCausalLM", LLAMA),
    "phi 3": ("Phi3", "ForCausalLM", LLAMA),
    "gpt-2": ("GPT2", "LMHeadModel", GPT2),
    "gpt-neox": ("GPTNeoX", "ForCausalLM", LLAMA),
    "olmo 2": ("Olmo2", "ForCausalLM", LLAMA),
    "granite": ("Granite", "ForCausalLM", LLAMA | {"logits_scaling": 4.0}),
    "cohere": ("Cohere", "ForCausalLM", LLAMA | {"logit_scale": 0.25}),
    "mixtral": ("Mixtral", "ForCausalLM", LLAMA | ROUTED),
    "t5": ("T5", "ForConditionalGeneration", T5),
}


def make(name: str, **changes: Any) -> Any:
    """A model of the architecture `name` in float64, without dropout; the same weights each time."""
    prefix, kind, settings = ARCHITECTURES[name]
    torch.manual_seed(1)
    config = getattr(transformers, f"{prefix}Config")(**settings | changes)
    config._experts_implementation = "eager"  # the grouped products of experts have no float64
    model = getattr(transformers, {"Gemma3Text": "Gemma3"}.get(prefix, prefix) + kind)(config)
    with torch.no_grad():  # larger logits than a fresh model has, so that softcaps bend them
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.double().eval()


def batch(rows: int = 2, length: int = 7) -> dict[str, torch.Tensor]:
    """Tokens and labels, some of them ignored, the second row padded."""
    tokens = torch.randint(3, V, (rows, length), generator=torch.Generator().manual_seed(0))
    labels = tokens.clone()
    labels[0, :3] = -100
    mask = torch.ones_like(tokens)
    mask[-1, -2:] = 0
    labels[mask == 0] = -100
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def loss_of_logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss in float64 by PyTorch, from the logits; the models themselves round logits to float32."""
    outputs = model(**inputs)
    labels = inputs["labels"]
    if not model.config.is_encoder_decoder:
        labels = torch.nn.functional.pad(labels, (0, 1), value=-100)[:, 1:]
    loss = torch.nn.functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten())
    aux = getattr(outputs, "aux_loss", None)
    return loss if aux is None else loss + model.config.router_aux_loss_coef * aux


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of each parameter that has one."""
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], atol: float = 1e-10
) -> None:
    """The same parameters have gradients, and they are equal to `atol`."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=atol, msg=name)
