"""Robust and focusing losses by name: a link of `crossentropy.links`, and the options of `softmax_cross_entropy`.

Labels are of any form that `crossentropy.softmax_cross_entropy` takes, and so are the options, but for `link`. On soft
or smoothed targets the loss is the mean under the target of what it is for each label.
"""

from typing import Any

from crossentropy import links
from crossentropy._arguments.errors import argument_errors, as_written
from crossentropy._backends import Array
from crossentropy._engine.options import SoftmaxOptions
from crossentropy._versions import Unpack
from crossentropy.links import Link
from crossentropy.losses.softmax import softmax_cross_entropy

__all__ = [
    "focal_loss",
    "generalized_cross_entropy",
    "mean_absolute_error_loss",
    "partially_huberized_cross_entropy",
    "poly_loss",
    "symmetric_cross_entropy",
    "taylor_cross_entropy",
    "tsallis_loss",
    "unlikelihood_loss",
]


@argument_errors
def focal_loss(logits: Array, labels: Any, *, gamma: float = 2.0, **options: Unpack[SoftmaxOptions]) -> Array:
    """Focal loss of one class among many, ``−(1 − p)^γ log p``: `crossentropy.links.Focal`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    gamma : float, default 2.0
        Focusing exponent, ``γ ≥ 0``; 0 is cross-entropy.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if `gamma` is out of range.

    Notes
    -----
    The paper's ``α`` is `class_weight` here, which multiplies the loss of its class and leaves ``p`` alone. Codes that
    form ``p = exp(−w · CE)`` have another loss. The factor ``(1 − p)^γ`` takes part in the gradient, as in the paper.
    The mean divides by the weights; the paper divides by the number of objects: pass it as `normalizer`. For one yes or
    no per element see `crossentropy.losses.sigmoid_focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(focal_loss(np.zeros((1, 2)), np.asarray([0])))  # p = 1/2: a quarter of ln 2
    0.17328679513998632
    """
    return _linked(links.Focal(gamma), logits, labels, options)


@argument_errors
def poly_loss(
    logits: Array,
    labels: Any,
    *,
    epsilon: float | tuple[float, ...] = 1.0,
    **options: Unpack[SoftmaxOptions],
) -> Array:
    """PolyLoss, ``−log p + Σ_j ε_j (1 − p)^j``: `crossentropy.links.Poly`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    epsilon : float or tuple of floats, default 1.0
        ``ε₁`` (Poly-1), or ``ε₁, …, ε_N`` (Poly-N), with ``ε_j ≥ −1/j``. The paper has 2 for ImageNet and −1 for
        detection and segmentation.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if `epsilon` is out of range.

    References
    ----------
    Leng, Tan, Liu, Cubuk, Shi, Cheng, Anguelov, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss
    Functions", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> float(poly_loss(np.zeros((1, 2)), np.asarray([0])))  # p = 1/2: ln 2 + 1/2
    1.1931471805599454
    """
    return _linked(links.Poly(epsilon), logits, labels, options)


@argument_errors
def generalized_cross_entropy(
    logits: Array,
    labels: Any,
    *,
    q: float = 0.7,
    truncation: float | None = None,
    **options: Unpack[SoftmaxOptions],
) -> Array:
    """Generalized cross-entropy, the L_q loss ``(1 − p^q)/q``: `crossentropy.links.GeneralizedCrossEntropy`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    q : float, default 0.7
        ``0 < q ≤ 1``: near 0 cross-entropy, at 1 half the mean absolute error.
    truncation : float, optional
        ``k``: the loss is constant where ``p ≤ k``. Rows that begin there never learn; the paper truncates after
        epochs without it.

    Returns
    -------
    array () or the rows' shape
        Dimensionless: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if a parameter is out of range.

    References
    ----------
    Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels", NeurIPS
    2018.

    Examples
    --------
    >>> import numpy as np
    >>> float(generalized_cross_entropy(np.zeros((1, 2)), np.asarray([0]), q=1.0))  # 1 − p
    0.5
    """
    return _linked(links.GeneralizedCrossEntropy(q, truncation), logits, labels, options)


@argument_errors
def symmetric_cross_entropy(
    logits: Array,
    labels: Any,
    *,
    forward_weight: float = 0.1,
    reverse_weight: float = 1.0,
    log_zero: float = -4.0,
    **options: Unpack[SoftmaxOptions],
) -> Array:
    """Symmetric cross-entropy, ``−α log p + β |A| (1 − p)``: `crossentropy.links.SymmetricCrossEntropy`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    forward_weight, reverse_weight : float, default 0.1 and 1.0
        ``α`` and ``β``, the weights of cross-entropy and of its reverse; the paper's for CIFAR-10. For
        CIFAR-100 it has 6 and 0.1.
    log_zero : float, default -4.0
        ``A``, what stands for ``log 0``, as in the paper. Codes that clamp labels at 1e-4 have −9.21 instead.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if a parameter is out of range.

    References
    ----------
    Wang, Ma, Chen, Luo, Yi, Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> weights = {"forward_weight": 1.0, "reverse_weight": 0.5}
    >>> float(symmetric_cross_entropy(np.zeros((1, 2)), np.asarray([0]), **weights))  # ln 2 + 1
    1.6931471805599454
    """
    return _linked(
        links.SymmetricCrossEntropy(forward_weight, reverse_weight, log_zero), logits, labels, options
    )


@argument_errors
def taylor_cross_entropy(
    logits: Array, labels: Any, *, order: int = 2, **options: Unpack[SoftmaxOptions]
) -> Array:
    """Taylor cross-entropy, ``Σ_{j ≤ t} (1 − p)^j / j``: `crossentropy.links.Taylor`.

    Not the cross-entropy of a Taylor softmax, which some codes call by this name.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    order : int, default 2
        ``t``, the number of terms: 1 is half the mean absolute error, more approach cross-entropy.

    Returns
    -------
    array () or the rows' shape
        The first terms of the loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if `order` is no positive integer.

    References
    ----------
    Feng, Shu, Lin, Lv, Li, An, "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(taylor_cross_entropy(np.zeros((1, 2)), np.asarray([0])))  # p = 1/2: 1/2 + 1/8
    0.625
    """
    return _linked(links.Taylor(order), logits, labels, options)


@argument_errors
def partially_huberized_cross_entropy(
    logits: Array, labels: Any, *, tau: float = 10.0, **options: Unpack[SoftmaxOptions]
) -> Array:
    """Cross-entropy that is linear in ``p`` under ``p = 1/τ``: `crossentropy.links.PartiallyHuberized`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    tau : float, default 10.0
        ``τ ≥ 1``; the paper has 2 for CIFAR-10 and 10 for CIFAR-100.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if `tau` is out of range.

    References
    ----------
    Menon, Rawat, Reddi, Kumar, "Can Gradient Clipping Mitigate Label Noise?", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(partially_huberized_cross_entropy(np.asarray([[-100.0, 0.0]]), np.asarray([0])))  # ln 10 + 1
    3.302585092994046
    """
    return _linked(links.PartiallyHuberized(tau), logits, labels, options)


@argument_errors
def mean_absolute_error_loss(logits: Array, labels: Any, **options: Unpack[SoftmaxOptions]) -> Array:
    """Mean absolute error of the probabilities, ``Σ_c |p_c − [c = y]| = 2 (1 − p)``.

    A sum over the classes, as in the paper, and a mean over the rows: `crossentropy.links.MeanAbsoluteError`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.

    Returns
    -------
    array () or the rows' shape
        Dimensionless: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does.

    References
    ----------
    Ghosh, Kumar, Sastry, "Robust Loss Functions under Label Noise for Deep Neural Networks", AAAI 2017.

    Examples
    --------
    >>> import numpy as np
    >>> float(mean_absolute_error_loss(np.zeros((1, 2)), np.asarray([0])))  # |1/2 − 1| + |1/2 − 0|
    1.0
    """
    return _linked(links.MeanAbsoluteError(), logits, labels, options)


@argument_errors
def tsallis_loss(logits: Array, labels: Any, *, t: float = 0.3, **options: Unpack[SoftmaxOptions]) -> Array:
    """Cross-entropy of Tsallis's logarithm, ``−log_t p = (1 − p^(1−t))/(1 − t)``: `crossentropy.links.Tsallis`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`.
    t : float, default 0.3
        The order: 1 is cross-entropy, and `generalized_cross_entropy` is this with ``t = 1 − q``.

    Returns
    -------
    array () or the rows' shape
        Dimensionless: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does, and if `t` is not finite.

    References
    ----------
    Tsallis, "Possible Generalization of Boltzmann-Gibbs Statistics", Journal of Statistical Physics 52, 1988.

    Examples
    --------
    >>> import numpy as np
    >>> float(tsallis_loss(np.zeros((1, 2)), np.asarray([0]), t=0.0))  # 1 − p
    0.5
    """
    return _linked(links.Tsallis(t), logits, labels, options)


@argument_errors
def unlikelihood_loss(logits: Array, labels: Any, **options: Unpack[SoftmaxOptions]) -> Array:
    """Unlikelihood, ``−log(1 − p)`` of labels that must not come: `crossentropy.links.Unlikelihood`.

    Parameters
    ----------
    logits, labels, **options
        As in `crossentropy.softmax_cross_entropy`, but for `link`. Several labels a row that must not come are
        `crossentropy.targets.Sparse` with a weight of 1 each.

    Returns
    -------
    array () or the rows' shape
        In nats: float64 for float64 logits, else float32. 0 for a label of no probability, and infinite for one that is
        certain.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy` does.

    Notes
    -----
    The paper adds this to the likelihood of the true token: add the two losses. With `Sparse` labels the mean divides
    by the sum of the weights, the paper by the number of rows: pass ``normalizer="count"`` for that.

    References
    ----------
    Welleck, Kulikov, Roller, Dinan, Cho, Weston, "Neural Text Generation with Unlikelihood Training", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> float(unlikelihood_loss(np.asarray([[-40.0, 0.0]]), np.asarray([0])))
    4.248354255291589e-18
    """
    return _linked(links.Unlikelihood(), logits, labels, options)


def _linked(link: Link, logits: Array, labels: Any, options: SoftmaxOptions) -> Array:
    if "link" in options:
        raise TypeError(
            f"link is {as_written(options['link'])}, but this loss is {link} by name; pass a link of your own to "
            "softmax_cross_entropy"
        )
    options["link"] = link
    return softmax_cross_entropy(logits, labels, **options)
