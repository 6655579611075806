"""Contrastive losses: cross-entropies whose logits are similarities of features."""

from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, device, index_dtype, namespace
from crossentropy._backends.conditions import is_false
from crossentropy._engine.rows.similarity import (
    check_denominator,
    checked_groups,
    contrast,
    contrast_with_batch,
    features_of,
    l2_normalized,
    paired_features,
    scalar,
    similarities_of,
    without_self,
)
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.products import product

__all__ = ["info_nce", "nt_xent", "supervised_contrastive"]


@argument_errors
def info_nce(
    queries: Array,
    keys: Array,
    *,
    temperature: Any = 0.1,
    negatives: Array | None = None,
    normalize: bool = True,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""InfoNCE: pick each query's own key out of a crowd.

    .. math:: \ell_i = -\log \frac{e^{q_i \cdot k_i / T}}{\sum_j e^{q_i \cdot k_j / T}}

    Parameters
    ----------
    queries, keys : array (N, d), floating
        Row i of one belongs to row i of the other.
    temperature : float or array (), default 0.1
        ``T``; learnable as an array. (The paper has none; MoCo has 0.07.)
    negatives : array (M, d) or (N, M, d), optional
        The crowd, the same for every query or each its own: the sum is over the query's own key and these. Without
        them it is over all `keys`.
    normalize : bool, default True
        Whether features are divided by their norms, so that products are cosines. A zero vector stays zero, and its
        gradient is that of a norm of 1.
    sample_weight : array (N,), optional
        Weight of each query.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or (N,)
        The loss in nats: float64 for float64 features, else float32. Half-precision features are widened first.

    Raises
    ------
    ValueError
        If shapes do not fit or an option is out of range.
    TypeError
        If features are not floating.

    References
    ----------
    van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018.
    He, Fan, Wu, Xie, Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> queries, keys = np.asarray([[1.0, 0.0], [0.0, 2.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> float(info_nce(queries, keys, temperature=0.5).round(6))  # ln(1 + e⁻²)
    0.126928
    """
    q, k = paired_features(queries=queries, keys=keys)
    xp, rows = namespace(q, k), q.shape[0]
    own = xp.arange(rows, dtype=index_dtype(q), device=device(q))
    if negatives is None:
        scores = similarities_of(q, k, normalize)
    else:
        q, k = l2_normalized(q, normalize), l2_normalized(k, normalize)
        n = l2_normalized(features_of(negatives, "negatives", (2, 3)), normalize)
        if n.shape[-1] != q.shape[-1] or (n.ndim == 3 and n.shape[0] != rows):
            raise ValueError(
                f"negatives have shape {tuple(n.shape)}; beside queries of shape {tuple(q.shape)} pass "
                f"(M, {q.shape[-1]}), or (N, M, d) with their own for each query"
            )
        crowd = (
            product(q, namespace(n).matrix_transpose(n)) if n.ndim == 2 else product(n, q[..., None])[..., 0]
        )
        scores, own = xp.concat([xp.sum(q * k, axis=-1, keepdims=True), crowd], axis=-1), xp.zeros_like(own)
    return contrast(
        scores,
        own,
        temperature=scalar(temperature, "temperature"),
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def nt_xent(
    first: Array,
    second: Array,
    *,
    temperature: Any = 0.5,
    labels: Array | None = None,
    denominator: str = "all",
    normalize: bool = True,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""NT-Xent, the loss of SimCLR: each view of an example finds the other among all views of the batch.

    .. math:: \ell_i = -\log \frac{e^{z_i \cdot z_{p(i)} / T}}{\sum_{k \ne i} e^{z_i \cdot z_k / T}}

    The anchors are the N rows of `first`, then those of `second`: 2N losses.

    Parameters
    ----------
    first, second : array (N, d), floating
        Two views of each example.
    temperature : float or array (), default 0.5
        ``T``. SimCLR tries 0.1 to 1; optax and pytorch-metric-learning have 0.07.
    labels : array (N,), optional
        Examples of one label are each other's positives too; an anchor's loss is the mean over its positives.
    denominator : {"all", "negatives"}, default "all"
        Over what is summed beside a positive of several: everything but the anchor, as SimCLR's formula reads; or the
        negatives alone, as optax and pytorch-metric-learning have it. Without `labels` these are the same.
    normalize : bool, default True
        Whether features are divided by their norms, as in `info_nce`.
    sample_weight : array (2N,), optional
        Weight of each anchor.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`. The mean is over anchors; to average over pairs of anchor and
        positive, as those two libraries do, weight each anchor by the number of its positives.

    Returns
    -------
    array () or (2N,)
        The loss in nats: float64 for float64 features, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit or an option is out of range.
    TypeError
        If features are not floating.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
    ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> nt_xent(first, second, reduction="none").round(4)  # ln(1 + 2e⁻²), four times
    array([0.2395, 0.2395, 0.2395, 0.2395])
    """
    a, b = paired_features(first=first, second=second)
    xp, rows = namespace(a, b), a.shape[0]
    views = xp.concat([a, b], axis=0)
    similarities = similarities_of(views, views, normalize)
    check_denominator(denominator)
    if labels is None:
        place = xp.arange(rows, dtype=index_dtype(a), device=device(a))
        return contrast(
            without_self(similarities),
            xp.concat([place + rows, place], axis=0),
            temperature=scalar(temperature, "temperature"),
            sample_weight=sample_weight,
            reduction=reduction,
            normalizer=normalizer,
            empty=empty,
        )
    groups = checked_groups(labels, a)
    return contrast_with_batch(
        similarities,
        xp.concat([groups, groups], axis=0),
        temperature,
        "out",
        denominator,
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


@argument_errors
def supervised_contrastive(
    features: Array,
    labels: Array,
    *,
    temperature: Any = 0.1,
    variant: str = "out",
    base_temperature: float | None = None,
    denominator: str = "all",
    normalize: bool = True,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""Supervised contrastive loss (SupCon): features of one label attract each other, the others repel.

    With the others of the same label ``P`` and

    .. math:: \pi_{ij} = \frac{e^{z_i \cdot z_j / T}}{\sum_{k \ne i} e^{z_i \cdot z_k / T}},


    the losses are

    .. math:: \ell_i^{\mathrm{out}} = -\frac{1}{|P|} \sum_{p \in P} \log \pi_{ip}, \qquad
              \ell_i^{\mathrm{in}} = -\log \Bigl( \frac{1}{|P|} \sum_{p \in P} \pi_{ip} \Bigr)

    An anchor without positives has no loss and is not counted.

    Parameters
    ----------
    features : array (N, d), floating
        Views of one example are rows of their own, under the same label.
    labels : array (N,)
    temperature : float or array (), default 0.1
        ``T``. The authors' code has 0.07.
    variant : {"out", "in"}, default "out"
        Whether the mean over positives is outside the logarithm or in it. The paper finds "out" better.
    base_temperature : float, optional
        ``T₀``: the loss is multiplied by ``T / T₀``, as in the authors' code (0.07 there), which keeps gradients in
        proportion at any temperature. The paper's formula and pytorch-metric-learning have no such factor.
    denominator : {"all", "negatives"}, default "all"
        For "out": whether a positive stands among everything but the anchor, as in the paper, or among the negatives
        alone, as in optax's and pytorch-metric-learning's NT-Xent. For "in" both are the same.
    normalize : bool, default True
        Whether features are divided by their norms, as in `info_nce`.
    sample_weight : array (N,), optional
        Weight of each anchor.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`; "count" is the number of anchors that have positives. Where none
        has, `empty` decides. (The authors' code divides by all anchors: ``normalizer=len(features)``.)

    Returns
    -------
    array () or (N,)
        The loss in nats: float64 for float64 features, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit or an option is out of range.
    TypeError
        If features are not floating.

    References
    ----------
    Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan, "Supervised Contrastive Learning",
    NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.asarray([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> supervised_contrastive(features, np.asarray([0, 0, 1]), temperature=0.5, reduction="none").round(6)
    array([0.126928, 0.126928, 0.      ])
    """
    z, temperature = features_of(features, "features", (2,)), scalar(temperature, "temperature")
    if base_temperature is not None and is_false((base_temperature > 0) & (base_temperature < INF)):
        raise ValueError(
            f"base_temperature is {base_temperature}; the loss is divided by it: it must be positive"
        )
    return contrast_with_batch(
        similarities_of(z, z, normalize),
        checked_groups(labels, z),
        temperature,
        variant,
        denominator,
        factor=1.0 if base_temperature is None else widened(temperature) / widened(base_temperature),
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
