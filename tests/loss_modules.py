"""One call of every module of the named losses: its function, settings, inputs, and keywords of the call."""

import torch

G = torch.Generator().manual_seed(0)


def randn(*shape):
    return torch.randn(*shape, generator=G, dtype=torch.float64)


LOGITS, LABELS = randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
YES = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]])
COUNTS = torch.tensor([60, 20, 15, 5])
NOISE = torch.full((4, 4), 0.1, dtype=torch.float64) + 0.6 * torch.eye(4, dtype=torch.float64)
ADVANTAGES, OLD = randn(5), -randn(5).abs()
ROWS = (LOGITS, LABELS)
THREE_ALIKE = (LOGITS, torch.tensor([0, 1, 1, 1, 0]))

#: module: function, settings, inputs, keywords of the call
CASES = {
    "PolyLoss": ("poly_loss", {"epsilon": (1.0, 0.5)}, ROWS, {}),
    "GeneralizedCrossEntropyLoss": ("generalized_cross_entropy", {"q": 0.4, "truncation": 0.1}, ROWS, {}),
    "SymmetricCrossEntropyLoss": (
        "symmetric_cross_entropy",
        {"reverse_weight": 0.3, "log_zero": -6.0},
        ROWS,
        {},
    ),
    "TaylorCrossEntropyLoss": ("taylor_cross_entropy", {"order": 3}, ROWS, {}),
    "PartiallyHuberizedCrossEntropyLoss": ("partially_huberized_cross_entropy", {"tau": 2.0}, ROWS, {}),
    "MeanAbsoluteErrorLoss": ("mean_absolute_error_loss", {"temperature": 2.0}, ROWS, {}),
    "TsallisLoss": ("tsallis_loss", {"t": 0.7}, ROWS, {}),
    "UnlikelihoodLoss": ("unlikelihood_loss", {"reduction": "sum"}, ROWS, {}),
    "NormalizedCrossEntropyLoss": ("normalized_cross_entropy", {"ignore_index": 1}, ROWS, {}),
    "ActivePassiveLoss": ("active_passive_loss", {"active_weight": 2.0, "passive_weight": 0.5}, ROWS, {}),
    "BiTemperedLoss": ("bi_tempered_loss", {"t1": 0.6, "t2": 1.5}, ROWS, {}),
    "BrierLoss": ("brier_loss", {"class_weight": COUNTS / 10}, ROWS, {}),
    "HingeLoss": ("hinge_loss", {"kind": "weston-watkins", "margin": 2.0}, ROWS, {}),
    "BalancedSoftmaxLoss": ("balanced_softmax_loss", {"counts": COUNTS}, ROWS, {}),
    "LDAMLoss": ("ldam_loss", {"counts": COUNTS, "largest": 0.3, "scale": 2.0}, ROWS, {}),
    "CosFaceLoss": ("cosface_loss", {"margin": 0.1, "scale": 4.0}, (LOGITS.tanh(), LABELS), {}),
    "ArcFaceLoss": ("arcface_loss", {"margin": 0.1, "scale": 4.0}, (LOGITS.tanh(), LABELS), {}),
    "HardExampleLoss": ("hard_example_loss", {"keep": 2}, ROWS, {}),
    "ForwardCorrectedLoss": ("forward_corrected_loss", {"transition": NOISE}, ROWS, {}),
    "BackwardCorrectedLoss": ("backward_corrected_loss", {"transition": NOISE}, ROWS, {}),
    "HardBootstrappingLoss": ("hard_bootstrapping_loss", {"label_weight": 0.5}, ROWS, {}),
    "SoftBootstrappingLoss": ("soft_bootstrapping_loss", {"label_weight": 0.5, "detach": True}, ROWS, {}),
    "AsymmetricLoss": ("asymmetric_loss", {"gamma_positive": 1.0, "negative_shift": 0.1}, (LOGITS, YES), {}),
    "SigmoidFocalLoss": ("sigmoid_focal_loss", {"alpha": 0.4, "gamma": 1.0}, (LOGITS, YES), {}),
    "ZLPRLoss": ("zlpr_loss", {"reduction": "sum"}, (LOGITS, YES), {}),
    "DistributionBalancedLoss": (
        "distribution_balanced_loss",
        {"counts": COUNTS, "total": 100, "gamma": 1.0},
        (LOGITS, YES),
        {},
    ),
    "CoralLoss": ("coral_loss", {"importance": COUNTS / 10}, ROWS, {}),
    "CornLoss": ("corn_loss", {"importance": COUNTS / 10, "reduction": "sum"}, ROWS, {}),
    "DistillationLoss": ("distillation_loss", {"label_weight": 0.2}, (LOGITS, LOGITS.flip(0), LABELS), {}),
    "AugMixLoss": (
        "augmix_loss",
        {"consistency_weight": 2.0},
        (LOGITS, LOGITS + 1, LOGITS.flip(0)),
        {"labels": LABELS},
    ),
    "InfoNCELoss": ("info_nce", {"temperature": 0.3}, (LOGITS, LOGITS.flip(0)), {"negatives": LOGITS + 1}),
    "NTXentLoss": ("nt_xent", {"temperature": 0.3}, (LOGITS, LOGITS.flip(0)), {}),
    "SupervisedContrastiveLoss": ("supervised_contrastive", {"variant": "in"}, THREE_ALIKE, {}),
    "SequenceCrossEntropyLoss": (
        "sequence_cross_entropy",
        {"shift": 1, "normalizer": "sequence"},
        (LOGITS[None], LABELS[None]),
        {"mask": torch.tensor([[1, 1, 1, 1, 0]])},
    ),
    "PolicyGradientLoss": ("policy_gradient", {"entropy_bonus": 0.1}, (LOGITS, LABELS, ADVANTAGES), {}),
    "PPOLoss": ("ppo_loss", {"clip": 0.1, "entropy_bonus": 0.1}, (LOGITS, LABELS, ADVANTAGES, OLD), {}),
    "DPOLoss": ("dpo_loss", {"beta": 0.5}, tuple(LOGITS.T), {}),
    "DiscriminatorLoss": (
        "discriminator_loss",
        {"label_smoothing": 0.1},
        (LOGITS[0], LOGITS[1]),
        {"real_weight": COUNTS / 10},
    ),
    "GeneratorLoss": ("generator_loss", {"saturating": True}, (LOGITS[0],), {}),
    "CLIPLoss": ("clip_loss", {"normalize": False}, (LOGITS, LOGITS.flip(0)), {}),
    "SigLIPLoss": ("siglip_loss", {"normalize": False}, (LOGITS, LOGITS.flip(0)), {}),
}
LEARNT = {"CLIPLoss": {"scale": 1 / 0.07}, "SigLIPLoss": {"scale": 10.0, "bias": -10.0}}
