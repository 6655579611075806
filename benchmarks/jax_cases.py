"""Work in JAX on the CPU, compiled, beside optax."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from case import Case
from measure import Sides

SHAPES = {(1024, 128256): 2.0, (8192, 1000): 1.3, (65536, 10): 1.3}
QUESTIONS = {(8192, 1000): 1.3, (65536, 10): 1.3}


def jax_cases(logits_and_labels: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> list[Case]:
    """Rows of JAX, none where it or optax is missing."""
    if find_spec("jax") is None or find_spec("optax") is None:
        return []
    return [
        _steps(values, shape, speedup, logits_and_labels, questions)
        for questions, shapes in ((False, SHAPES), (True, QUESTIONS))
        for values in ("random", "peaky")
        for shape, speedup in shapes.items()
    ]


def _steps(
    values: str,
    shape: tuple[int, int],
    speedup: float,
    logits_and_labels: Callable[..., Any],
    questions: bool,
) -> Case:
    """Value and gradient of the mean, over rows or yes-or-no questions, in one compiled function each."""

    def build() -> Sides:
        import jax
        import jax.numpy as jnp
        import optax

        import crossentropy.jax

        logits, labels = logits_and_labels(values, shape, torch.float32)
        if questions:
            name, labels = "sigmoid_binary_cross_entropy", (logits.roll(1, 0) > 1).float()
        else:
            name, labels = "softmax_cross_entropy_with_integer_labels", labels.int()
        z, y = jnp.asarray(logits.numpy()), jnp.asarray(labels.numpy())
        kept: list[Any] = []

        def stepper(losses: Any) -> Callable[[], float]:
            loss = getattr(losses, name)
            compiled = jax.jit(jax.value_and_grad(lambda z, y: loss(z, y).mean()))

            def step() -> float:
                kept[:] = compiled(z, y)
                jax.block_until_ready(kept)
                return float(kept[0])

            return step

        return Sides(stepper(crossentropy.jax), stepper(optax.losses), kept.clear)

    return Case(
        work=f"JAX, jit, {'yes or no, ' if questions else ''}fwd+bwd {shape}",
        peer="optax",
        dtype="float32",
        values=values,
        nbytes=4 * shape[0] * shape[1],
        speedup=speedup,
        build=build,
    )
