"""Keras's cross-entropies as losses, argument for argument, with ours behind them.

They reduce as Keras does: ``"sum_over_batch_size"``, or ``"mean"``, divides ``Σ ω ℓ`` by the number of losses, or of
those that a mask keeps, whatever their weights; ``"mean_with_sample_weight"`` by ``Σ ω``; the others do not divide.
"""

from typing import Any

from keras.saving import register_keras_serializable

from crossentropy.keras import binary, categorical
from crossentropy.keras._loss import NamedLoss

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "KLDivergence",
    "SparseCategoricalCrossentropy",
]

registered = register_keras_serializable(package="crossentropy")


@registered
class BinaryCrossentropy(NamedLoss):
    """`binary_crossentropy` as a loss: `keras.losses.BinaryCrossentropy`.

    Parameters
    ----------
    from_logits, label_smoothing, axis, reduction, name, dtype
        As in Keras; the result is cast to `dtype`, after rows are added up in float32 or wider.
    **options
        Those of `binary_crossentropy`.

    Examples
    --------
    >>> loss = BinaryCrossentropy(from_logits=True, pos_weight=3.0)
    >>> round(float(loss([[1.0], [0.0]], [[0.0], [0.0]])), 4)  # (3 + 1) ln 2 / 2
    1.3863
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            binary.binary_crossentropy,
            reduction,
            name,
            dtype,
            options,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@registered
class BinaryFocalCrossentropy(NamedLoss):
    """`binary_focal_crossentropy` as a loss: `keras.losses.BinaryFocalCrossentropy`.

    Parameters
    ----------
    apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis, reduction, name, dtype, **options
        As in Keras, and those of `binary_focal_crossentropy`; `dtype` as in `BinaryCrossentropy`.

    Examples
    --------
    >>> loss = BinaryFocalCrossentropy(gamma=2.0)
    >>> round(float(loss([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]])), 3)
    0.268
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            binary.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            options,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@registered
class CategoricalCrossentropy(NamedLoss):
    """`categorical_crossentropy` as a loss: `keras.losses.CategoricalCrossentropy`.

    Parameters
    ----------
    from_logits, label_smoothing, axis, reduction, name, dtype, **options
        As in Keras, and those of `categorical_crossentropy`; `dtype` as in `BinaryCrossentropy`.

    Examples
    --------
    >>> loss = CategoricalCrossentropy(from_logits=True, z_loss=1e-4)
    >>> round(float(loss([[0, 1, 0]], [[0.0, 20.0, 0.0]])), 6)  # 4e-9 + 20² / 10⁴
    0.04
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            categorical.categorical_crossentropy,
            reduction,
            name,
            dtype,
            options,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@registered
class CategoricalFocalCrossentropy(NamedLoss):
    """`categorical_focal_crossentropy` as a loss: `keras.losses.CategoricalFocalCrossentropy`.

    Parameters
    ----------
    alpha, gamma, from_logits, label_smoothing, axis, reduction, name, dtype, **options
        As in Keras, and those of `categorical_focal_crossentropy`; `dtype` as in `BinaryCrossentropy`.

    Examples
    --------
    >>> loss = CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0)
    >>> round(float(loss([[0, 1]], [[0.5, 0.5]])), 4)  # ln 2 / 4
    0.1733
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            categorical.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            options,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@registered
class SparseCategoricalCrossentropy(NamedLoss):
    """`sparse_categorical_crossentropy` as a loss: `keras.losses.SparseCategoricalCrossentropy`.

    Parameters
    ----------
    from_logits, ignore_class, reduction, axis, name, dtype, **options
        As in Keras, and those of `sparse_categorical_crossentropy`; `dtype` as in `BinaryCrossentropy`. A mean is over
        the rows that are not ignored.

    Examples
    --------
    >>> loss = SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    >>> round(float(loss([2, 0], [[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]])), 4)
    0.5809
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            categorical.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            options,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


@registered
class CategoricalGeneralizedCrossEntropy(NamedLoss):
    """`categorical_generalized_cross_entropy` as a loss: `keras.losses.CategoricalGeneralizedCrossEntropy`.

    Parameters
    ----------
    q, reduction, name, dtype
        As in Keras; `dtype` as in `BinaryCrossentropy`.
    from_logits, axis, **options
        As in `categorical_generalized_cross_entropy`.

    Examples
    --------
    >>> loss = CategoricalGeneralizedCrossEntropy(q=0.5)
    >>> round(float(loss([0, 1], [[0.64, 0.36], [0.75, 0.25]])), 4)
    0.7
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
        *,
        from_logits: bool = False,
        axis: int = -1,
        **options: Any,
    ) -> None:
        super().__init__(
            categorical.categorical_generalized_cross_entropy,
            reduction,
            name,
            dtype,
            options,
            q=q,
            from_logits=from_logits,
            axis=axis,
        )


@registered
class KLDivergence(NamedLoss):
    """`kl_divergence` as a loss: `keras.losses.KLDivergence`.

    Parameters
    ----------
    reduction, name, dtype
        As in Keras; `dtype` as in `BinaryCrossentropy`.

    Examples
    --------
    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(categorical.kl_divergence, reduction, name, dtype, {})
