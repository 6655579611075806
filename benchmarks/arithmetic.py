"""The functions that compositions are written in, of PyTorch, JAX and NumPy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any


class Ops(NamedTuple):
    """The functions that compositions are written in."""

    array: Callable[[np.ndarray[Any, Any]], Array]
    log_softmax: Callable[[Array], Array]
    softmax: Callable[[Array], Array]
    log_sigmoid: Callable[[Array], Array]
    sigmoid: Callable[[Array], Array]
    logsumexp: Callable[[Array], Array]
    one_hot: Callable[[Array, int], Array]
    pick: Callable[[Array, Array], Array]  # the entry of each row at its label
    highest: Callable[[Array, int], Array]  # the k largest entries
    where: Callable[..., Array]
    exp: Callable[[Array], Array]
    log: Callable[[Array], Array]
    relu: Callable[[Array], Array]
    least: Callable[[Array, float], Array]  # entries, at least a number
    minimum: Callable[[Array, Array], Array]
    argmax: Callable[[Array], Array]
    normalized: Callable[[Array], Array]  # rows of length 1
    arange: Callable[[int], Array]
    concatenated: Callable[[Array, Array], Array]  # one array below the other


def torch_ops() -> Ops:
    """PyTorch's."""
    import torch
    from torch.nn import functional as F

    return Ops(
        array=torch.from_numpy,
        log_softmax=lambda z: F.log_softmax(z, -1),
        softmax=lambda z: F.softmax(z, -1),
        log_sigmoid=F.logsigmoid,
        sigmoid=torch.sigmoid,
        logsumexp=lambda z: z.logsumexp(-1),
        one_hot=lambda y, C: F.one_hot(y, C).float(),
        pick=lambda x, y: x.gather(-1, y[:, None])[:, 0],
        highest=lambda x, k: x.topk(k).values,
        where=torch.where,
        exp=torch.exp,
        log=torch.log,
        relu=torch.relu,
        least=torch.clamp_min,
        minimum=torch.minimum,
        argmax=lambda x: x.argmax(-1),
        normalized=lambda x: F.normalize(x, dim=-1),
        arange=torch.arange,
        concatenated=lambda a, b: torch.cat([a, b]),
    )


def jax_ops() -> Ops:
    """JAX's."""
    import jax
    import jax.numpy as jnp

    return Ops(
        array=jnp.asarray,
        log_softmax=jax.nn.log_softmax,
        softmax=jax.nn.softmax,
        log_sigmoid=jax.nn.log_sigmoid,
        sigmoid=jax.nn.sigmoid,
        logsumexp=lambda z: jax.nn.logsumexp(z, -1),
        one_hot=jax.nn.one_hot,
        pick=lambda x, y: jnp.take_along_axis(x, y[:, None], -1)[:, 0],
        highest=lambda x, k: jax.lax.top_k(x, k)[0],
        where=jnp.where,
        exp=jnp.exp,
        log=jnp.log,
        relu=jax.nn.relu,
        least=jnp.maximum,
        minimum=jnp.minimum,
        argmax=lambda x: x.argmax(-1),
        normalized=lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12),
        arange=jnp.arange,
        concatenated=lambda a, b: jnp.concatenate([a, b]),
    )


def numpy_ops() -> Ops:
    """Those of NumPy and SciPy."""
    from scipy import special

    return Ops(
        array=lambda x: x,
        log_softmax=lambda z: special.log_softmax(z, -1),
        softmax=lambda z: special.softmax(z, -1),
        log_sigmoid=special.log_expit,
        sigmoid=special.expit,
        logsumexp=lambda z: special.logsumexp(z, -1),
        one_hot=lambda y, C: np.eye(C, dtype=np.float32)[y],
        pick=lambda x, y: np.take_along_axis(x, y[:, None], -1)[:, 0],
        highest=lambda x, k: -np.partition(-x, k - 1, -1)[..., :k],
        where=np.where,
        exp=np.exp,
        log=np.log,
        relu=lambda x: np.maximum(x, 0),
        least=np.maximum,
        minimum=np.minimum,
        argmax=lambda x: x.argmax(-1),
        normalized=lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12),
        arange=np.arange,
        concatenated=lambda a, b: np.concatenate([a, b]),
    )
