"""Losses of sequences: tokens with masks, and labels of unknown alignment."""

import math
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._arguments.warnings import warn_user
from crossentropy._backends import Array, as_indices, constant, is_torch, loss_dtype, namespace, total
from crossentropy._backends.conditions import check_static, is_true
from crossentropy._engine.options import TokenOptions
from crossentropy._engine.reductions import check_weights, divide
from crossentropy._engine.rows.reduce import in_loss_dtype
from crossentropy._engine.tokens import (
    as_tokens,
    divisor_of,
    negative_mask_error,
    of_tokens,
    shifted,
    shifted_labels,
)
from crossentropy._versions import Unpack
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = ["ctc_loss", "sequence_cross_entropy", "sequence_log_prob", "sequence_perplexity"]


@argument_errors
def sequence_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    mask: Array | None = None,
    shift: int = 0,
    normalizer: Any = "token",
    **options: Unpack[TokenOptions],
) -> Array:
    r"""Cross-entropy of the tokens of sequences, each against the logits of its step.

    .. math:: \frac 1 N \sum_{b, t} m_{bt}\, \bigl(-\log p_{bt}(y_{bt})\bigr), \qquad
              p_{bt} = \mathrm{softmax}(z_{b,\, t - \mathrm{shift}})

    Parameters
    ----------
    logits : array (..., T, C), floating
        The scores at each of T steps.
    labels : integer array (..., T)
        The tokens.
    mask : array (..., T) of bool or numbers, optional
        1 on the tokens that count and 0 on the others (padding, a prompt), or any weights. It is the tokens' and is
        shifted with them.
    shift : int, default 0
        How many steps after its logits a token stands: 1 for a causal language model whose labels are its inputs. The
        first tokens then have no logits and are left out, and so are the last logits, which are read by nothing.
    normalizer : {"token", "sequence"}, number or array, default "token"
        What a mean divides by. "token": the tokens that count, over all sequences, so that long sequences weigh more.
        "sequence": each sequence's by their own number, and the sum by the number of sequences that have any. A
        number, for a batch that comes in several parts: the tokens of all parts. An array in the shape of `labels`
        divides token by token and is shifted with them.
    **options
        Those of `crossentropy.softmax_cross_entropy`. The mask is the `sample_weight`; there is no other.

    Returns
    -------
    array () or, with ``reduction="none"``, (..., T − shift)
        In nats: float64 for float64 logits, else float32. Gradients flow to `logits` and to a floating `mask`.

    Raises
    ------
    ValueError
        If shapes do not fit, or an option is out of range.
    TypeError
        If labels are not integers, or a `sample_weight` is given.

    Notes
    -----
    Means of parts are not the mean of the whole unless all parts have as many tokens. Whoever accumulates gradients
    over micro-batches, or averages them over processes, divides each part by the tokens of all of them:
    ``normalizer=total``; see `crossentropy.torch.global_normalizer`.

    The shift moves the labels, which are integers, so that no logits are copied, forwards or backwards.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]]])
    >>> labels = np.asarray([[2, 0, 1]])
    >>> sequence_cross_entropy(logits, labels, shift=1, reduction="none").round(4)
    array([[0.6931, 0.2877]])
    >>> float(sequence_cross_entropy(logits, labels, mask=np.asarray([[0, 1, 0]]), shift=1).round(4))
    0.6931
    """
    if "sample_weight" in options:
        raise TypeError(
            "sample_weight is given; the mask is the tokens' weight: pass mask=mask * sample_weight"
        )
    options.setdefault("axis", -1)
    logits, labels = as_tokens(logits, labels, options["axis"])
    check_static(shift=shift)
    steps = labels.shape[-1]
    if not 0 <= shift <= steps:
        raise ValueError(f"shift is {shift}; pass a number of steps, from 0 to all {steps}")
    weights = None if mask is None else of_tokens(mask, logits, labels, "mask")
    by_word = isinstance(normalizer, str) and options.get("reduction", "mean") == "mean"
    if weights is not None and by_word:
        check_weights(weights, negative_mask_error)
    by_array = not isinstance(normalizer, str) and getattr(normalizer, "ndim", 0) > 0
    divisor = of_tokens(normalizer, logits, labels, "normalizer") if by_array else normalizer
    if shift:
        labels, options["ignore_index"] = shifted_labels(labels, shift, options.get("ignore_index"))
        weights = None if weights is None else shifted(weights, shift, 0)
        divisor = shifted(divisor, shift, 1) if by_array else divisor
    if isinstance(divisor, str):
        divisor = divisor_of(divisor, logits, labels, weights, **options)
    value = softmax_cross_entropy(logits, labels, sample_weight=weights, normalizer=divisor, **options)
    return value[..., : steps - shift] if shift and options.get("reduction") == "none" else value


@argument_errors
def sequence_log_prob(
    logits: Array,
    labels: Array,
    mask: Array | None = None,
    shift: int = 0,
    *,
    reduction: str = "sum",
    axis: int = -1,
    ignore_index: int | None = None,
    temperature: Any = 1.0,
    validate: str = "raise",
) -> Array:
    """Log-probability of each sequence: the sum or the mean over its tokens.

    Preference losses such as `dpo_loss` take the sum, those that normalize by length (SimPO, ORPO) the mean.

    Parameters
    ----------
    logits, labels, mask, shift
        As in `sequence_cross_entropy`.
    reduction : {"sum", "mean"}, default "sum"
        What is made of the tokens of a sequence; a mean divides by ``Σ_t m_t`` over those that count. A sequence
        without any has the log-probability 0 and a gradient of 0, either way.
    axis, ignore_index, temperature, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array (...)
        ``Σ_t m_t log p_t(y_t)`` in nats, or that over ``Σ_t m_t``; float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `sequence_cross_entropy`.

    References
    ----------
    Meng, Xia, Chen, "SimPO: Simple Preference Optimization with a Reference-Free Reward", NeurIPS 2024, for the mean.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[[0.5, 0.5], [0.25, 0.75]]])
    >>> sequence_log_prob(logits, np.asarray([[0, 1]])).round(4)
    array([-0.9808])
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(
            f'reduction is {reduction!r}; write "sum" or "mean", over the tokens of each sequence. The log-probability '
            'of each token is minus sequence_cross_entropy(logits, labels, reduction="none")'
        )
    losses, masses = _token_losses(logits, labels, mask, shift, axis, ignore_index, temperature, validate)
    log_prob = -total(losses, -1)
    if reduction == "mean":
        log_prob = divide(log_prob, total(masses, -1), "zero")
    return in_loss_dtype(log_prob, losses)


@argument_errors
def sequence_perplexity(
    logits: Array,
    labels: Array,
    mask: Array | None = None,
    shift: int = 0,
    *,
    reduction: str = "mean",
    axis: int = -1,
    ignore_index: int | None = None,
    temperature: Any = 1.0,
    validate: str = "raise",
) -> Array:
    r"""Perplexity of a language model: how many equally likely tokens would be as hard to guess.

    .. math:: \exp\Bigl( -\frac{\sum_t m_t \log p_t(y_t)}{\sum_t m_t} \Bigr)

    Parameters
    ----------
    logits, labels, mask, shift
        As in `sequence_cross_entropy`.
    reduction : {"mean", "none"}, default "mean"
        One number, over the tokens of all sequences together; or the perplexity of each sequence. Their mean is
        another number, and so is the mean over batches: for those, add up the nats and the tokens.
    axis, ignore_index, temperature, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or, with ``reduction="none"``, (...)
        A number of tokens, dimensionless and at least 1: float64 for float64 logits, else float32. NaN, with a warning,
        where no token counts: nothing is no perfect prediction.

    Raises
    ------
    ValueError, TypeError
        As `sequence_cross_entropy`.

    See Also
    --------
    crossentropy.perplexity : of distributions.

    References
    ----------
    Jelinek, Mercer, Bahl, Baker, "Perplexity—a measure of the difficulty of speech recognition tasks", The
    Journal of the Acoustical Society of America 62, 1977.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.5, 0.5]]])
    >>> labels, mask = np.asarray([[0, 0], [1, 1]]), np.asarray([[1, 1], [1, 0]])
    >>> float(sequence_perplexity(logits, labels, mask).round(4))  # the cube root of 2 · 4 · 2
    2.5198
    >>> sequence_perplexity(logits, labels, mask, reduction="none").round(4)
    array([2.8284, 2.    ])
    """
    if reduction not in ("mean", "none"):
        raise ValueError(
            f'reduction is {reduction!r}; write "mean" for all tokens together, or "none" for each sequence'
        )
    losses, masses = _token_losses(logits, labels, mask, shift, axis, ignore_index, temperature, validate)
    xp, axes = namespace(losses), tuple(range(losses.ndim)) if reduction == "mean" else (-1,)
    nats, tokens = total(losses, axes), total(masses, axes)
    if is_true(xp.any(tokens == 0)):
        warn_user(
            "sequence_perplexity is NaN where no token counts: no tokens, every token ignored, or a mask of 0"
        )
    mean = divide(nats, tokens, "nan")
    too_large = mean > math.log(float(xp.finfo(loss_dtype(losses)).max))
    perplexity = xp.exp(xp.where(too_large, xp.zeros_like(mean), mean))
    return in_loss_dtype(xp.where(too_large, xp.full_like(mean, math.inf), perplexity), losses)


@argument_errors
def ctc_loss(
    logits: Array,
    labels: Array,
    input_lengths: Array,
    label_lengths: Array,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Connectionist temporal classification: labels in order, at steps that nobody has written down.

    .. math:: \ell = -\log \sum_{\pi:\, \mathrm{collapse}(\pi) = y} \prod_t p_t(\pi_t)

    over the paths of T steps that become the label when repetitions are merged and then blanks removed. PyTorch's
    own algorithm, given the logarithms of probabilities that its gradient presumes.

    Parameters
    ----------
    logits : Tensor (N, T, C), floating
        Scores of every step, batch first. They are logits: no `log_softmax` beforehand.
    labels : integer Tensor (N, S)
        Labels, padded behind with anything.
    input_lengths, label_lengths : integer Tensor (N,) or list
        How many steps and labels each sequence has.
    blank : int, default 0
        The class of the blank. (TensorFlow 1 and Keras 2 have it last, at ``C − 1``.)
    zero_infinity : bool, default False
        Whether a label that does not fit into its steps costs nothing, instead of infinity with a gradient of NaN.
    sample_weight : Tensor (N,), optional
        Weight of each sequence.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each sequence. The mean is over sequences; for `torch.nn.CTCLoss`'s, which divides
        each one by the length of its label first, pass ``normalizer=N * label_lengths``.
    normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.
    validate : {"raise", "none"}
        Whether labels and lengths are checked where they can be read.

    Returns
    -------
    Tensor () or (N,)
        In nats: float64 for float64 logits, else float32. The gradient flows to `logits`.

    Raises
    ------
    TypeError
        If the logits are not a PyTorch tensor. JAX has this loss in `optax.ctc_loss`, which takes logits too.
    ValueError
        If shapes do not fit, or a label or a length is out of range.

    References
    ----------
    Graves, Fernández, Gomez, Schmidhuber, "Connectionist Temporal Classification: Labeling Unsegmented Sequence Data
    with Recurrent Neural Networks", ICML 2006.

    Examples
    --------
    Of two steps over two classes, blank and 1, three of four paths collapse to the label 1:

    >>> import torch
    >>> round(ctc_loss(torch.zeros(1, 2, 2), torch.tensor([[1]]), [2], [1]).item(), 6)  # −ln 3/4
    0.287682
    """
    if not is_torch(logits):
        given = constant(logits)
        raise TypeError(
            f"logits are a {type(given).__module__}.{type(given).__name__}; ctc_loss is for PyTorch tensors. For JAX "
            "use optax.ctc_loss(logits, logit_paddings, labels, label_paddings); NumPy arrays go through "
            "torch.from_numpy"
        )
    from crossentropy._engine import ctc

    return ctc.loss(
        logits,
        labels,
        input_lengths,
        label_lengths,
        blank=blank,
        zero_infinity=zero_infinity,
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
        validate=validate,
    )


def _token_losses(
    logits: Array,
    labels: Array,
    mask: Array | None,
    shift: int,
    axis: int,
    ignore_index: int | None,
    temperature: Any,
    validate: str,
) -> tuple[Array, Array]:
    """``−m log p(y)`` of each token that has logits, and ``m``, 0 where ignored."""
    losses = sequence_cross_entropy(
        logits,
        labels,
        mask=mask,
        shift=shift,
        axis=axis,
        ignore_index=ignore_index,
        temperature=temperature,
        reduction="none",
        validate=validate,
    )
    logits, labels = as_tokens(logits, labels, axis)
    xp = namespace(losses)
    masses = xp.ones_like(losses) if mask is None else of_tokens(mask, logits, labels, "mask")[..., shift:]
    if ignore_index is not None:
        masses = xp.where(as_indices(labels)[..., shift:] == ignore_index, xp.zeros_like(masses), masses)
    return losses, masses
