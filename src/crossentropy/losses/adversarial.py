"""The two losses of a generative adversarial network, which are binary cross-entropies."""

from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_option
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, is_torch, namespace
from crossentropy._engine.checks import as_share, check_floating
from crossentropy._engine.options import SigmoidOptions
from crossentropy._engine.sigmoid.problem import check_sample_weight
from crossentropy._versions import Unpack
from crossentropy.losses.sigmoid import sigmoid_cross_entropy

__all__ = ["discriminator_loss", "generator_loss"]


@argument_errors
def discriminator_loss(
    real_logits: Array,
    fake_logits: Array,
    *,
    label_smoothing: float = 0.0,
    real_weight: Array | None = None,
    fake_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    r"""The discriminator's loss: real examples are to be told from generated ones.

    .. math:: \ell = -\mathbb{E}\bigl[(1 - \varepsilon) \log \sigma(d) + \varepsilon \log \sigma(-d)\bigr]
              - \mathbb{E}\bigl[\log \sigma(-g)\bigr]

    Parameters
    ----------
    real_logits, fake_logits : array, any shapes, floating
        Log-odds ``d`` of real and ``g`` of generated examples that they are real. Detach the generated examples from
        the generator.
    label_smoothing : float, default 0.0
        ``ε``, one-sided: real examples are real with the probability ``1 − ε``, generated ones are not smoothed, for
        smoothing those would make what the generator does now a place to stay. The paper's target of 0.9 is 0.1.
    real_weight, fake_weight : arrays, shapes of the logits, optional
        Weights of the examples.
    reduction : {"mean", "sum"}
        The sum of the two means, as in the paper (some codes halve it), or of everything.

    Returns
    -------
    array ()
        In nats: float64 for float64 logits, else float32; ``2 ln 2`` where it cannot tell.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is out of range.
    TypeError
        If logits are not floating, or are of different libraries.

    References
    ----------
    Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, "Generative Adversarial Nets",
    NeurIPS 2014.
    Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs", NeurIPS 2016, for the
    smoothing.

    Examples
    --------
    >>> import numpy as np
    >>> float(discriminator_loss(np.zeros(2), np.zeros(3)).round(4))
    1.3863
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(
            f'reduction is {reduction!r}; write "mean" or "sum". Real and generated examples have no rows in common; '
            "for the loss of each, use sigmoid_cross_entropy"
        )
    label_smoothing = as_share(label_smoothing, "label_smoothing")
    _, (real, fake) = as_arrays(real_logits=real_logits, fake_logits=fake_logits)
    for kind, logits, weight in (("real", real, real_weight), ("fake", fake, fake_weight)):
        check_floating(logits, f"{kind}_logits")
        if weight is not None:
            check_sample_weight(logits, as_option(weight, f"{kind}_weight", logits), -1, f"{kind}_weight")
    return sigmoid_cross_entropy(
        real, _all(1 - label_smoothing, real), sample_weight=real_weight, reduction=reduction
    ) + sigmoid_cross_entropy(fake, _all(0, fake), sample_weight=fake_weight, reduction=reduction)


@argument_errors
def generator_loss(
    fake_logits: Array, *, saturating: bool = False, **options: Unpack[SigmoidOptions]
) -> Array:
    r"""The generator's loss: generated examples are to be taken for real ones.

    .. math:: \ell = -\log \sigma(g) \qquad \text{or, saturating,} \qquad \ell = \log \sigma(-g)

    Parameters
    ----------
    fake_logits : array, any shape, floating
        Log-odds ``g`` of generated examples that they are real. Leave the generator attached.
    saturating : bool, default False
        Whether the loss is minus the discriminator's, as in the minimax game. Its gradient ``−σ(g)`` vanishes where
        the discriminator is sure; that of the other, ``σ(g) − 1``, does not.
    **options
        Those of `crossentropy.sigmoid_cross_entropy`: weights, reductions, axis.

    Returns
    -------
    array () or shape of `fake_logits`
        In nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.sigmoid_cross_entropy`.

    References
    ----------
    Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, "Generative Adversarial Nets",
    NeurIPS 2014.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.asarray([0.0, -20.0])
    >>> generator_loss(logits, reduction="none").round(4)
    array([ 0.6931, 20.    ])
    >>> generator_loss(logits, saturating=True, reduction="none").round(4)
    array([-0.6931, -0.    ])
    """
    _, (logits,) = as_arrays(fake_logits=fake_logits)
    check_floating(logits, "fake_logits")
    if saturating:
        return -sigmoid_cross_entropy(logits, _all(0, logits), **options)
    return sigmoid_cross_entropy(logits, _all(1, logits), **options)


def _all(label: Any, logits: Array) -> Array:
    """One label for every logit; whole ones as bools, of a byte each."""
    xp = namespace(logits)
    if not isinstance(label, (int, float)):
        return xp.zeros_like(logits) + label
    dtype = logits.dtype if 0 < label < 1 else xp.bool
    if is_torch(logits):
        return logits.new_full(logits.shape, label, dtype=dtype)
    return xp.full_like(logits, label, dtype=dtype)
