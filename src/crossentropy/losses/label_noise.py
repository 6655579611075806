"""Losses for labels that are wrong at times."""

from dataclasses import replace
from typing import Any

from crossentropy._arguments.errors import argument_errors
from crossentropy._backends import Array, as_indices, constant, device, namespace, widest_dtype
from crossentropy._engine.checks import as_share, check_logits
from crossentropy._engine.options import RowOptions, SoftmaxOptions, WithoutSmoothing
from crossentropy._engine.rows.formula import (
    fuzzy_set_loss,
    gather_by_label,
    labels_as_weights,
    one_label,
    prepare_rows,
    row_problem,
    row_weights,
    soft_label_table_loss,
)
from crossentropy._engine.rows.reduce import in_loss_dtype
from crossentropy._engine.rows.transition import checked_transition, inverse_transition
from crossentropy._engine.softmax.problem import RowFormula, SoftmaxProblem, make_problem
from crossentropy._engine.softmax.solve import solve
from crossentropy._engine.softmax.terms import not_ignored_rows
from crossentropy._versions import Unpack
from crossentropy.links import CrossEntropy
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.targets import Sparse

__all__ = [
    "backward_corrected_loss",
    "forward_corrected_loss",
    "hard_bootstrapping_loss",
    "soft_bootstrapping_loss",
]


@argument_errors
def forward_corrected_loss(
    logits: Array, labels: Any, transition: Any, **options: Unpack[RowOptions]
) -> Array:
    r"""Forward correction: cross-entropy of the noisy label that the model's classes would have.

    .. math:: \ell = -\log \sum_c T_{c \tilde y}\, p_c

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Scores of the C true classes along `axis`.
    labels : integer array, shape of the rows
        Noisy labels; or `targets.OneHot`.
    transition : array or list (C, C)
        ``T[i, j]``, the probability that the class i is labeled j: its rows sum to one. (Other codes have its
        transpose.)
    axis, class_weight, sample_weight, ignore_index, reduction, normalizer, empty, validate
        As in `crossentropy.softmax_cross_entropy`; class weights are those of the noisy labels.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32. Gradients flow to `logits`, `sample_weight` and
        those entries of `transition` that are neither 0 nor 1.

    Raises
    ------
    ValueError
        If `transition` is no matrix of C distributions, or as `crossentropy.softmax_cross_entropy` does.
    TypeError
        If a row has not just one label, or there is an option that this loss does not have.

    Notes
    -----
    A row is the cross-entropy of a label set: of the 2C pairs of a class and whether it is given this label, those in
    which it is. So a loss near 0 has all its digits, as in `softmax_cross_entropy`, whose value this is where ``T`` is
    the identity. A label that no class is ever given (a column of zeros) costs inf.

    References
    ----------
    Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach",
    CVPR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> transition = [[0.8, 0.2], [0.1, 0.9]]
    >>> logits = np.log([[0.5, 0.5]])
    >>> float(forward_corrected_loss(logits, np.asarray([0]), transition).round(6))  # −ln 0.45
    0.798508
    """
    problem = row_problem(logits, labels, options)
    one_label(problem, "forward_corrected_loss")
    T = checked_transition(transition, problem.logits, problem.classes)
    table = namespace(T).permute_dims(T, (1, 0))

    def composition(problem: SoftmaxProblem) -> Array:
        loss = fuzzy_set_loss(
            prepare_rows(problem).u,
            gather_by_label(problem, table),
            sample_weight=row_weights(problem),
            reduction=problem.reduction,
            normalizer=labels_as_weights(problem)["normalizer"],
            empty=problem.empty,
        )
        return in_loss_dtype(loss, problem.logits)

    formula = RowFormula("mixture", composition)
    return solve(replace(problem, formula=formula, table=table, tensors=None, warns=problem.validate))


@argument_errors
def backward_corrected_loss(
    logits: Array, labels: Any, transition: Any, **options: Unpack[SoftmaxOptions]
) -> Array:
    r"""Backward correction: a loss that on average over the noise is that of the true labels.

    .. math:: \ell = \sum_c (T^{-1})_{\tilde y c}\, (-\log p_c)

    Parameters
    ----------
    logits : array (..., C, ...), floating
        Scores of the C true classes along `axis`.
    labels : integer array, shape of the rows
        Noisy labels; or `targets.OneHot`.
    transition : array or list (C, C)
        ``T[i, j]``, the probability that the class i is labeled j: its rows sum to one. (Other codes have its
        transpose.)
    **options
        Those of `crossentropy.softmax_cross_entropy` but `margin`. A `link` is corrected in the place of ``−log p``, a
        smoothed loss in that of the plain one. Class weights are those of the true classes, ``w_c`` in the sum.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32. Gradients flow as in `softmax_cross_entropy`, and to
        `transition`.

    Raises
    ------
    ValueError
        If `transition` is no matrix of C distributions or has no inverse, or as `softmax_cross_entropy` does.
    TypeError
        If a row has not just one label.

    Notes
    -----
    It is cross-entropy of the masses ``(T⁻¹)[ỹ]``, which sum to one but may be negative. So the loss may be negative
    too, and of one row it has no least value: only its mean over the noise has. The inverse of an array whose values
    are known, of NumPy, PyTorch or JAX, is kept with a copy of the array for as long as the array lives, unless it
    learns; each call compares the two, and inverts again if one entry has changed. Pass the same array every time.

    References
    ----------
    Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach",
    CVPR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> transition = [[0.8, 0.2], [0.1, 0.9]]
    >>> logits = np.log([[0.9, 0.1]])
    >>> losses = [float(backward_corrected_loss(logits, np.asarray([y]), transition)) for y in (0, 1)]
    >>> round(losses[0], 6), round(losses[1], 6)
    (-0.522418, 2.616474)
    >>> round(0.8 * losses[0] + 0.2 * losses[1], 6)  # −ln 0.9
    0.105361
    """
    problem = make_problem(logits, labels, **options)
    inverse = inverse_transition(transition, problem.logits, problem.classes)

    def composition(problem: SoftmaxProblem) -> Array:
        return soft_label_table_loss(problem, inverse.exact, options, "backward_corrected_loss")

    target, plain = problem.target, type(problem.link) is CrossEntropy and problem.class_weight is None
    if target.indices is None or target.several or not plain:
        return composition(problem)
    formula = RowFormula("cross-entropy", composition)
    return solve(
        replace(problem, formula=formula, table=inverse.masses, tensors=None, warns=problem.validate)
    )


@argument_errors
def hard_bootstrapping_loss(
    logits: Array, labels: Any, *, label_weight: float = 0.8, **options: Unpack[SoftmaxOptions]
) -> Array:
    r"""Hard bootstrapping: cross-entropy of the label and of the model's own best guess.

    .. math:: \ell = -\beta \log p_y - (1 - \beta) \log p_{\hat y}, \qquad \hat y = \mathrm{argmax}_c\, z_c

    Parameters
    ----------
    logits : array (..., C, ...), floating
    labels : integer array, shape of the rows
        Class indices; or `targets.OneHot`.
    label_weight : float, default 0.8
        ``β``, the weight of the label, from 0 to 1; the guess has the rest.
    **options
        Those of `crossentropy.softmax_cross_entropy`. A class weight is that of the label on the first term and that of
        the guess on the second; a mean divides by both, in their shares.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32. The guess is a constant: no gradient flows through
        the choice.

    Raises
    ------
    ValueError
        If `label_weight` is not from 0 to 1, or as `crossentropy.softmax_cross_entropy` does.
    TypeError
        If a row has not just one label.

    Notes
    -----
    Of several largest logits the first is the guess; it is taken from the logits as they are, before any option.

    References
    ----------
    Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich, "Training Deep Neural Networks on Noisy Labels with Bootstrapping",
    ICLR workshop 2015.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> float(hard_bootstrapping_loss(logits, np.asarray([1])).round(6))  # −0.8 ln 0.2 − 0.2 ln 0.7
    1.358885
    """
    label_weight = as_share(label_weight, "label_weight")
    problem = make_problem(logits, labels, **options)
    y = as_indices(one_label(problem, "hard_bootstrapping_loss"))
    xp, keep = namespace(y), not_ignored_rows(problem)
    guess = as_indices(xp.argmax(constant(problem.logits), axis=problem.axis))
    y = y if keep is None else xp.where(keep, y, guess)
    one = xp.ones((), dtype=widest_dtype(problem.logits), device=device(problem.logits))
    shares = xp.stack([label_weight * one, (1 - label_weight) * one])
    target = Sparse(xp.stack([y, guess], axis=-1), xp.broadcast_to(shares, (*y.shape, 2)))
    merged: SoftmaxOptions = {**options, **labels_as_weights(problem)}
    return softmax_cross_entropy(problem.logits, target, **merged)


@argument_errors
def soft_bootstrapping_loss(
    logits: Array,
    labels: Any,
    *,
    label_weight: float = 0.95,
    detach: bool = False,
    **options: Unpack[WithoutSmoothing],
) -> Array:
    r"""Soft bootstrapping: cross-entropy of the label and of the model's own prediction.

    .. math:: \ell = -\beta \log p_y - (1 - \beta) \sum_c p_c \log p_c

    Parameters
    ----------
    logits, labels
        As in `crossentropy.softmax_cross_entropy`, but no `LabelSet`.
    label_weight : float, default 0.95
        ``β``, the weight of the label, from 0 to 1; the prediction has the rest.
    detach : bool, default False
        Whether the prediction, as a target, is held constant. The value is the same. The gradient is then ``β`` times
        cross-entropy's, for a prediction that is its own target is at its optimum; otherwise the entropy is minimized
        too.
    **options
        Those of `crossentropy.softmax_cross_entropy` but `label_smoothing`, `smoothing_prior` and `entropy_bonus`.
        Class weights are those of the label and do not weigh the entropy; a mean divides by the labels' weights.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError
        If `label_weight` is not from 0 to 1, or as `crossentropy.softmax_cross_entropy` does.

    Notes
    -----
    ``β CE + (1 − β) H``: the paper writes the prediction into the target and does not say whether it is differentiated
    there. Not detached it is entropy minimization, as the paper calls it.

    References
    ----------
    Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich, "Training Deep Neural Networks on Noisy Labels with Bootstrapping",
    ICLR workshop 2015.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> float(soft_bootstrapping_loss(logits, np.asarray([1])).round(6))  # −0.95 ln 0.2 + 0.05 · 0.801819
    1.569057
    """
    label_weight = as_share(label_weight, "label_weight")
    logits, axis = check_logits(logits, options.get("axis", -1))
    xp = namespace(logits)
    # Smoothing towards nothing takes β of the label's mass and leaves its weight in the mean.
    nothing = xp.zeros((logits.shape[axis],), dtype=widest_dtype(logits), device=device(logits))

    def loss(entropy_bonus: float) -> Array:
        return softmax_cross_entropy(
            logits,
            labels,
            label_smoothing=1 - label_weight,
            smoothing_prior=nothing,
            entropy_bonus=entropy_bonus,
            **options,
        )

    whole = loss(label_weight - 1)
    if not detach:
        return whole
    own = loss(0.0)
    endless = ~xp.isfinite(own)
    entropy = xp.where(endless, xp.zeros_like(own), whole) - xp.where(endless, xp.zeros_like(own), own)
    return own + constant(entropy)
