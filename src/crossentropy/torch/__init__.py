"""Cross-entropy for PyTorch, under torch's own names and arguments.

Replacing `torch.nn` by `crossentropy.torch` changes nothing but speed, memory and accuracy, with one difference: the
loss of half-precision logits is returned in float32.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.torch needs PyTorch; install it with pip install "crossentropy[torch]"'
    ) from error

from crossentropy.torch.accumulation import causal_lm_loss, global_normalizer
from crossentropy.torch.binary import binary_cross_entropy, binary_cross_entropy_with_logits
from crossentropy.torch.functional import cross_entropy, focal_loss, nll_loss
from crossentropy.torch.linear import LinearCrossEntropyLoss, linear_cross_entropy
from crossentropy.torch.modules import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, FocalLoss, NLLLoss
from crossentropy.torch.named import (
    ActivePassiveLoss,
    ArcFaceLoss,
    BackwardCorrectedLoss,
    BalancedSoftmaxLoss,
    BiTemperedLoss,
    BrierLoss,
    CosFaceLoss,
    ForwardCorrectedLoss,
    GeneralizedCrossEntropyLoss,
    HardBootstrappingLoss,
    HardExampleLoss,
    HingeLoss,
    LDAMLoss,
    MeanAbsoluteErrorLoss,
    NormalizedCrossEntropyLoss,
    PartiallyHuberisedCrossEntropyLoss,
    PolyLoss,
    SoftBootstrappingLoss,
    SymmetricCrossEntropyLoss,
    TaylorCrossEntropyLoss,
    TsallisLoss,
    UnlikelihoodLoss,
)
from crossentropy.torch.named_tasks import (
    AsymmetricLoss,
    AugMixLoss,
    CLIPLoss,
    CoralLoss,
    CornLoss,
    DiscriminatorLoss,
    DistillationLoss,
    DistributionBalancedLoss,
    DPOLoss,
    GeneratorLoss,
    InfoNCELoss,
    NTXentLoss,
    PolicyGradientLoss,
    PPOLoss,
    SequenceCrossEntropyLoss,
    SigLIPLoss,
    SigmoidFocalLoss,
    SupervisedContrastiveLoss,
    ZLPRLoss,
)
from crossentropy.torch.recurrence import chunked_through_time

__all__ = [
    "ActivePassiveLoss",
    "ArcFaceLoss",
    "AsymmetricLoss",
    "AugMixLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BackwardCorrectedLoss",
    "BalancedSoftmaxLoss",
    "BiTemperedLoss",
    "BrierLoss",
    "CLIPLoss",
    "CoralLoss",
    "CornLoss",
    "CosFaceLoss",
    "CrossEntropyLoss",
    "DPOLoss",
    "DiscriminatorLoss",
    "DistillationLoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "ForwardCorrectedLoss",
    "GeneralizedCrossEntropyLoss",
    "GeneratorLoss",
    "HardBootstrappingLoss",
    "HardExampleLoss",
    "HingeLoss",
    "InfoNCELoss",
    "LDAMLoss",
    "LinearCrossEntropyLoss",
    "MeanAbsoluteErrorLoss",
    "NLLLoss",
    "NTXentLoss",
    "NormalizedCrossEntropyLoss",
    "PPOLoss",
    "PartiallyHuberisedCrossEntropyLoss",
    "PolicyGradientLoss",
    "PolyLoss",
    "SequenceCrossEntropyLoss",
    "SigLIPLoss",
    "SigmoidFocalLoss",
    "SoftBootstrappingLoss",
    "SupervisedContrastiveLoss",
    "SymmetricCrossEntropyLoss",
    "TaylorCrossEntropyLoss",
    "TsallisLoss",
    "UnlikelihoodLoss",
    "ZLPRLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "causal_lm_loss",
    "chunked_through_time",
    "cross_entropy",
    "focal_loss",
    "global_normalizer",
    "linear_cross_entropy",
    "nll_loss",
]
