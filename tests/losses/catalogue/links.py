"""Links as functions of the probability p of a label and of q = 1 − p, in mpmath, from their papers."""

from __future__ import annotations

import numpy as np

import crossentropy as ce
from crossentropy._backends import namespace
from losses.catalogue import plain, reinforcement
from losses.catalogue.case import LABELS, Case, LinkCase, logits
from oracle import ctx, mpf


def cross_entropy(p, q, log_p, log_q):
    return -log_p


def focal(gamma):
    """Lin et al., ICCV 2017: −(1 − p)^γ log p."""
    return lambda p, q, log_p, log_q: -(q ** mpf(gamma)) * log_p if gamma else -log_p


def poly(*epsilons):
    """Leng et al., ICLR 2022: −log p + Σ_j ε_j (1 − p)^j."""
    return lambda p, q, log_p, log_q: (
        -log_p + ctx.fsum(mpf(e) * q**j for j, e in enumerate(epsilons, start=1))
    )


def generalized(q_, truncation=None):
    """Zhang & Sabuncu, NeurIPS 2018: (1 − p^q)/q, constant under p = k where truncated."""

    def phi(p, q, log_p, log_q):
        if truncation is not None and p <= mpf(truncation):
            return (1 - mpf(truncation) ** mpf(q_)) / mpf(q_)
        return -ctx.expm1(mpf(q_) * log_p) / mpf(q_)

    return phi


def symmetric(forward_weight, reverse_weight, log_zero):
    """Wang et al., ICCV 2019: α·CE + β·RCE, RCE = −Σ_c p_c log t_c = −A (1 − p) with log 0 := A."""
    return lambda p, q, log_p, log_q: -mpf(forward_weight) * log_p - mpf(reverse_weight) * mpf(log_zero) * q


def taylor(order):
    """Feng et al., IJCAI 2020: Σ_{j ≤ t} (1 − p)^j / j."""
    return lambda p, q, log_p, log_q: ctx.fsum(q**j / mpf(j) for j in range(1, order + 1))


def huberized(tau):
    """Menon et al., ICLR 2020: −log p, and under p = 1/τ its tangent, log τ + 1 − τp."""

    def phi(p, q, log_p, log_q):
        return ctx.log(mpf(tau)) + 1 - mpf(tau) * p if p <= 1 / mpf(tau) else -log_p

    return phi


def absolute(p, q, log_p, log_q):
    """Ghosh, Kumar & Sastry, AAAI 2017: Σ_c |p_c − t_c| = 2(1 − p)."""
    return 2 * q


def tsallis(t):
    """−log_t p = (1 − p^{1−t}) / (1 − t), Tsallis's logarithm; t = 1 is log."""
    return lambda p, q, log_p, log_q: -ctx.expm1((1 - mpf(t)) * log_p) / (1 - mpf(t))


def unlikelihood(p, q, log_p, log_q):
    """Welleck et al., ICLR 2020: −log(1 − p)."""
    return -log_q


LINKS = [
    LinkCase("CrossEntropy", {}, cross_entropy, (0.0, np.inf)),
    *(LinkCase("Focal", {"gamma": g}, focal(g), (0.0, np.inf)) for g in (0.5, 1.0, 2.0, 5.0)),
    *(LinkCase("Poly", {"epsilon": e}, poly(e), (0.0, np.inf)) for e in (1.0, 2.0, -1.0)),
    LinkCase("Poly", {"epsilon": (0.5, -0.25, 2.0)}, poly(0.5, -0.25, 2.0), (0.0, np.inf)),
    *(
        LinkCase("GeneralizedCrossEntropy", {"q": q}, generalized(q), (0.0, float(1 / mpf(q))))
        for q in (0.7, 0.5, 1.0)
    ),
    LinkCase(
        "GeneralizedCrossEntropy",
        {"q": 0.7, "truncation": 0.4},
        generalized(0.7, 0.4),
        (0.0, float((1 - mpf(0.4) ** mpf(0.7)) / mpf(0.7))),
    ),
    LinkCase(
        "SymmetricCrossEntropy",
        {"forward_weight": 0.1, "reverse_weight": 1.0, "log_zero": -4.0},
        symmetric(0.1, 1.0, -4.0),
        (0.0, np.inf),
    ),
    LinkCase(
        "SymmetricCrossEntropy",
        {"forward_weight": 6.0, "reverse_weight": 0.1, "log_zero": -9.21},
        symmetric(6.0, 0.1, -9.21),
        (0.0, np.inf),
    ),
    *(
        LinkCase("Taylor", {"order": t}, taylor(t), (0.0, sum(1 / j for j in range(1, t + 1))))
        for t in (1, 2, 6)
    ),
    *(
        LinkCase("PartiallyHuberized", {"tau": t}, huberized(t), (0.0, float(ctx.log(mpf(t)) + 1)))
        for t in (10.0, 2.0)
    ),
    LinkCase("MeanAbsoluteError", {}, absolute, (0.0, 2.0)),
    *(LinkCase("Tsallis", {"t": t}, tsallis(t), (0.0, float(1 / (1 - mpf(t))))) for t in (0.3, 0.0, 0.9)),
    LinkCase("Tsallis", {"t": 1.5}, tsallis(1.5), (0.0, np.inf)),
    LinkCase("Unlikelihood", {}, unlikelihood, (np.inf, 0.0)),
]


# ---------------------------------------------------- links that need arrays, or functions, of their own


def squared(logits, labels):
    """(1 − p)²."""
    return np.exp(2 * plain.log_other(logits, labels))


def _squared_link(losses):
    """(1 − p)² = σ(D)², and −d/d log p of it, 2 p (1 − p)."""

    def sigmoid(D):
        xp = namespace(D)
        return 1 / (1 + xp.exp(-D))

    link = ce.links.Custom(lambda D: sigmoid(D) ** 2, lambda D: 2 * sigmoid(D) * sigmoid(-D))
    return lambda logits, labels, **options: losses.softmax_cross_entropy(
        logits, labels, link=link, **options
    )


def _clipped_link(losses):
    def loss(logits, labels, advantages, old_log_prob, **options):
        link = ce.links.ClippedPolicy(advantages, old_log_prob, clip=0.3)
        return losses.softmax_cross_entropy(logits, labels, link=link, **options)

    return loss


CASES = [
    Case(
        "softmax_cross_entropy",
        {"logits": logits(8)},
        squared,
        given={"labels": LABELS},
        variant="custom link",
        link="Custom",
        make=_squared_link,
        options=True,
        shift_invariant=True,
    ),
    Case(
        "softmax_cross_entropy",
        {"logits": reinforcement.Z},
        lambda logits, labels, **given: reinforcement.ppo(logits, labels, clip=0.3, **given),
        given={
            "labels": LABELS,
            "advantages": reinforcement.ADVANTAGES,
            "old_log_prob": reinforcement.OLD,
        },
        variant="clipped policy link",
        link="ClippedPolicy",
        make=_clipped_link,
        shift_invariant=True,
    ),
]
HELPERS: list = []
