"""Losses of sequences: tokens with masks, and labels of unknown alignment."""

from typing import Any, TypedDict, Unpack

from crossentropy.backends import (
    as_arrays,
    as_indices,
    check_static,
    constant,
    index_dtype,
    is_torch,
    namespace,
    total,
)
from crossentropy.links import Link
from crossentropy.losses._own_rows import in_loss_dtype
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse
from crossentropy.weights import like

__all__ = ["ctc_loss", "sequence_cross_entropy", "sequence_log_prob"]

Array = Any


class TokenOptions(TypedDict, total=False):
    """Keywords of `crossentropy.softmax_cross_entropy` but for the weight and the normalizer."""

    axis: int
    label_smoothing: float
    smoothing_prior: Array | None
    class_weight: Array | None
    ignore_index: int | None
    link: Link | None
    temperature: Any
    softcap: float | None
    logit_bias: Array | None
    margin: Any
    z_loss: float
    entropy_bonus: float
    reduction: str
    empty: str
    validate: str
    inplace: bool


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
    ``normalizer=total``; see `crossentropy.torch.accumulation.global_normalizer`.

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
    logits, labels = _tokens(logits, labels)
    check_static(shift=shift)
    steps = labels.shape[-1]
    if not 0 <= shift <= steps:
        raise ValueError(f"shift is {shift}; pass a number of steps, from 0 to all {steps}")
    weights = None if mask is None else _of_tokens(mask, logits, labels, "mask")
    by_array = not isinstance(normalizer, str) and getattr(normalizer, "ndim", 0) > 0
    divisor = _of_tokens(normalizer, logits, labels, "normalizer") if by_array else normalizer
    if shift:
        labels, options["ignore_index"] = _shifted_labels(labels, shift, options.get("ignore_index"))
        weights = None if weights is None else _shifted(weights, shift, 0)
        divisor = _shifted(divisor, shift, 1) if by_array else divisor
    if isinstance(divisor, str):
        divisor = _divisor(divisor, logits, labels, weights, options)
    value = softmax_cross_entropy(logits, labels, sample_weight=weights, normalizer=divisor, **options)
    return value[..., : steps - shift] if shift and options.get("reduction") == "none" else value


def sequence_log_prob(
    logits: Array,
    labels: Array,
    mask: Array | None = None,
    shift: int = 0,
    *,
    axis: int = -1,
    ignore_index: int | None = None,
    temperature: Any = 1.0,
    validate: str = "raise",
) -> Array:
    """Log-probability of each sequence: the sum over its tokens, as preference losses such as `dpo_loss` take it.

    Parameters
    ----------
    logits, labels, mask, shift
        As in `sequence_cross_entropy`.
    axis, ignore_index, temperature, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array (...)
        ``Σ_t m_t log p_t(y_t)`` in nats, float64 for float64 logits, else float32. For the mean over tokens divide it
        by their number.

    Raises
    ------
    ValueError, TypeError
        As `sequence_cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[[0.5, 0.5], [0.25, 0.75]]])
    >>> sequence_log_prob(logits, np.asarray([[0, 1]])).round(4)
    array([-0.9808])
    """
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
    return in_loss_dtype(-total(losses, -1), losses)


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
    Graves, Fernández, Gomez, Schmidhuber, "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
    with Recurrent Neural Networks", ICML 2006.
    """
    if not is_torch(logits):
        given = constant(logits)
        raise TypeError(
            f"logits are a {type(given).__module__}.{type(given).__name__}; ctc_loss is for PyTorch tensors. For JAX "
            "use optax.ctc_loss(logits, logit_paddings, labels, label_paddings); NumPy arrays go through "
            "torch.from_numpy"
        )
    from crossentropy.losses import _ctc_torch

    return _ctc_torch.loss(
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


def _tokens(logits: Array, labels: Any) -> tuple[Array, Array]:
    """Logits and tokens as arrays of one library."""
    if isinstance(labels, (LabelSet, OneHot, Probabilities, Sparse)):
        raise TypeError(
            f"labels are a {type(labels).__name__}; sequences take tokens, an integer array. For soft targets slice "
            "logits and targets yourself and pass them to softmax_cross_entropy"
        )
    xp, (logits, labels) = as_arrays(logits=logits, labels=labels)
    if not xp.isdtype(labels.dtype, ("integral", "bool")):
        raise TypeError(
            f"labels have dtype {labels.dtype}; pass tokens as integers, for example labels.long()"
        )
    if labels.ndim == 0:
        raise ValueError("labels are a single number; they need an axis of steps")
    return logits, labels


def _of_tokens(values: Any, logits: Array, labels: Array, name: str) -> Array:
    """`values` as one number for each token."""
    x = like(values, logits, name)
    if tuple(x.shape) != tuple(labels.shape):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)} but labels have shape {tuple(labels.shape)}; pass one for each token, "
            "the first ones included"
        )
    return x


def _shifted(x: Array, steps: int, fill: Any) -> Array:
    """`x` moved to the front of its last axis, and `fill` behind it."""
    xp = namespace(x)
    return xp.concat([x[..., steps:], xp.full_like(x[..., :steps], fill)], axis=-1)


def _shifted_labels(labels: Array, steps: int, ignore_index: int | None) -> tuple[Array, int]:
    """Labels beside the logits that are to predict them, and the label that is none of them and stands behind."""
    labels = as_indices(labels)
    none = ignore_index
    if none is None:  # no token is: the least integer that there is
        none = int(namespace(labels).iinfo(index_dtype(labels)).min)
    return _shifted(labels, steps, none), none


def _divisor(word: str, logits: Array, labels: Array, weights: Array | None, options: TokenOptions) -> Any:
    """The normalizer of `softmax_cross_entropy` that a word stands for."""
    if word == "token":
        return "weight"
    if word != "sequence":
        raise ValueError(f'normalizer is {word!r}; write "token", "sequence", a number or an array')
    if options.get("reduction", "mean") != "mean":
        raise ValueError(
            f'normalizer is "sequence" but reduction is {options.get("reduction")!r}, which divides by nothing; '
            'write reduction="mean", or leave the normalizer out'
        )
    if options.get("class_weight") is not None:
        raise ValueError(
            'class_weight is given with normalizer="sequence", and there is no saying whether it counts in the number '
            "of a sequence's tokens; pass the divisor of each token as an array"
        )
    xp = namespace(labels)
    masses = like(xp.ones_like(labels), logits, "labels") if weights is None else weights
    ignore_index = options.get("ignore_index")
    if ignore_index is not None:
        masses = xp.where(as_indices(labels) == ignore_index, xp.zeros_like(masses), masses)
    own = xp.sum(masses, axis=-1, keepdims=True)
    sequences = xp.sum(xp.astype(own != 0, own.dtype))
    divisor = xp.where((own == 0) & (sequences > 0), xp.ones_like(own), own * sequences)
    return divisor + xp.zeros_like(masses)
