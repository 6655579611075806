"""Losses, framework-neutral: arrays of NumPy, PyTorch, JAX or another array library in, one of the same library out.

`softmax_cross_entropy` and `sigmoid_cross_entropy` are the two that everything is made of. The losses of the
literature are compositions of them, or formulas over the same statistics of a row, one module a family.

The two and what belongs to them are imported with the package, a family when one of its losses is asked for.
"""

from typing import TYPE_CHECKING

from crossentropy._lazy import attach
from crossentropy.losses.log_loss import *
from crossentropy.losses.numpy_gradient import *
from crossentropy.losses.sigmoid import *
from crossentropy.losses.softmax import *
from crossentropy.losses.target_statistics import *

if TYPE_CHECKING:
    from crossentropy.losses.adversarial import *
    from crossentropy.losses.bi_tempered import *
    from crossentropy.losses.brier import *
    from crossentropy.losses.by_link import *
    from crossentropy.losses.contrastive import *
    from crossentropy.losses.distillation import *
    from crossentropy.losses.distribution_balanced import *
    from crossentropy.losses.hinge import *
    from crossentropy.losses.image_text import *
    from crossentropy.losses.imbalance import *
    from crossentropy.losses.label_noise import *
    from crossentropy.losses.label_noise_stateful import *
    from crossentropy.losses.linear import *
    from crossentropy.losses.linear_rows import *
    from crossentropy.losses.margins import *
    from crossentropy.losses.multilabel import *
    from crossentropy.losses.normalized import *
    from crossentropy.losses.ordinal import *
    from crossentropy.losses.reinforcement import *
    from crossentropy.losses.sampling import *
    from crossentropy.losses.sequences import *

# The public names of each module. The modules that every user needs are imported above, the others on first use.
NAMES = {
    "adversarial": ("discriminator_loss", "generator_loss"),
    "bi_tempered": ("bi_tempered_loss",),
    "brier": ("brier_loss",),
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
    "contrastive": ("info_nce", "nt_xent", "supervised_contrastive"),
    "distillation": ("augmix_loss", "distillation_loss", "jsd_consistency", "top_k_teacher"),
    "distribution_balanced": ("distribution_balanced_loss",),
    "hinge": ("hinge_loss",),
    "image_text": ("clip_loss", "siglip_loss"),
    "imbalance": (
        "balanced_softmax_loss",
        "balanced_weights",
        "class_balanced_weights",
        "hard_example_loss",
        "ldam_loss",
        "ldam_margins",
        "logit_adjustment",
    ),
    "label_noise": (
        "backward_corrected_loss",
        "forward_corrected_loss",
        "hard_bootstrapping_loss",
        "soft_bootstrapping_loss",
    ),
    "label_noise_stateful": ("EarlyLearningRegularization", "OnlineLabelSmoothing"),
    "linear": ("linear_cross_entropy", "linear_loss_and_gradients", "linear_target_statistics"),
    "linear_rows": ("linear_distillation_losses", "linear_row_losses"),
    "log_loss": ("binary_log_loss", "log_loss"),
    "margins": ("arcface_loss", "cosface_loss"),
    "multilabel": ("asymmetric_loss", "sigmoid_focal_loss", "zlpr_loss"),
    "normalized": ("active_passive_loss", "normalized_cross_entropy"),
    "numpy_gradient": ("loss_and_gradient",),
    "ordinal": ("coral_loss", "coral_probabilities", "corn_loss", "corn_probabilities"),
    "reinforcement": ("behavior_cloning", "dpo_loss", "policy_gradient", "ppo_loss"),
    "sampling": ("nce_loss", "negative_sampling_loss", "sampled_softmax_loss"),
    "sequences": ("ctc_loss", "sequence_cross_entropy", "sequence_log_prob", "sequence_perplexity"),
    "sigmoid": ("sigmoid_cross_entropy",),
    "softmax": ("softmax_cross_entropy",),
    "target_statistics": ("TargetStatistics", "target_statistics"),
}
__all__ = sorted(name for names in NAMES.values() for name in names)

__getattr__, __dir__ = attach(__name__, __all__, NAMES)
