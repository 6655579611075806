"""Scores of predicted probabilities, in scikit-learn's argument order."""

from typing import Any

import numpy as np

from crossentropy.evaluation import Evaluation, evaluate

__all__ = ["brier_score", "brier_skill", "calibration_error", "log_loss", "log_loss_skill"]

STRATEGIES = {"uniform": "ece", "quantile": "ece_equal_mass", "smooth": "smooth_ece"}


def log_loss(y_true: Any, y_proba: Any, *, sample_weight: Any = None, labels: Any = None) -> float:
    r"""Mean negative log-probability of the labels.

    .. math:: \ell = -\frac{\sum_i \omega_i \sum_c t_{ic} \ln p_{ic}}{\sum_i \omega_i}

    Parameters
    ----------
    y_true : array or list (n,), or floating array (n, C)
        Labels of any type; or soft labels, the distribution of each row.
    y_proba : array (n, C), or (n,) for two classes
        Probabilities; one column is that of the second class.
    sample_weight : array (n,), optional
        Weight of each row; rows of weight 0 count nothing.
    labels : sequence of C labels, optional
        The label of each column, in the order of the columns, such as ``model.classes_``. Left out, they are the sorted
        labels of `y_true`, and then each of them has to occur.

    Returns
    -------
    float
        In nats; infinite if a label of a row with weight was given ``p = 0``.

    Raises
    ------
    ValueError
        If a row does not sum to one, a probability is outside [0, 1], a label is none of `labels`, or shapes do not
        fit.

    Notes
    -----
    Nothing is clipped: scikit-learn's function of the same name charges 36.04 for ``p = 0``. It also sorts `labels`,
    and takes the columns to be sorted too.

    Examples
    --------
    >>> round(log_loss(["spam", "ham"], [[0.1, 0.9], [0.8, 0.2]], labels=["ham", "spam"]), 6)
    0.164252
    >>> log_loss([0, 1], [[1.0, 0.0], [1.0, 0.0]])
    inf
    """
    return _evaluation(y_true, y_proba, sample_weight, labels).log_loss


def log_loss_skill(y_true: Any, y_proba: Any, *, sample_weight: Any = None, labels: Any = None) -> float:
    """Share of the base rates' log loss that predictions save, ``1 − ℓ / ℓ₀``; scikit-learn's ``d2_log_loss_score``.

    Parameters
    ----------
    y_true, y_proba, sample_weight, labels
        As in `log_loss`.

    Returns
    -------
    float
        Dimensionless, 1 at best and 0 for the base rates; NaN if only one class occurs.

    Raises
    ------
    ValueError
        As `log_loss` does.

    Examples
    --------
    >>> round(log_loss_skill([0, 1, 1, 0], [0.2, 0.7, 0.9, 0.4]), 6)
    0.568633
    """
    return _or_nan(_evaluation(y_true, y_proba, sample_weight, labels).skill)


def brier_score(y_true: Any, y_proba: Any, *, sample_weight: Any = None, labels: Any = None) -> float:
    """Mean squared error of the probabilities, ``Σ_c (p_c − t_c)²``; of two classes, that of the second class alone.

    Parameters
    ----------
    y_true, y_proba, sample_weight, labels
        As in `log_loss`.

    Returns
    -------
    float
        Dimensionless, 0 at best.

    Raises
    ------
    ValueError
        As `log_loss` does.

    Examples
    --------
    >>> brier_score([0, 1], [[0.5, 0.5], [0.0, 1.0]])
    0.125
    >>> brier_score([0, 1, 2], [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    0.16666666666666666
    """
    return _evaluation(y_true, y_proba, sample_weight, labels).brier


def brier_skill(y_true: Any, y_proba: Any, *, sample_weight: Any = None, labels: Any = None) -> float:
    """Share of the base rates' Brier score that predictions save; scikit-learn's ``d2_brier_score``.

    Parameters
    ----------
    y_true, y_proba, sample_weight, labels
        As in `log_loss`.

    Returns
    -------
    float
        Dimensionless, 1 at best and 0 for the base rates; NaN if only one class occurs.

    Raises
    ------
    ValueError
        As `log_loss` does.

    Examples
    --------
    >>> round(brier_skill([0, 1, 1, 0], [0.2, 0.7, 0.9, 0.4]), 6)
    0.7
    """
    return _or_nan(_evaluation(y_true, y_proba, sample_weight, labels).brier_skill)


def calibration_error(
    y_true: Any,
    y_proba: Any,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    n_bins: int = 15,
    strategy: str = "uniform",
) -> float:
    """Mean distance between probabilities and frequencies: of the second of two classes, of the likeliest of more.

    Parameters
    ----------
    y_true, y_proba, sample_weight, labels
        As in `log_loss`.
    n_bins : int, default 15
        Number of bins.
    strategy : {"uniform", "quantile", "smooth"}
        Bins of equal width, bins of equal weight, or a smooth error without bins.

    Returns
    -------
    float
        Dimensionless, 0 at best.

    Raises
    ------
    ValueError
        As `log_loss` does, or if the strategy is unknown.

    Examples
    --------
    >>> calibration_error([0, 0, 1, 1, 1], [0.25, 0.25, 0.55, 0.75, 0.75], n_bins=2).__round__(4)
    0.29
    """
    if strategy not in STRATEGIES:
        raise ValueError(f'strategy is {strategy!r}; write "uniform", "quantile" or "smooth"')
    return getattr(_evaluation(y_true, y_proba, sample_weight, labels, bins=n_bins), STRATEGIES[strategy])


def _evaluation(y_true: Any, y_proba: Any, sample_weight: Any, labels: Any, **options: Any) -> Evaluation:
    """Evaluate arrays, with the labels of the columns declared or found."""
    y, p = np.asarray(y_true), np.asarray(y_proba)
    is_soft = y.ndim == 2 and y.dtype.kind == "f"
    if labels is None and not is_soft:
        labels, columns = np.unique(y), p.shape[1] if p.ndim == 2 else 2
        if columns == 1:
            raise ValueError(
                f"y_proba has shape {p.shape}, one column; pass a column for each class, or for two classes the "
                "probabilities of the second one as a vector, y_proba[:, 0]"
            )
        if len(labels) != columns:
            raise ValueError(
                f"y_true has {len(labels)} different labels, but y_proba {columns} columns; pass the label of each "
                "column as labels=, for example model.classes_"
            )
    return evaluate(
        labels=y,
        proba=p,
        soft_labels=is_soft,
        classes=None if labels is None else list(labels),
        weight=sample_weight,
        worst=1,
        **options,
    )


def _or_nan(x: float | None) -> float:
    return float("nan") if x is None else x
