"""Modules of the named losses of other tasks: multi-label, ordinal, contrastive, sequences, policies and more.

As in `crossentropy.torch.named`, each is the function of `crossentropy.losses` that its first line names.
"""

from math import log
from typing import Any

import torch
from torch import nn

from crossentropy import losses
from crossentropy._arguments.errors import number
from crossentropy.torch._named_loss import NamedLoss
from crossentropy.torch._settings import text

__all__ = [
    "AsymmetricLoss",
    "AugMixLoss",
    "CLIPLoss",
    "CoralLoss",
    "CornLoss",
    "DPOLoss",
    "DiscriminatorLoss",
    "DistillationLoss",
    "DistributionBalancedLoss",
    "GeneratorLoss",
    "InfoNCELoss",
    "NTXentLoss",
    "PPOLoss",
    "PolicyGradientLoss",
    "SequenceCrossEntropyLoss",
    "SigLIPLoss",
    "SigmoidFocalLoss",
    "SupervisedContrastiveLoss",
    "ZLPRLoss",
]


class AsymmetricLoss(NamedLoss, function=losses.asymmetric_loss):
    """`crossentropy.losses.asymmetric_loss` of multi-label data.

    >>> import torch
    >>> loss = AsymmetricLoss(gamma_negative=2.0, negative_shift=0.0)
    >>> round(loss(torch.zeros(1, 3), torch.tensor([[1, 0, 0]])).item(), 4)
    0.3466
    """


class SigmoidFocalLoss(NamedLoss, function=losses.sigmoid_focal_loss):
    """`crossentropy.losses.sigmoid_focal_loss` of yes-or-no questions.

    >>> import torch
    >>> round(SigmoidFocalLoss(alpha=None)(torch.zeros(1, 3), torch.tensor([[1, 0, 0]])).item(), 4)
    0.1733
    """


class ZLPRLoss(NamedLoss, function=losses.zlpr_loss):
    """`crossentropy.losses.zlpr_loss` of multi-label data.

    >>> import torch
    >>> round(ZLPRLoss()(torch.zeros(1, 3), torch.tensor([[1, 0, 0]])).item(), 4)
    1.7918
    """


class DistributionBalancedLoss(NamedLoss, function=losses.distribution_balanced_loss, fixed=("counts",)):
    """`crossentropy.losses.distribution_balanced_loss`; `counts` of the classes are a buffer.

    >>> import torch
    >>> loss = DistributionBalancedLoss([500, 20, 10], total=1000)
    >>> round(loss(torch.zeros(1, 3), torch.tensor([[1, 0, 0]])).item(), 4)
    0.214
    """


class CoralLoss(NamedLoss, function=losses.coral_loss):
    """`crossentropy.losses.coral_loss` of ordered classes.

    >>> import torch
    >>> round(CoralLoss()(torch.zeros(1, 3), torch.tensor([2])).item(), 4)
    2.0794
    """


class CornLoss(NamedLoss, function=losses.corn_loss):
    """`crossentropy.losses.corn_loss` of ordered classes.

    >>> import torch
    >>> round(CornLoss()(torch.zeros(1, 3), torch.tensor([2])).item(), 4)
    0.6931
    """


class DistillationLoss(NamedLoss, function=losses.distillation_loss):
    """`crossentropy.losses.distillation_loss` of a student, a teacher and, if `label_weight` is not 0, labels.

    >>> import torch
    >>> round(DistillationLoss(temperature=2.0, label_weight=0.0)(torch.zeros(1, 3), torch.zeros(1, 3)).item(), 4)
    0.0
    """


class AugMixLoss(NamedLoss, function=losses.augmix_loss, per_call=("labels",)):
    """`crossentropy.losses.augmix_loss` of a clean view and others; `labels` go to the call by name.

    >>> import torch
    >>> loss = AugMixLoss(consistency_weight=1.0)
    >>> round(loss(torch.zeros(1, 3), torch.zeros(1, 3), labels=torch.tensor([0])).item(), 4)
    1.0986
    """


class InfoNCELoss(NamedLoss, function=losses.info_nce, per_call=("negatives",)):
    """`crossentropy.losses.info_nce` of queries and keys.

    >>> import torch
    >>> round(InfoNCELoss(temperature=1.0)(torch.eye(2), torch.eye(2)).item(), 4)
    0.3133
    """


class NTXentLoss(NamedLoss, function=losses.nt_xent, per_call=("labels",)):
    """`crossentropy.losses.nt_xent` of two views.

    >>> import torch
    >>> round(NTXentLoss(temperature=1.0)(torch.eye(2), torch.eye(2)).item(), 4)
    0.5514
    """


class SupervisedContrastiveLoss(NamedLoss, function=losses.supervised_contrastive):
    """`crossentropy.losses.supervised_contrastive` of features and labels.

    >>> import torch
    >>> round(SupervisedContrastiveLoss(temperature=1.0)(torch.eye(3), torch.tensor([0, 0, 1])).item(), 4)
    0.6931
    """


class CLIPLoss(NamedLoss, function=losses.clip_loss, learned=("scale",)):
    """`crossentropy.losses.clip_loss` of images and texts, with the scale as a parameter.

    Parameters
    ----------
    scale : float, default 1 / 0.07
        The first value of ``exp(log_scale)``.
    largest : float, default 100
        What the scale may not pass: in training, a call first puts `log_scale` back under its logarithm, as CLIP's
        code does after each step.
    **options
        Those of the function.

    Examples
    --------
    >>> import torch
    >>> loss = CLIPLoss()
    >>> loss
    CLIPLoss(normalize=True, reduction='mean', scale=14.2857, largest=100)
    >>> round(CLIPLoss(scale=2.0)(torch.eye(2), torch.eye(2)).item(), 4)
    0.1269
    """

    def __init__(self, scale: float = 1 / 0.07, *, largest: float = 100.0, **options: Any) -> None:
        super().__init__(**options)
        _check_positive(scale=scale, largest=largest)
        self.largest = largest
        self.log_scale = nn.Parameter(torch.tensor(log(scale)))

    def _current(self) -> dict[str, Any]:
        if self.training:
            with torch.no_grad():
                self.log_scale.clamp_(max=log(self.largest))
        return super()._current() | {"scale": self.log_scale.exp()}

    def extra_repr(self) -> str:
        return f"{self._shown()}, scale={text(self.log_scale.detach().exp())}, largest={self.largest:g}"


class SigLIPLoss(NamedLoss, function=losses.siglip_loss, learned=("scale", "bias")):
    """`crossentropy.losses.siglip_loss` of images and texts, with the scale and the bias as parameters.

    Parameters
    ----------
    scale : float, default 10.0
        The first value of ``exp(log_scale)``, the paper's ``exp(t')``.
    bias : float, default -10.0
        The first value of `bias`.
    **options
        Those of the function.

    Examples
    --------
    >>> import torch
    >>> loss = SigLIPLoss()
    >>> loss
    SigLIPLoss(normalize=True, reduction='mean', scale=10, bias=-10)
    >>> round(loss(torch.eye(2), torch.eye(2)).item(), 4)
    0.6932
    """

    def __init__(self, scale: float = 10.0, bias: float = -10.0, **options: Any) -> None:
        super().__init__(**options)
        _check_positive(scale=scale)
        self.log_scale = nn.Parameter(torch.tensor(log(scale)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def _current(self) -> dict[str, Any]:
        return super()._current() | {"scale": self.log_scale.exp(), "bias": self.bias}

    def extra_repr(self) -> str:
        return f"{self._shown()}, scale={text(self.log_scale.detach().exp())}, bias={text(self.bias)}"


class SequenceCrossEntropyLoss(NamedLoss, function=losses.sequence_cross_entropy, per_call=("mask",)):
    """`crossentropy.losses.sequence_cross_entropy` of tokens; a `mask` goes to the call.

    >>> import torch
    >>> round(SequenceCrossEntropyLoss(shift=1)(torch.zeros(1, 3, 4), torch.tensor([[1, 2, 3]])).item(), 4)
    1.3863
    """


class PolicyGradientLoss(NamedLoss, function=losses.policy_gradient):
    """`crossentropy.losses.policy_gradient` of logits, actions and advantages.

    >>> import torch
    >>> round(PolicyGradientLoss(entropy_bonus=0.01)(torch.zeros(1, 3), torch.tensor([0]), torch.ones(1)).item(), 4)
    1.0876
    """


class PPOLoss(NamedLoss, function=losses.ppo_loss):
    """`crossentropy.losses.ppo_loss` of logits, actions, advantages and old log-probabilities.

    >>> import torch
    >>> round(PPOLoss(clip=0.1)(torch.zeros(1, 3), torch.tensor([0]), torch.ones(1), torch.full((1,), -1.0)).item(), 4)
    -0.9061
    """


class DPOLoss(NamedLoss, function=losses.dpo_loss):
    """`crossentropy.losses.dpo_loss` of log-probabilities: policy's and reference's, chosen and rejected.

    >>> import torch
    >>> round(DPOLoss(beta=0.5)(torch.ones(1), torch.zeros(1), torch.zeros(1), torch.zeros(1)).item(), 4)
    0.4741
    """


class DiscriminatorLoss(
    NamedLoss, function=losses.discriminator_loss, per_call=("real_weight", "fake_weight")
):
    """`crossentropy.losses.discriminator_loss` of logits of real and of generated examples.

    >>> import torch
    >>> round(DiscriminatorLoss(label_smoothing=0.1)(torch.ones(2), torch.zeros(2)).item(), 4)
    1.1064
    """


class GeneratorLoss(NamedLoss, function=losses.generator_loss):
    """`crossentropy.losses.generator_loss` of logits of generated examples.

    >>> import torch
    >>> round(GeneratorLoss(saturating=True)(torch.zeros(2)).item(), 4)
    -0.6931
    """


def _check_positive(**numbers: float) -> None:
    """Raise ValueError unless all numbers are positive and finite."""
    for name, value in numbers.items():
        if not 0 < number(value, name) < float("inf"):
            raise ValueError(f"{name} is {value}; cosines are multiplied by it, so it must be positive")
