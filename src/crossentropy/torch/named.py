"""Modules of the named losses of rows with one label among classes.

Each is the function of `crossentropy.losses` that its first line names, in value and gradient, with the settings given
once: its own by position or name, and every option of the function by name. As in these functions, and unlike in
`torch.nn`, the classes are the last axis unless ``axis=1`` is given, no label is ignored unless `ignore_index` is, and
a mean of nothing is 0. Weights of rows go to the call: ``loss(logits, labels, sample_weight=…)``.
"""

from typing import Any

from crossentropy import links, losses
from crossentropy.torch._named_loss import NamedLoss

__all__ = [
    "ActivePassiveLoss",
    "ArcFaceLoss",
    "BackwardCorrectedLoss",
    "BalancedSoftmaxLoss",
    "BiTemperedLoss",
    "BrierLoss",
    "CosFaceLoss",
    "ForwardCorrectedLoss",
    "GeneralizedCrossEntropyLoss",
    "HardBootstrappingLoss",
    "HardExampleLoss",
    "HingeLoss",
    "LDAMLoss",
    "MeanAbsoluteErrorLoss",
    "NormalizedCrossEntropyLoss",
    "PartiallyHuberizedCrossEntropyLoss",
    "PolyLoss",
    "SoftBootstrappingLoss",
    "SymmetricCrossEntropyLoss",
    "TaylorCrossEntropyLoss",
    "TsallisLoss",
    "UnlikelihoodLoss",
]


def _counts_are_positive(counts: Any) -> None:
    """Raise ValueError unless all class counts are positive."""
    losses.logit_adjustment(counts)


class PolyLoss(NamedLoss, function=losses.poly_loss, check=links.Poly):
    """`crossentropy.losses.poly_loss`: cross-entropy with the first terms of its series changed.

    >>> import torch
    >>> round(PolyLoss(epsilon=2.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    2.8863
    """


class GeneralizedCrossEntropyLoss(
    NamedLoss, function=losses.generalized_cross_entropy, check=links.GeneralizedCrossEntropy
):
    """`crossentropy.losses.generalized_cross_entropy`: the L_q loss ``(1 − p^q)/q``.

    >>> import torch
    >>> round(GeneralizedCrossEntropyLoss(q=1.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.75
    """


class SymmetricCrossEntropyLoss(
    NamedLoss, function=losses.symmetric_cross_entropy, check=links.SymmetricCrossEntropy
):
    """`crossentropy.losses.symmetric_cross_entropy`: cross-entropy and its reverse.

    >>> import torch
    >>> loss = SymmetricCrossEntropyLoss(forward_weight=0.1, reverse_weight=1.0)
    >>> round(loss(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    3.1386
    """


class TaylorCrossEntropyLoss(NamedLoss, function=losses.taylor_cross_entropy, check=links.Taylor):
    """`crossentropy.losses.taylor_cross_entropy`: the first terms of the series of cross-entropy.

    >>> import torch
    >>> round(TaylorCrossEntropyLoss(order=2)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.0312
    """


class PartiallyHuberizedCrossEntropyLoss(
    NamedLoss, function=losses.partially_huberized_cross_entropy, check=links.PartiallyHuberized
):
    """`crossentropy.losses.partially_huberized_cross_entropy`: linear in ``p`` under ``p = 1/τ``.

    >>> import torch
    >>> round(PartiallyHuberizedCrossEntropyLoss(tau=2.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.1931
    """


class MeanAbsoluteErrorLoss(
    NamedLoss, function=losses.mean_absolute_error_loss, check=links.MeanAbsoluteError
):
    """`crossentropy.losses.mean_absolute_error_loss` of the probabilities, ``2 (1 − p)``.

    >>> import torch
    >>> round(MeanAbsoluteErrorLoss()(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.5
    """


class TsallisLoss(NamedLoss, function=losses.tsallis_loss, check=links.Tsallis):
    """`crossentropy.losses.tsallis_loss`: cross-entropy of Tsallis's logarithm.

    >>> import torch
    >>> round(TsallisLoss(t=0.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.75
    """


class UnlikelihoodLoss(NamedLoss, function=losses.unlikelihood_loss, check=links.Unlikelihood):
    """`crossentropy.losses.unlikelihood_loss`, ``−log(1 − p)`` of labels that must not come.

    >>> import torch
    >>> round(UnlikelihoodLoss()(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.2877
    """


class NormalizedCrossEntropyLoss(NamedLoss, function=losses.normalized_cross_entropy):
    """`crossentropy.losses.normalized_cross_entropy`: the label's share of the losses of all labels.

    >>> import torch
    >>> round(NormalizedCrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.25
    """


class ActivePassiveLoss(NamedLoss, function=losses.active_passive_loss):
    """`crossentropy.losses.active_passive_loss`: normalized cross-entropy and mean absolute error.

    >>> import torch
    >>> round(ActivePassiveLoss(active_weight=1.0, passive_weight=0.5)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.0
    """


class BiTemperedLoss(NamedLoss, function=losses.bi_tempered_loss):
    """`crossentropy.losses.bi_tempered_loss`, bounded by `t1` and heavy-tailed by `t2`.

    >>> import torch
    >>> round(BiTemperedLoss(t1=0.5, t2=1.5)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.6667
    """


class BrierLoss(NamedLoss, function=losses.brier_loss):
    """`crossentropy.losses.brier_loss`: the squared error of the probabilities.

    >>> import torch
    >>> round(BrierLoss()(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.75
    """


class HingeLoss(NamedLoss, function=losses.hinge_loss):
    """`crossentropy.losses.hinge_loss` of several classes.

    >>> import torch
    >>> round(HingeLoss(kind="weston-watkins")(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    3.0
    """


class BalancedSoftmaxLoss(
    NamedLoss, function=losses.balanced_softmax_loss, check=_counts_are_positive, fixed=("counts",)
):
    """`crossentropy.losses.balanced_softmax_loss`; `counts` of the classes are a buffer.

    >>> import torch
    >>> round(BalancedSoftmaxLoss([60, 20, 10, 10])(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    0.5108
    """


class LDAMLoss(NamedLoss, function=losses.ldam_loss, check=_counts_are_positive, fixed=("counts",)):
    """`crossentropy.losses.ldam_loss`: margins by the sizes of the classes; `counts` are a buffer.

    >>> import torch
    >>> round(LDAMLoss([60, 20, 10, 10], scale=1.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.6349
    """


class CosFaceLoss(NamedLoss, function=losses.cosface_loss):
    """`crossentropy.losses.cosface_loss` of cosines.

    >>> import torch
    >>> round(CosFaceLoss(margin=0.2, scale=10.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    3.1427
    """


class ArcFaceLoss(NamedLoss, function=losses.arcface_loss):
    """`crossentropy.losses.arcface_loss` of cosines.

    >>> import torch
    >>> round(ArcFaceLoss(margin=0.2, scale=10.0)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    3.13
    """


class HardExampleLoss(NamedLoss, function=losses.hard_example_loss):
    """`crossentropy.losses.hard_example_loss`: the mean of the largest losses of a batch.

    >>> import torch
    >>> round(HardExampleLoss(keep=0.5)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.3863
    """


class ForwardCorrectedLoss(NamedLoss, function=losses.forward_corrected_loss, fixed=("transition",)):
    """`crossentropy.losses.forward_corrected_loss`; the `transition` matrix is a buffer.

    >>> import torch
    >>> round(ForwardCorrectedLoss([[0.75, 0.25], [0.25, 0.75]])(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.6931
    """


class BackwardCorrectedLoss(NamedLoss, function=losses.backward_corrected_loss, fixed=("transition",)):
    """`crossentropy.losses.backward_corrected_loss`; the `transition` matrix is a buffer.

    >>> import torch
    >>> round(BackwardCorrectedLoss([[0.75, 0.25], [0.25, 0.75]])(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.6931
    """


class HardBootstrappingLoss(NamedLoss, function=losses.hard_bootstrapping_loss):
    """`crossentropy.losses.hard_bootstrapping_loss`: the label and the likeliest class.

    >>> import torch
    >>> round(HardBootstrappingLoss(label_weight=0.5)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.3863
    """


class SoftBootstrappingLoss(NamedLoss, function=losses.soft_bootstrapping_loss):
    """`crossentropy.losses.soft_bootstrapping_loss`: the label and the prediction.

    >>> import torch
    >>> round(SoftBootstrappingLoss(label_weight=0.5)(torch.zeros(1, 4), torch.tensor([0])).item(), 4)
    1.3863
    """
