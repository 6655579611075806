"""Losses of policies: cross-entropies of actions, weighted by what came of them."""

from typing import Any

from crossentropy._arguments.arrays import as_arrays
from crossentropy._arguments.errors import argument_errors, renamed_in_errors
from crossentropy._backends import Array, constant, namespace
from crossentropy._backends.conditions import is_false
from crossentropy._engine.checks import check_logits
from crossentropy._engine.options import SoftmaxOptions
from crossentropy._engine.reductions import count_by_default
from crossentropy._engine.weights import like, row_values
from crossentropy._rows import rows_shape
from crossentropy._versions import Unpack
from crossentropy.links import ClippedPolicy
from crossentropy.links._advantage import Advantage
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.targets import LabelSet, OneHot, Probabilities, Sparse

__all__ = ["behavior_cloning", "dpo_loss", "policy_gradient", "ppo_loss"]


@argument_errors
@renamed_in_errors(label="action")
def policy_gradient(
    logits: Array,
    actions: Array,
    advantages: Array,
    *,
    entropy_bonus: float = 0.0,
    axis: int = -1,
    temperature: Any = 1.0,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "count",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""The policy gradient (REINFORCE): actions are made likelier in proportion to their advantage.

    .. math:: \ell = -\hat A \log \pi(a) - \eta H(\pi)

    Parameters
    ----------
    logits : array (..., C, ...), floating
        The policy's scores of C actions along `axis`.
    actions : integer array, shape of the rows
        The actions that were taken.
    advantages : array, shape of the rows
        ``Â`` of any sign: the return, or what of it is more than expected. A constant: no gradient flows to it.
    entropy_bonus : float, default 0.0
        ``η``, which keeps the policy from settling too early; 0.01 in the second paper. It is not multiplied by the
        advantage.
    axis : int, default -1
        The axis of the actions.
    temperature : float or array, default 1.0
        As in `crossentropy.softmax_cross_entropy`, where the actions were drawn at one.
    sample_weight : array, shape of the rows, optional
        A mask of 0 and 1, or weights, of the whole row with its entropy.
    ignore_index : int, optional
        An action whose rows are left out.
    reduction : {"mean", "sum", "none"}
        One number, or the loss of each row.
    normalizer : {"count", "weight"}, number or array, default "count"
        What a mean divides by: the number of rows not ignored, those of weight 0 included; ``Σ`` of the sample
        weights, which of a mask is the number of rows that it leaves; or this, such as the number of episodes. It is
        never the sum of the advantages, which may be anything.
    empty, validate
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        In nats times the unit of `advantages`: float64 for float64 logits, else float32. Its gradient is the policy
        gradient; its value says little.

    Raises
    ------
    ValueError
        If shapes do not fit, an action is none of the C, or an option is out of range.
    TypeError
        If logits are not floating or actions not integers.

    References
    ----------
    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", Machine
    Learning 8, 1992.
    Mnih, Badia, Mirza, Graves, Lillicrap, Harley, Silver, Kavukcuoglu, "Asynchronous Methods for Deep Reinforcement
    Learning", ICML 2016, for the entropy.

    Examples
    --------
    >>> import numpy as np
    >>> logits, actions = np.log([[0.5, 0.5], [0.25, 0.75]]), np.asarray([0, 1])
    >>> policy_gradient(logits, actions, np.asarray([1.0, -2.0]), reduction="none").round(4)
    array([ 0.6931, -0.5754])
    """
    logits, actions, rows = _of_actions(logits, actions, axis)
    weight = row_values(sample_weight, logits, rows, "sample_weight")
    return softmax_cross_entropy(
        logits,
        actions,
        axis=axis,
        temperature=temperature,
        sample_weight=weight,
        ignore_index=ignore_index,
        link=Advantage(_constant_rows(advantages, logits, rows, weight, "advantages")),
        entropy_bonus=entropy_bonus,
        reduction=reduction,
        normalizer=count_by_default(normalizer, reduction, "count"),
        empty=empty,
        validate=validate,
    )


@argument_errors
@renamed_in_errors(label="action")
def behavior_cloning(logits: Array, actions: Any, **options: Unpack[SoftmaxOptions]) -> Array:
    """Imitation: the cross-entropy of an expert's actions, each as good as the other.

    It is `policy_gradient` with advantages of 1, and plain classification.

    Parameters
    ----------
    logits : array (..., C, ...), floating
        The policy's scores of C actions.
    actions : array, or one of `crossentropy.targets`
        What the expert did: class indices, or the expert's probabilities.
    **options
        Those of `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the rows' shape
        The loss in nats: float64 for float64 logits, else float32.

    Raises
    ------
    ValueError, TypeError
        As `crossentropy.softmax_cross_entropy`.

    References
    ----------
    Pomerleau, "Efficient Training of Artificial Neural Networks for Autonomous Navigation", Neural Computation 3, 1991.

    Examples
    --------
    >>> import numpy as np
    >>> float(behavior_cloning(np.log([[0.25, 0.75]]), np.asarray([1])).round(4))
    0.2877
    """
    return softmax_cross_entropy(logits, actions, **options)


@argument_errors
@renamed_in_errors(label="action")
def ppo_loss(
    logits: Array,
    actions: Array,
    advantages: Array,
    old_log_prob: Array,
    *,
    clip: float = 0.2,
    entropy_bonus: float = 0.0,
    axis: int = -1,
    temperature: Any = 1.0,
    sample_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    normalizer: Any = "count",
    empty: str = "zero",
    validate: str = "raise",
) -> Array:
    r"""Proximal policy optimization: the policy gradient on old samples, which stops where the policy has moved far.

    .. math:: \ell = -\min\bigl(r \hat A,\, \mathrm{clip}(r, 1 - c, 1 + c) \hat A\bigr) - \eta H(\pi), \qquad
              r = \pi(a) / \pi_\mathrm{old}(a)

    Parameters
    ----------
    logits, actions, advantages, entropy_bonus
        As in `policy_gradient`.
    axis, temperature, empty, validate
        As in `crossentropy.softmax_cross_entropy`.
    old_log_prob : array, shape of the rows
        ``log π_old(a)`` of the policy that took the actions: `target_statistics(...).log_prob` of its logits. A
        constant: no gradient flows to it.
    clip : float, default 0.2
        ``c``. Where the ratio is beyond it in the direction of the advantage, the loss is constant.
    sample_weight, ignore_index, reduction, normalizer
        As in `policy_gradient`. With the mask of tokens, ``normalizer="weight"`` is their mean over the batch
        (DAPO), and an array of each sequence's length times the number of sequences that of their means (GRPO).

    Returns
    -------
    array () or the rows' shape
        In the unit of `advantages` (dimensionless where they are standardized): float64 for float64 logits, else
        float32. It is minus the paper's objective, which is maximized. The value function's loss is not in it.

    Raises
    ------
    ValueError, TypeError
        As `policy_gradient`, and if `clip` is not positive.

    References
    ----------
    Schulman, Wolski, Dhariwal, Radford, Klimov, "Proximal Policy Optimization Algorithms", arXiv 1707.06347, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> logits, actions, old = np.log([[0.5, 0.5], [0.25, 0.75]]), np.asarray([0, 1]), np.log([0.25, 0.75])
    >>> ppo_loss(logits, actions, np.asarray([1.0, -2.0]), old, reduction="none").round(4)  # ratios 2 and 1
    array([-1.2,  2. ])
    """
    logits, actions, rows = _of_actions(logits, actions, axis)
    weight = row_values(sample_weight, logits, rows, "sample_weight")
    link = ClippedPolicy(
        _constant_rows(advantages, logits, rows, weight, "advantages"),
        _constant_rows(old_log_prob, logits, rows, weight, "old_log_prob"),
        clip,
    )
    return softmax_cross_entropy(
        logits,
        actions,
        axis=axis,
        temperature=temperature,
        sample_weight=weight,
        ignore_index=ignore_index,
        link=link,
        entropy_bonus=entropy_bonus,
        reduction=reduction,
        normalizer=count_by_default(normalizer, reduction, "count"),
        empty=empty,
        validate=validate,
    )


@argument_errors
def dpo_loss(
    policy_chosen: Array,
    policy_rejected: Array,
    reference_chosen: Array,
    reference_rejected: Array,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    sample_weight: Array | None = None,
    reduction: str = "mean",
    normalizer: Any = "weight",
    empty: str = "zero",
) -> Array:
    r"""Direct preference optimization: a binary cross-entropy whose log-odds are a difference of log-ratios.

    .. math:: \ell = -(1 - \varepsilon) \log \sigma(h) - \varepsilon \log \sigma(-h), \qquad
              h = \beta \Bigl(\log \frac{\pi(y_+)}{\pi(y_-)} -
              \log \frac{\pi_\mathrm{ref}(y_+)}{\pi_\mathrm{ref}(y_-)}\Bigr)

    Parameters
    ----------
    policy_chosen, policy_rejected : array, any shape, floating
        Log-probability of the preferred and of the other answer, as `sequence_log_prob` sums them over tokens.
    reference_chosen, reference_rejected : array of the same shape
        The same of the reference model, which is not trained: compute them without a gradient.
    beta : float, default 0.1
        ``β``, how dear it is to leave the reference.
    label_smoothing : float, default 0.0
        ``ε``, from 0 to 1/2: the share of preferences that are taken to be the wrong way round (conservative DPO). It
        is not the smoothing of `sigmoid_cross_entropy`, which would move half as much.
    sample_weight : array of the same shape, optional
        Weight of each pair.
    reduction, normalizer, empty
        As in `crossentropy.softmax_cross_entropy`.

    Returns
    -------
    array () or the given shape
        In nats: float64 for float64 inputs, else float32. Gradients flow to the log-probabilities.

    Raises
    ------
    ValueError
        If shapes differ, or an option is out of range.
    TypeError
        If the inputs are not floating, or are of different libraries.

    References
    ----------
    Rafailov, Sharma, Mitchell, Ermon, Manning, Finn, "Direct Preference Optimization: Your Language Model is Secretly a
    Reward Model", NeurIPS 2023.
    Mitchell, "A note on DPO with noisy preferences & relationship to IPO", 2023, for the smoothing.

    Examples
    --------
    >>> import numpy as np
    >>> chosen, rejected, same = np.asarray([-10.0]), np.asarray([-12.0]), np.asarray([-11.0])
    >>> float(dpo_loss(chosen, rejected, same, same, beta=0.5).round(4))  # h = 1
    0.3133
    """
    if is_false((beta > 0) & (beta < float("inf"))):
        raise ValueError(f"beta is {beta}; log-ratios are multiplied by it, so it is finite and positive")
    if is_false((label_smoothing >= 0) & (label_smoothing <= 0.5)):
        raise ValueError(
            f"label_smoothing is {label_smoothing}; it is the share of wrong preferences, from 0 to 1/2"
        )
    named = {
        "policy_chosen": policy_chosen,
        "policy_rejected": policy_rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
    }
    _, given = as_arrays(**named)
    for name, x in zip(named, given, strict=True):
        if tuple(x.shape) != tuple(given[0].shape):
            raise ValueError(
                f"{name} has shape {tuple(x.shape)} but policy_chosen has shape {tuple(given[0].shape)}; pass one "
                "log-probability of each answer (nothing is broadcast)"
            )
    chosen, rejected, ref_chosen, ref_rejected = given
    h = beta * ((chosen - rejected) - (ref_chosen - ref_rejected))
    return sigmoid_cross_entropy(
        h,
        namespace(h).zeros_like(h) + (1 - label_smoothing),
        sample_weight=sample_weight,
        reduction=reduction,
        normalizer=normalizer,
        empty=empty,
    )


def _of_actions(logits: Array, actions: Any, axis: int) -> tuple[Array, Array, tuple[int, ...]]:
    """Logits and actions of one library, one action for every row, and the shape of the rows."""
    if isinstance(actions, (LabelSet, OneHot, Probabilities, Sparse)):
        raise TypeError(
            f"actions are a {type(actions).__name__}; an advantage is of one action, so pass their indices as integers"
        )
    xp, (logits, actions) = as_arrays(logits=logits, actions=actions)
    logits, axis = check_logits(logits, axis)
    if not xp.isdtype(actions.dtype, ("integral", "bool")):
        raise TypeError(f"actions have dtype {actions.dtype}; pass their indices as integers")
    rows = rows_shape(logits.shape, axis)
    if tuple(actions.shape) != rows:
        one_hot = tuple(actions.shape) == tuple(logits.shape)
        raise ValueError(
            f"actions have shape {tuple(actions.shape)}, but logits of shape {tuple(logits.shape)} with class axis "
            f"{axis} need one for each of their rows, shape {rows}"
            + (f"; if they are one-hot, pass actions.argmax({axis})" if one_hot else "")
        )
    return logits, actions, rows


def _constant_rows(
    values: Any, logits: Array, rows: tuple[int, ...], weight: Array | None, name: str
) -> Array:
    """One number for every row, without a gradient, and 0 where the row counts for nothing."""
    x = like(values, logits, name)
    if tuple(x.shape) != rows:
        raise ValueError(f"{name} have shape {tuple(x.shape)}; pass one for each action, shape {rows}")
    x, xp = constant(x), namespace(x)
    return x if weight is None else xp.where(weight == 0, xp.zeros_like(x), x)
