"""optax's loss of sequences whose labels are not aligned with their steps."""

import jax
import jax.numpy as jnp

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array
from crossentropy._engine import ctc_jax
from crossentropy.jax._rows import check_floating

__all__ = ["ctc_loss"]


@argument_errors
def ctc_loss(
    logits: Array,
    logit_paddings: Array,
    labels: Array,
    label_paddings: Array,
    *,
    blank_id: int = 0,
    log_epsilon: Array = -1e5,
) -> jax.Array:
    r"""Connectionist temporal classification of each sequence, as `optax.losses.ctc_loss` has it.

    .. math:: \ell = -\log \sum_{\pi:\, \mathrm{collapse}(\pi) = y} \prod_t p_t(\pi_t)

    over the paths of T steps that become the labels when repetitions are merged and then blanks removed.

    Parameters
    ----------
    logits : array (N, T, C), floating
    logit_paddings : array (N, T)
        0 at the steps of a sequence, 1 at those that fill it up.
    labels : integer array (N, S)
    label_paddings : array (N, S)
        0 at the labels of a sequence, 1 behind them.
    blank_id : int, default 0
        The class of the blank.
    log_epsilon : float, default -1e5
        What stands for ln 0; finite. Labels that do not fit into their steps cost about as much.

    Returns
    -------
    array (N,)
        The loss of each sequence in nats: float64 for float64 logits, else float32; NaN with a label outside the
        classes.

    Raises
    ------
    ValueError
        If shapes do not fit, or `blank_id` is no class.
    TypeError
        If `logits` are not floating or `labels` are not integers.

    References
    ----------
    Graves, Fernández, Gomez, Schmidhuber, "Connectionist Temporal Classification: Labeling Unsegmented Sequence Data
    with Recurrent Neural Networks", ICML 2006.

    Examples
    --------
    Of two steps over two classes, blank and 1, three of four paths collapse to the label 1:

    >>> import jax.numpy as jnp
    >>> print(ctc_loss(jnp.zeros((1, 2, 2)), jnp.zeros((1, 2)), jnp.array([[1]]), jnp.zeros((1, 1))).round(4))
    [0.2877]
    """
    (logits,) = check_floating(logits=logits)
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels have dtype {labels.dtype}; pass integers")
    logit_paddings, label_paddings = jnp.asarray(logit_paddings), jnp.asarray(label_paddings)
    if logits.ndim != 3 or labels.ndim != 2 or labels.shape[0] != logits.shape[0]:
        raise ValueError(
            f"logits have shape {logits.shape} and labels {labels.shape}; pass shapes (N, T, C) and (N, S)"
        )
    for name, paddings, shape in (
        ("logit_paddings", logit_paddings, logits.shape[:2]),
        ("label_paddings", label_paddings, labels.shape),
    ):
        if paddings.shape != shape:
            raise ValueError(f"{name} have shape {paddings.shape}; pass shape {shape}")
    if not 0 <= blank_id < logits.shape[2]:
        raise ValueError(f"blank_id is {blank_id}, but the classes are 0 to {logits.shape[2] - 1}")
    losses = ctc_jax.loss(logits, logit_paddings, labels, label_paddings, blank_id, log_epsilon)
    return jnp.astype(losses, jnp.promote_types(logits.dtype, jnp.float32))
