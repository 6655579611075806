"""Cross-entropy for PyTorch, under torch's own names and arguments.

Replacing `torch.nn` by `crossentropy.torch` changes nothing but speed, memory and accuracy, with one difference: the
loss of half-precision logits is returned in float32. The losses of `torch.nn` that are no cross-entropies are its own,
so that one import serves a script.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'crossentropy.torch needs PyTorch; install it with pip install "crossentropy[torch]"'
    ) from error

from torch.nn import (
    AdaptiveLogSoftmaxWithLoss,
    CosineEmbeddingLoss,
    CTCLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    HuberLoss,
    L1Loss,
    MarginRankingLoss,
    MSELoss,
    MultiLabelMarginLoss,
    MultiMarginLoss,
    NLLLoss2d,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)
from torch.nn.functional import (
    cosine_embedding_loss,
    ctc_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)

from crossentropy._lazy import attach
from crossentropy.torch.accumulation import *
from crossentropy.torch.binary import *
from crossentropy.torch.divergence import *
from crossentropy.torch.functional import *
from crossentropy.torch.linear import *
from crossentropy.torch.modules import *
from crossentropy.torch.named import *
from crossentropy.torch.named_tasks import *
from crossentropy.torch.recurrence import *

__all__ = [
    "ActivePassiveLoss",
    "AdaptiveLogSoftmaxWithLoss",
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
    "CTCLoss",
    "CoralLoss",
    "CornLoss",
    "CosFaceLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "DPOLoss",
    "DiscriminatorLoss",
    "DistillationLoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "ForwardCorrectedLoss",
    "GaussianNLLLoss",
    "GeneralizedCrossEntropyLoss",
    "GeneratorLoss",
    "HardBootstrappingLoss",
    "HardExampleLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "HuberLoss",
    "InfoNCELoss",
    "KLDivLoss",
    "L1Loss",
    "LDAMLoss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MarginRankingLoss",
    "MeanAbsoluteErrorLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "NTXentLoss",
    "NormalizedCrossEntropyLoss",
    "PPOLoss",
    "PartiallyHuberizedCrossEntropyLoss",
    "PoissonNLLLoss",
    "PolicyGradientLoss",
    "PolyLoss",
    "SequenceCrossEntropyLoss",
    "SigLIPLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftBootstrappingLoss",
    "SoftMarginLoss",
    "SupervisedContrastiveLoss",
    "SymmetricCrossEntropyLoss",
    "TaylorCrossEntropyLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "TsallisLoss",
    "UnlikelihoodLoss",
    "ZLPRLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "causal_lm_loss",
    "chunked_through_time",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "focal_loss",
    "gaussian_nll_loss",
    "global_normalizer",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

__getattr__, __dir__ = attach(__name__, __all__, {}, ("distributed",))
