"""optax's contrastive loss."""

import jax
import jax.numpy as jnp

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy.jax._rows import check_floating
from crossentropy.losses.contrastive import supervised_contrastive

__all__ = ["ntxent"]


@argument_errors
def ntxent(embeddings: Array, labels: Array, temperature: Array = 0.07) -> jax.Array:
    r"""NT-Xent of one batch, the mean over all pairs of equal labels, as `optax.losses.ntxent` has it.

    .. math:: \ell_{ij} = -\log \frac{e^{s_{ij}}}{e^{s_{ij}} + \sum_{k:\, y_k \ne y_i} e^{s_{ik}}}

    with the cosines ``s`` of the embeddings, divided by the temperature.

    Parameters
    ----------
    embeddings : array (N, d), floating
    labels : array (N,)
        Embeddings of one label are each other's positives.
    temperature : float, default 0.07

    Returns
    -------
    array ()
        The mean in nats; 0 where no two labels are equal. (optax gives NaN.)

    Raises
    ------
    ValueError
        If shapes do not fit, or the temperature is not positive.
    TypeError
        If embeddings are not floating.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
    ICML 2020.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> embeddings = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(ntxent(embeddings, jnp.array([0, 0, 1]), temperature=0.5).round(4))  # ln(1 + e⁻²)
    0.1269
    """
    (embeddings,) = check_floating(embeddings=embeddings)
    labels = jnp.asarray(labels)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings have shape {embeddings.shape} and labels {labels.shape}; pass shapes (N, d) and (N,)"
        )
    positives = jnp.sum(labels[:, None] == labels[None, :], axis=-1) - 1
    return supervised_contrastive(
        embeddings,
        labels,
        temperature=temperature,
        denominator="negatives",
        sample_weight=jnp.astype(positives, jnp.promote_types(embeddings.dtype, jnp.float32)),
    )
