"""Work in JAX on the CPU, compiled, beside optax."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from case import Case
from measure import Sides

SHAPES = {(1024, 128256): 2.0, (8192, 1000): 1.3, (65536, 10): 1.3}


def jax_cases(logits_and_labels: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> list[Case]:
    """Rows of JAX, none where it or optax is missing."""
    if find_spec("jax") is None or find_spec("optax") is None:
        return []
    return [
        _rows(values, shape, speedup, logits_and_labels)
        for values in ("random", "peaky")
        for shape, speedup in SHAPES.items()
    ]


def _rows(values: str, shape: tuple[int, int], speedup: float, logits_and_labels: Callable[..., Any]) -> Case:
    """Value and gradient of the mean over rows, in one compiled function each."""

    def build() -> Sides:
        import jax
        import jax.numpy as jnp
        import optax

        from crossentropy.jax import softmax_cross_entropy_with_integer_labels as ours

        logits, labels = logits_and_labels(values, shape, torch.float32)
        z, y = jnp.asarray(logits.numpy()), jnp.asarray(labels.numpy().astype("int32"))
        kept: list[Any] = []

        def stepper(loss: Callable[..., Any]) -> Callable[[], float]:
            compiled = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y).mean()))

            def step() -> float:
                kept[:] = compiled(z, y)
                jax.block_until_ready(kept)
                return float(kept[0])

            return step

        peer = optax.losses.softmax_cross_entropy_with_integer_labels
        return Sides(stepper(ours), stepper(peer), kept.clear)

    return Case(
        work=f"JAX, jit, fwd+bwd {shape}",
        peer="optax",
        dtype="float32",
        values=values,
        nbytes=4 * shape[0] * shape[1],
        speedup=speedup,
        build=build,
    )
