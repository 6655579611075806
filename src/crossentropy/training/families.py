"""The losses by family, and when to use each family."""

from dataclasses import dataclass

__all__ = ["FAMILIES", "Family"]


@dataclass(frozen=True)
class Family:
    """Losses for one need."""

    title: str
    use_when: str
    losses: tuple[str, ...]


FAMILIES = (
    Family(
        "Cross-entropy",
        "one class of many is right, or any number of them",
        ("softmax_cross_entropy", "sigmoid_cross_entropy", "log_loss", "binary_log_loss"),
    ),
    Family(
        "Linear heads",
        "the logits do not fit into memory",
        ("linear_cross_entropy", "linear_loss_and_gradients"),
    ),
    Family("Focusing", "easy examples drown the hard ones", ("focal_loss", "poly_loss", "hard_example_loss")),
    Family(
        "Imbalance",
        "some classes are rare",
        ("balanced_softmax_loss", "ldam_loss"),
    ),
    Family(
        "Bounded losses",
        "some labels are wrong, in an unknown way",
        (
            "generalized_cross_entropy",
            "symmetric_cross_entropy",
            "bi_tempered_loss",
            "active_passive_loss",
            "normalized_cross_entropy",
            "partially_huberized_cross_entropy",
            "taylor_cross_entropy",
            "tsallis_loss",
            "mean_absolute_error_loss",
        ),
    ),
    Family(
        "Corrected labels",
        "some labels are wrong, and the noise is known or the model's own predictions help",
        (
            "forward_corrected_loss",
            "backward_corrected_loss",
            "hard_bootstrapping_loss",
            "soft_bootstrapping_loss",
            "EarlyLearningRegularization",
            "OnlineLabelSmoothing",
        ),
    ),
    Family(
        "Rivals",
        "squared errors or margins count, not the logarithm of a probability",
        ("brier_loss", "hinge_loss"),
    ),
    Family(
        "Multi-label",
        "a row may have many labels, and most are no",
        ("asymmetric_loss", "sigmoid_focal_loss", "zlpr_loss", "distribution_balanced_loss"),
    ),
    Family("Ordered classes", "classes have an order, such as ages or ratings", ("coral_loss", "corn_loss")),
    Family(
        "Margins",
        "features and classes are compared by angle, such as faces",
        ("arcface_loss", "cosface_loss"),
    ),
    Family(
        "Contrastive",
        "features are learned from pairs",
        ("info_nce", "nt_xent", "supervised_contrastive", "clip_loss", "siglip_loss"),
    ),
    Family(
        "Sampled classes",
        "there are too many classes to score them all",
        ("sampled_softmax_loss", "nce_loss", "negative_sampling_loss"),
    ),
    Family(
        "Distillation and consistency",
        "the model should agree with a teacher, or with itself on other views",
        ("distillation_loss", "jsd_consistency", "augmix_loss"),
    ),
    Family(
        "Sequences",
        "rows are tokens with masks, or labels without a place in time",
        (
            "sequence_cross_entropy",
            "sequence_log_prob",
            "sequence_perplexity",
            "unlikelihood_loss",
            "ctc_loss",
        ),
    ),
    Family(
        "Policies and preferences",
        "actions have advantages, or pairs of answers are compared",
        ("policy_gradient", "ppo_loss", "behavior_cloning", "dpo_loss"),
    ),
    Family(
        "Adversarial",
        "a generator is trained against a discriminator",
        ("discriminator_loss", "generator_loss"),
    ),
)
