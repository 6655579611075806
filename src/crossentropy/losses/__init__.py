"""Losses, framework-neutral: arrays of NumPy, PyTorch, JAX or another array library in, one of the same library out.

`softmax_cross_entropy` and `sigmoid_cross_entropy` are the two that everything is made of. The losses of the
literature are compositions of them, or formulas over the same statistics of a row, one module a family.

The two and what belongs to them are imported with the package, a family when one of its losses is asked for.
"""

from typing import TYPE_CHECKING

from crossentropy._lazy import attach
from crossentropy.losses.log_loss import binary_log_loss, log_loss
from crossentropy.losses.numpy_gradient import loss_and_gradient
from crossentropy.losses.sigmoid import sigmoid_cross_entropy
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.losses.target_statistics import TargetStatistics, target_statistics

if TYPE_CHECKING:
    from crossentropy.losses.adversarial import discriminator_loss, generator_loss
    from crossentropy.losses.bi_tempered import bi_tempered_loss
    from crossentropy.losses.brier import brier_loss
    from crossentropy.losses.by_link import (
        focal_loss,
        generalized_cross_entropy,
        mean_absolute_error_loss,
        partially_huberized_cross_entropy,
        poly_loss,
        symmetric_cross_entropy,
        taylor_cross_entropy,
        tsallis_loss,
        unlikelihood_loss,
    )
    from crossentropy.losses.contrastive import info_nce, nt_xent, supervised_contrastive
    from crossentropy.losses.distillation import (
        augmix_loss,
        distillation_loss,
        jsd_consistency,
        top_k_teacher,
    )
    from crossentropy.losses.distribution_balanced import distribution_balanced_loss
    from crossentropy.losses.hinge import hinge_loss
    from crossentropy.losses.image_text import clip_loss, siglip_loss
    from crossentropy.losses.imbalance import (
        balanced_softmax_loss,
        balanced_weights,
        class_balanced_weights,
        hard_example_loss,
        ldam_loss,
        ldam_margins,
        logit_adjustment,
    )
    from crossentropy.losses.label_noise import (
        backward_corrected_loss,
        forward_corrected_loss,
        hard_bootstrapping_loss,
        soft_bootstrapping_loss,
    )
    from crossentropy.losses.label_noise_stateful import EarlyLearningRegularization, OnlineLabelSmoothing
    from crossentropy.losses.linear import (
        linear_cross_entropy,
        linear_loss_and_gradients,
        linear_target_statistics,
    )
    from crossentropy.losses.linear_rows import linear_distillation_losses, linear_row_losses
    from crossentropy.losses.margins import arcface_loss, cosface_loss
    from crossentropy.losses.multilabel import asymmetric_loss, sigmoid_focal_loss, zlpr_loss
    from crossentropy.losses.normalized import active_passive_loss, normalized_cross_entropy
    from crossentropy.losses.ordinal import coral_loss, coral_probabilities, corn_loss, corn_probabilities
    from crossentropy.losses.reinforcement import behavior_cloning, dpo_loss, policy_gradient, ppo_loss
    from crossentropy.losses.sampling import nce_loss, negative_sampling_loss, sampled_softmax_loss
    from crossentropy.losses.sequences import (
        ctc_loss,
        sequence_cross_entropy,
        sequence_log_prob,
        sequence_perplexity,
    )

__all__ = [
    "EarlyLearningRegularization",
    "OnlineLabelSmoothing",
    "TargetStatistics",
    "active_passive_loss",
    "arcface_loss",
    "asymmetric_loss",
    "augmix_loss",
    "backward_corrected_loss",
    "balanced_softmax_loss",
    "balanced_weights",
    "behavior_cloning",
    "bi_tempered_loss",
    "binary_log_loss",
    "brier_loss",
    "class_balanced_weights",
    "clip_loss",
    "coral_loss",
    "coral_probabilities",
    "corn_loss",
    "corn_probabilities",
    "cosface_loss",
    "ctc_loss",
    "discriminator_loss",
    "distillation_loss",
    "distribution_balanced_loss",
    "dpo_loss",
    "focal_loss",
    "forward_corrected_loss",
    "generalized_cross_entropy",
    "generator_loss",
    "hard_bootstrapping_loss",
    "hard_example_loss",
    "hinge_loss",
    "info_nce",
    "jsd_consistency",
    "ldam_loss",
    "ldam_margins",
    "linear_cross_entropy",
    "linear_distillation_losses",
    "linear_loss_and_gradients",
    "linear_row_losses",
    "linear_target_statistics",
    "log_loss",
    "logit_adjustment",
    "loss_and_gradient",
    "mean_absolute_error_loss",
    "nce_loss",
    "negative_sampling_loss",
    "normalized_cross_entropy",
    "nt_xent",
    "partially_huberized_cross_entropy",
    "policy_gradient",
    "poly_loss",
    "ppo_loss",
    "sampled_softmax_loss",
    "sequence_cross_entropy",
    "sequence_log_prob",
    "sequence_perplexity",
    "siglip_loss",
    "sigmoid_cross_entropy",
    "sigmoid_focal_loss",
    "soft_bootstrapping_loss",
    "softmax_cross_entropy",
    "supervised_contrastive",
    "symmetric_cross_entropy",
    "target_statistics",
    "taylor_cross_entropy",
    "top_k_teacher",
    "tsallis_loss",
    "unlikelihood_loss",
    "zlpr_loss",
]

LAZY = {
    "adversarial": (
        "discriminator_loss",
        "generator_loss",
    ),
    "bi_tempered": ("bi_tempered_loss",),
    "contrastive": (
        "info_nce",
        "nt_xent",
        "supervised_contrastive",
    ),
    "distillation": (
        "augmix_loss",
        "distillation_loss",
        "jsd_consistency",
        "top_k_teacher",
    ),
    "distribution_balanced": ("distribution_balanced_loss",),
    "image_text": (
        "clip_loss",
        "siglip_loss",
    ),
    "imbalance": (
        "balanced_softmax_loss",
        "balanced_weights",
        "class_balanced_weights",
        "hard_example_loss",
        "ldam_loss",
        "ldam_margins",
        "logit_adjustment",
    ),
    "linear": (
        "linear_cross_entropy",
        "linear_loss_and_gradients",
        "linear_target_statistics",
    ),
    "linear_rows": (
        "linear_distillation_losses",
        "linear_row_losses",
    ),
    "margins": (
        "arcface_loss",
        "cosface_loss",
    ),
    "multilabel": (
        "asymmetric_loss",
        "sigmoid_focal_loss",
        "zlpr_loss",
    ),
    "label_noise": (
        "backward_corrected_loss",
        "forward_corrected_loss",
        "hard_bootstrapping_loss",
        "soft_bootstrapping_loss",
    ),
    "label_noise_stateful": (
        "EarlyLearningRegularization",
        "OnlineLabelSmoothing",
    ),
    "normalized": (
        "active_passive_loss",
        "normalized_cross_entropy",
    ),
    "ordinal": (
        "coral_loss",
        "coral_probabilities",
        "corn_loss",
        "corn_probabilities",
    ),
    "reinforcement": (
        "behavior_cloning",
        "dpo_loss",
        "policy_gradient",
        "ppo_loss",
    ),
    "brier": ("brier_loss",),
    "hinge": ("hinge_loss",),
    "by_link": (
        "focal_loss",
        "generalized_cross_entropy",
        "mean_absolute_error_loss",
        "partially_huberized_cross_entropy",
        "poly_loss",
        "symmetric_cross_entropy",
        "taylor_cross_entropy",
        "tsallis_loss",
        "unlikelihood_loss",
    ),
    "sampling": (
        "nce_loss",
        "negative_sampling_loss",
        "sampled_softmax_loss",
    ),
    "sequences": (
        "ctc_loss",
        "sequence_cross_entropy",
        "sequence_log_prob",
        "sequence_perplexity",
    ),
}

__getattr__, __dir__ = attach(__name__, __all__, LAZY)
