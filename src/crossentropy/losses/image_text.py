"""Contrastive losses of pairs of two kinds: images and their texts."""

from functools import partial
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import INF, Array, device, index_dtype, namespace
from crossentropy._engine.rows.reduce import reduced_sums
from crossentropy._engine.rows.similarity import (
    contrast,
    paired_features,
    products_of,
    same_row,
    scalar,
    similarities_of,
)
from crossentropy._engine.weights import row_values
from crossentropy._statistics.formulas import widened
from crossentropy.losses.sigmoid import sigmoid_cross_entropy

__all__ = ["clip_loss", "siglip_loss"]


@argument_errors
def clip_loss(
    image: Array,
    text: Array,
    *,
    scale: Any,
    normalize: bool = True,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""CLIP's loss: each image finds its text and each text its image, half of each.

    .. math:: \ell_i = -\tfrac12 \log \frac{e^{s\, x_i \cdot y_i}}{\sum_j e^{s\, x_i \cdot y_j}}
              - \tfrac12 \log \frac{e^{s\, x_i \cdot y_i}}{\sum_j e^{s\, x_j \cdot y_i}}

    Parameters
    ----------
    image, text : array (N, d), floating
        Row i of one belongs to row i of the other.
    scale : float or array ()
        ``s``, itself and not its logarithm: of CLIP's parameter pass ``exp(logit_scale)``. It is not clamped; CLIP
        keeps it below 100 in training and begins at 1 / 0.07.
    normalize : bool, default True
        Whether features are divided by their norms, as in `info_nce`; of unit vectors that changes nothing.
    sample_weight : array (N,), optional
        Weight of each pair, in both directions.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or (N,)
        The loss in nats: float64 for float64 features, else float32.

    Raises
    ------
    ValueError
        If shapes do not fit, the scale is not positive, or an option is out of range.
    TypeError
        If features are not floating.

    References
    ----------
    Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger, Sutskever, "Learning
    Transferable Visual Models From Natural Language Supervision", ICML 2021.

    Examples
    --------
    >>> import numpy as np
    >>> image, text = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> float(clip_loss(image, text, scale=2.0).round(6))  # ln(1 + e⁻²)
    0.126928
    """
    x, y = paired_features(image=image, text=text)
    scale = scalar(scale, "scale")
    if isinstance(scale, (int, float)) and not 0 < scale < INF:
        raise ValueError(f"scale is {scale}; cosines are multiplied by it, so it must be positive")
    both_ways = partial(
        contrast,
        similarities_of(x, y, normalize),
        namespace(x).arange(x.shape[0], dtype=index_dtype(x), device=device(x)),
        temperature=1 / widened(scale),
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
    return (both_ways(axis=1) + both_ways(axis=0)) / 2


@argument_errors
def siglip_loss(
    image: Array,
    text: Array,
    *,
    scale: Any,
    bias: Any,
    normalize: bool = True,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""SigLIP's loss: of every image and every text, whether they belong together.

    .. math:: \ell_i = -\sum_j \log \sigma\bigl( (2 [i = j] - 1) (s\, x_i \cdot y_j + b) \bigr)

    Parameters
    ----------
    image, text : array (N, d), floating
        Row i of one belongs to row i of the other.
    scale : float or array ()
        ``s``, itself and not its logarithm; SigLIP begins at 10.
    bias : float or array ()
        ``b``, which begins at −10: most pairs do not belong together.
    normalize : bool, default True
        Whether features are divided by their norms, as in `info_nce`; of unit vectors that changes nothing.
    sample_weight : array (N,), optional
        Weight of each image, beside all texts.
    reduction : {"mean", "sum", "none"}
        As the paper has it, the N² answers are summed and divided by N: the mean is over images, each of which costs
        the sum over its texts.
    normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.

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
    Zhai, Mustafa, Kolesnikov, Beyer, "Sigmoid Loss for Language Image Pre-Training", ICCV 2023.

    Examples
    --------
    >>> import numpy as np
    >>> image, text = np.asarray([[1.0, 0.0], [0.0, 1.0]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> float(siglip_loss(image, text, scale=10.0, bias=-10.0).round(6))  # ln 2 + ln(1 + e⁻¹⁰)
    0.693193
    """
    x, y = paired_features(image=image, text=text)
    xp, products = namespace(x), products_of(x, y, normalize)
    logits = xp.astype(scalar(scale, "scale") * products + scalar(bias, "bias"), products.dtype, copy=False)
    weights = row_values(sample_weight, x, (x.shape[0],), "sample_weight")
    call = partial(sigmoid_cross_entropy, logits, same_row(x), sample_weight=weights, validate="none")
    return reduced_sums(
        call,
        tuple(products.shape),
        1,
        like=products,
        weights=weights,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )
