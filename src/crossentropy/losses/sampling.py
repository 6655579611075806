"""Losses over a sample of the classes, where there are too many to look at all of them."""

from functools import partial
from typing import Any

from crossentropy._arguments.arrays import as_arrays, as_option
from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, device, index_dtype, loss_dtype, namespace
from crossentropy._engine.checks import check_logits
from crossentropy._engine.options import ReductionOptions
from crossentropy._engine.rows.reduce import reduced_sums
from crossentropy._engine.weights import row_values
from crossentropy._versions import Unpack
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = ["nce_loss", "negative_sampling_loss", "sampled_softmax_loss"]


@argument_errors
def sampled_softmax_loss(
    target_logits: Array,
    sampled_logits: Array,
    *,
    target_log_expected: Any = 0.0,
    sampled_log_expected: Any = 0.0,
    labels: Array | None = None,
    sampled: Array | None = None,
    **options: Unpack[ReductionOptions],
) -> Array:
    r"""Cross-entropy of the label among itself and a sample of classes: an estimate of the whole softmax.

    .. math:: u_c = z_c - \ln Q_c, \qquad \ell = -\log \frac{e^{u_y}}{e^{u_y} + \sum_{c \in S} e^{u_c}}

    Parameters
    ----------
    target_logits : array (...), floating
        The logit of each row's label.
    sampled_logits : array (..., S), floating
        Those of the sampled classes.
    target_log_expected : float or array, shape of `target_logits`, default 0.0
        ``ln Q_y``: logarithm of how often the label is expected in the sample, ``ln(k q_y)`` for k draws with
        replacement from ``q``. Differentiable: detach it where it comes from a model that learns.
    sampled_log_expected : float or array (S,) or shape of `sampled_logits`, default 0.0
        ``ln Q_c`` of the sampled classes. Without the two corrections the estimate favors what is drawn rarely.
    labels : integer array, shape of `target_logits`, optional
        The labels; with `sampled`, classes of the sample that are the row's own label (accidental hits) are left out.
    sampled : integer array (S,) or shape of `sampled_logits`, optional
        The sampled classes.
    **options
        `sample_weight`, `reduction`, `normalizer` and `empty` of `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or shape of `target_logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, or only one of `labels` and `sampled` is given.
    TypeError
        If logits are not floating.

    Notes
    -----
    For training alone: the estimate is biased, usually too low; evaluate with `softmax_cross_entropy`. TensorFlow's
    ``sampled_softmax_loss`` returns the rows (``reduction="none"``) and leaves accidental hits out by default; several
    labels a row, which it knows, are not for this function.

    References
    ----------
    Jean, Cho, Memisevic, Bengio, "On Using Very Large Target Vocabulary for Neural Machine Translation", ACL 2015.

    Examples
    --------
    >>> import numpy as np
    >>> rows = sampled_softmax_loss(
    ...     np.asarray([2.0]), np.asarray([[1.0, 2.0, 0.0]]), labels=[7], sampled=[3, 7, 9], reduction="none"
    ... )
    >>> rows.round(6)  # class 7 is the label: left out of the sample
    array([0.407606])
    """
    u = _candidates(target_logits, sampled_logits, target_log_expected, sampled_log_expected, labels, sampled)
    own = namespace(u).zeros(u.shape[:-1], dtype=index_dtype(u), device=device(u))
    return softmax_cross_entropy(u, own, validate="none", **options)


@argument_errors
def nce_loss(
    target_logits: Array,
    sampled_logits: Array,
    target_log_expected: Any = 0.0,
    sampled_log_expected: Any = 0.0,
    *,
    labels: Array | None = None,
    sampled: Array | None = None,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""Noise-contrastive estimation: tell the label from classes drawn from a noise distribution.

    .. math:: \ell = -\log \sigma(z_y - \ln Q_y) - \sum_{c \in S} \log\bigl(1 - \sigma(z_c - \ln Q_c)\bigr)

    Parameters
    ----------
    target_logits : array (...), floating
        The logit of each row's label: an unnormalized log-probability.
    sampled_logits : array (..., S), floating
        Those of the sampled classes.
    target_log_expected : float or array, shape of `target_logits`, default 0.0
        ``ln Q_y = ln(k q_y)``: logarithm of how often the label is expected among k draws from the noise ``q``.
        Differentiable, as in `sampled_softmax_loss`.
    sampled_log_expected : float or array (S,) or shape of `sampled_logits`, default 0.0
        ``ln Q_c`` of the sampled classes.
    labels, sampled : integer arrays, optional
        As in `sampled_softmax_loss`, to leave accidental hits out. The theory keeps them, and so does TensorFlow by
        default.
    sample_weight : array, shape of `target_logits`, optional
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`: a row is the *sum* over its label and its sample, as in the paper
        and in TensorFlow (which returns the rows), and the mean is over rows.

    Returns
    -------
    array () or shape of `target_logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, or only one of `labels` and `sampled` is given.
    TypeError
        If logits are not floating.

    References
    ----------
    Gutmann, Hyvärinen, "Noise-contrastive estimation: A new estimation principle for unnormalized statistical
    models", AISTATS 2010.
    Mnih, Teh, "A fast and simple algorithm for training neural probabilistic language models", ICML 2012.

    Examples
    --------
    >>> import numpy as np
    >>> float(nce_loss(np.asarray([1.0]), np.asarray([[0.0, -2.0]]), np.log(0.5), np.log([1.0, 0.5])).round(6))
    1.10154
    """
    u = _candidates(target_logits, sampled_logits, target_log_expected, sampled_log_expected, labels, sampled)
    xp = namespace(u)
    weights = row_values(sample_weight, u, tuple(u.shape[:-1]), "sample_weight")
    is_label = xp.arange(u.shape[-1], device=device(u)) == 0
    call = partial(
        sigmoid_cross_entropy,
        u,
        xp.broadcast_to(is_label, u.shape),
        sample_weight=None if weights is None else xp.broadcast_to(weights[..., None], u.shape),
        validate="none",
    )
    return reduced_sums(
        call,
        tuple(u.shape),
        u.ndim - 1,
        like=u,
        weights=weights,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def negative_sampling_loss(
    target_logits: Array,
    sampled_logits: Array,
    *,
    labels: Array | None = None,
    sampled: Array | None = None,
    **options: Unpack[ReductionOptions],
) -> Array:
    r"""Negative sampling, the loss of word2vec: noise-contrastive estimation without the correction.

    .. math:: \ell = -\log \sigma(z_y) - \sum_{c \in S} \log \sigma(-z_c)

    Parameters
    ----------
    target_logits : array (...), floating
    sampled_logits : array (..., S), floating
    labels, sampled : integer arrays, optional
        As in `sampled_softmax_loss`, to leave accidental hits out, as word2vec's code does.
    **options
        `sample_weight`, `reduction`, `normalizer` and `empty` of `nce_loss`.

    Returns
    -------
    array () or shape of `target_logits`
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `nce_loss` does.

    References
    ----------
    Mikolov, Sutskever, Chen, Corrado, Dean, "Distributed Representations of Words and Phrases and their
    Compositionality", NIPS 2013.

    Examples
    --------
    >>> import numpy as np
    >>> float(negative_sampling_loss(np.asarray([0.0]), np.asarray([[0.0, 0.0]])).round(6))  # 3 ln 2
    2.079442
    """
    return nce_loss(target_logits, sampled_logits, labels=labels, sampled=sampled, **options)


def _candidates(
    target_logits: Array,
    sampled_logits: Array,
    target_log_expected: Any,
    sampled_log_expected: Any,
    labels: Any,
    sampled: Any,
) -> Array:
    """Corrected logits of the label and the sample, the label first; accidental hits are −∞."""
    xp, (target, others) = as_arrays(target_logits=target_logits, sampled_logits=sampled_logits)
    target, _ = check_logits(target[..., None], -1, "target_logits")
    others, _ = check_logits(others, -1, "sampled_logits")
    if others.ndim != target.ndim or others.shape[:-1] != target.shape[:-1]:
        raise ValueError(
            f"target_logits have shape {tuple(target.shape[:-1])} and sampled_logits {tuple(others.shape)}; pass one "
            "logit for each row, and for each row those of the sample: shapes (...) and (..., S)"
        )
    dtype = loss_dtype(target)
    own = _corrected(target, target_log_expected, "target_log_expected", dtype, per_row=True)
    rest = _corrected(others, sampled_log_expected, "sampled_log_expected", dtype, per_row=False)
    if (labels is None) != (sampled is None):
        raise ValueError(
            "pass both labels and sampled, to find the sampled classes that are the label, or neither"
        )
    if labels is not None:
        _, (y, classes, _) = as_arrays(labels=labels, sampled=sampled, sampled_logits=others)
        if tuple(y.shape) != tuple(others.shape[:-1]) or tuple(classes.shape) not in (
            tuple(others.shape),
            tuple(others.shape[-1:]),
        ):
            raise ValueError(
                f"labels have shape {tuple(y.shape)} and sampled {tuple(classes.shape)}; beside sampled_logits of "
                f"shape {tuple(others.shape)} pass shape {tuple(others.shape[:-1])}, and for sampled "
                f"{tuple(others.shape[-1:])} or {tuple(others.shape)}"
            )
        rest = xp.where(y[..., None] == classes, xp.full_like(rest, -INF), rest)
    return xp.concat([own, rest], axis=-1)


def _corrected(logits: Array, log_expected: Any, name: str, dtype: Any, *, per_row: bool) -> Array:
    """Logits less the logarithms of expected counts."""
    xp = namespace(logits)
    logits = xp.astype(logits, dtype, copy=False)
    if isinstance(log_expected, (int, float)):
        return logits - log_expected if log_expected else logits
    Q = as_option(log_expected, name, logits)
    shape = tuple(logits.shape)
    allowed = ((), shape[:-1]) if per_row else ((), shape[-1:], shape)
    if tuple(Q.shape) not in allowed:
        raise ValueError(
            f"{name} has shape {tuple(Q.shape)}; pass a number or one of the shapes {', '.join(map(str, allowed[1:]))}"
        )
    Q = xp.astype(Q, dtype, copy=False)
    return logits - (Q[..., None] if per_row and Q.ndim else Q)
