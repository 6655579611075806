"""Every case of every family, in one table."""

from losses.catalogue import (
    adversarial,
    contrastive,
    core,
    distillation,
    imbalance,
    links,
    multilabel,
    noise,
    ordinal,
    reinforcement,
    rivals,
    robust,
    sampling,
    sequences,
)

FAMILIES = (
    core,
    robust,
    imbalance,
    noise,
    rivals,
    multilabel,
    ordinal,
    contrastive,
    sampling,
    distillation,
    sequences,
    reinforcement,
    adversarial,
    links,
)
CASES = [case for family in FAMILIES for case in family.CASES]
HELPERS = [helper for family in FAMILIES for helper in family.HELPERS]
LINKS = links.LINKS
