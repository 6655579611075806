"""Losses of the catalogue, each beside the composition that a user of PyTorch, JAX or NumPy would write by hand.

A composition is written once, in the functions of `Ops`, which each framework has. It is the usual one: in the dtype
of the logits, from `log_softmax`, `softmax` or `log_sigmoid`.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from arithmetic import Ops
from crossentropy import losses
from crossentropy.links import Focal, GeneralizedCrossEntropy

Array = Any


class Loss(NamedTuple):
    """A loss of a matrix, with the reduction as an option: ours, and by hand for each row (or entry, or in all)."""

    name: str
    ours: Callable[..., Array]
    by_hand: Callable[[Array], Array]
    #: What it is a loss of: an array of float32 numbers.
    inputs: Array
    #: Whether rows are independent, so that there is a gradient of each.
    rows: bool = True


def all_losses(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Walk the catalogue at one shape (rows, classes)."""
    for family in (of_labels, of_soft_labels, of_answers, of_features, of_policies):
        yield from family(ops, shape)


def _numbers(shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _labels(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(9).integers(0, shape[1], shape[0])


def of_labels(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Losses of logits and one label a row."""
    N, C = shape
    z, y = ops.array(_numbers(shape, 0)), ops.array(_labels(shape))
    counts = ops.array(np.random.default_rng(1).integers(1, 1000, C).astype(np.float32))
    weights = ops.array(np.random.default_rng(2).uniform(0.5, 2, C).astype(np.float32))
    noise = np.full((C, C), 0.2 / (C - 1), np.float32)
    np.fill_diagonal(noise, 0.8)
    transition = ops.array(noise)
    inverse = ops.array(np.linalg.inv(noise.astype(np.float64)).astype(np.float32))
    margins = counts**-0.25
    margins = 0.5 * margins / margins.max()

    def loss(name: str, by_hand: Callable[[Array], Array], *arguments: Array, **options: Any) -> Loss:
        function = getattr(losses, options.pop("function", name))
        return Loss(name, lambda z, **more: function(z, y, *arguments, **options, **more), by_hand, z)

    def log_p(z: Array) -> Array:
        return ops.pick(ops.log_softmax(z), y)

    def p(z: Array) -> Array:
        return ops.exp(log_p(z))

    def power(z: Array, q: float) -> Array:
        return (1 - p(z) ** q) / q

    plain = "softmax_cross_entropy"
    yield loss(plain, lambda z: -log_p(z))
    yield loss(
        "softmax_cross_entropy, smoothed",
        lambda z: -0.9 * log_p(z) - 0.1 * ops.log_softmax(z).mean(-1),
        function=plain,
        label_smoothing=0.1,
    )
    yield loss(
        "softmax_cross_entropy, weights of classes",
        lambda z: -log_p(z) * weights[y] * N / weights[y].sum(),
        function=plain,
        class_weight=weights,
    )
    yield loss("softmax_cross_entropy, temperature", lambda z: -log_p(z / 2), function=plain, temperature=2.0)
    yield loss("focal_loss", lambda z: -((1 - p(z)) ** 2) * log_p(z))
    yield loss("poly_loss", lambda z: -log_p(z) + (1 - p(z)))
    keep = max(1, N // 4)
    hard = loss("hard_example_loss", lambda z: ops.highest(-log_p(z), keep), keep=keep / N)
    yield hard._replace(rows=False)
    yield loss("balanced_softmax_loss", lambda z: -log_p(z + ops.log(counts)), counts)
    yield loss(
        "ldam_loss",
        lambda z: -log_p(30 * (z - ops.one_hot(y, C) * margins)),
        counts,
    )
    yield loss("generalized_cross_entropy", lambda z: power(z, 0.7))
    yield loss("symmetric_cross_entropy", lambda z: -0.1 * log_p(z) + 4.0 * (1 - p(z)))
    yield loss("bi_tempered_loss", lambda z: _bi_tempered(ops, z, y, C))
    yield loss(
        "normalized_cross_entropy",
        lambda z: log_p(z) / ops.log_softmax(z).sum(-1),
    )
    yield loss(
        "active_passive_loss",
        lambda z: log_p(z) / ops.log_softmax(z).sum(-1) + 2 * (1 - p(z)),
    )
    yield loss(
        "partially_huberized_cross_entropy",
        lambda z: ops.where(p(z) > 0.1, -log_p(z), 1 - 10 * p(z) + np.log(10.0)),
    )
    yield loss("taylor_cross_entropy", lambda z: (1 - p(z)) + (1 - p(z)) ** 2 / 2)
    yield loss("tsallis_loss", lambda z: power(z, 0.7))
    yield loss("mean_absolute_error_loss", lambda z: 2 * (1 - p(z)))
    if C <= 1000:
        yield loss(
            "forward_corrected_loss",
            lambda z: -ops.log(ops.pick(ops.softmax(z) @ transition, y)),
            transition,
        )
        yield loss(
            "backward_corrected_loss",
            lambda z: -(inverse[y] * ops.log_softmax(z)).sum(-1),
            transition,
        )
    yield loss(
        "hard_bootstrapping_loss",
        lambda z: -0.8 * log_p(z) - 0.2 * ops.pick(ops.log_softmax(z), ops.argmax(z)),
    )
    yield loss(
        "soft_bootstrapping_loss",
        lambda z: -0.95 * log_p(z) - 0.05 * (ops.softmax(z) * ops.log_softmax(z)).sum(-1),
    )
    yield loss("brier_loss", lambda z: ((ops.softmax(z) - ops.one_hot(y, C)) ** 2).sum(-1))
    yield loss("hinge_loss", lambda z: _hinge(ops, z, y, C))
    yield loss(
        "hinge_loss, Weston-Watkins",
        lambda z: ops.relu(1 + z - ops.pick(z, y)[:, None]).sum(-1) - 1,
        function="hinge_loss",
        kind="weston-watkins",
    )
    yield loss("unlikelihood_loss", lambda z: -ops.log(ops.least(1 - p(z), 1e-7)))
    cosines = ops.array(np.tanh(_numbers(shape, 3)))
    arc = loss("arcface_loss", lambda c: _arcface(ops, c, y, C))
    yield arc._replace(inputs=cosines)
    cos = loss("cosface_loss", lambda c: -log_p(64 * (c - 0.35 * ops.one_hot(y, C))))
    yield cos._replace(inputs=cosines)
    views = [ops.array(_numbers(shape, 4 + i)) for i in range(2)]

    def consistency(z: Array) -> Array:
        each = [ops.softmax(x) for x in (z, *views)]
        log_m = ops.log(ops.least(sum(each) / 3, 1e-7))
        return (
            sum((q * (ops.log_softmax(x) - log_m)).sum(-1) for q, x in zip(each, (z, *views), strict=True))
            / 3
        )

    yield Loss("jsd_consistency", lambda z, **more: losses.jsd_consistency(z, *views, **more), consistency, z)
    yield Loss(
        "augmix_loss",
        lambda z, **more: losses.augmix_loss(z, *views, labels=y, **more),
        lambda z: -log_p(z) + 12 * consistency(z),
        z,
    )


def _hinge(ops: Ops, z: Array, y: Array, C: int) -> Array:
    rival = ops.highest(z - 1e9 * ops.one_hot(y, C), 1)[:, 0]
    return ops.relu(1 + rival - ops.pick(z, y))


def _arcface(ops: Ops, cosines: Array, y: Array, C: int) -> Array:
    """As in the usual modules: cos(θ + m) = cos θ cos m − sin θ sin m."""
    m = 0.5
    own = ops.pick(cosines, y)
    moved = own * np.cos(m) - ops.least(1 - own**2, 0.0) ** 0.5 * np.sin(m)
    moved = ops.where(own > np.cos(np.pi - m), moved, own - m * np.sin(m))
    hot = ops.one_hot(y, C)
    return -ops.pick(ops.log_softmax(64 * (cosines + hot * (moved - own)[:, None])), y)


def _bi_tempered(ops: Ops, z: Array, y: Array, C: int, t1: float = 0.8, t2: float = 1.2) -> Array:
    """As its authors have published it, with five iterations of the normalization, which has no gradient there."""

    def exp_t(x: Array) -> Array:
        return ops.relu(1 + (1 - t2) * x) ** (1 / (1 - t2))

    def log_t(x: Array) -> Array:
        return (x ** (1 - t1) - 1) / (1 - t1)

    top = ops.highest(z, 1)
    shifted = z - top
    step = shifted
    for _ in range(5):
        total = exp_t(step).sum(-1)[:, None]
        step = shifted * total ** (1 - t2)
    total = exp_t(step).sum(-1)[:, None]
    norm = -(((1 / total) ** (1 - t2) - 1) / (1 - t2)) + top
    p = exp_t(z - norm)
    hot = ops.one_hot(y, C)
    terms = hot * (log_t(hot + 1e-10) - log_t(p)) - (hot ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
    return terms.sum(-1)


def of_soft_labels(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Losses of logits and a distribution a row."""
    z, teacher, y = (ops.array(x) for x in (_numbers(shape, 0), _numbers(shape, 10), _labels(shape)))
    soft = ops.softmax(teacher)
    plain = losses.softmax_cross_entropy

    def focal(z: Array) -> Array:
        log_p = ops.log_softmax(z)
        return -(soft * (1 - ops.exp(log_p)) ** 2 * log_p).sum(-1)

    yield Loss(
        "softmax_cross_entropy, soft targets",
        lambda z, **more: plain(z, soft, **more),
        lambda z: -(soft * ops.log_softmax(z)).sum(-1),
        z,
    )
    yield Loss("focal, soft targets", lambda z, **more: plain(z, soft, link=Focal(2.0), **more), focal, z)
    yield Loss(
        "generalized, soft targets",
        lambda z, **more: plain(z, soft, link=GeneralizedCrossEntropy(0.7), **more),
        lambda z: (soft * (1 - ops.softmax(z) ** 0.7) / 0.7).sum(-1),
        z,
    )
    log_q = ops.log_softmax(teacher / 4)
    q = ops.exp(log_q)

    def forward(z: Array) -> Array:
        return 16 * (q * (log_q - ops.log_softmax(z / 4))).sum(-1)

    def reverse(z: Array) -> Array:
        log_p = ops.log_softmax(z / 4)
        return 16 * (ops.exp(log_p) * (log_p - log_q)).sum(-1)

    distill = losses.distillation_loss
    yield Loss("distillation_loss", lambda z, **more: distill(z, teacher, **more), forward, z)
    yield Loss(
        "distillation_loss, reverse",
        lambda z, **more: distill(z, teacher, direction="reverse", **more),
        reverse,
        z,
    )
    yield Loss(
        "distillation_loss, labels",
        lambda z, **more: distill(z, teacher, y, **more),
        lambda z: 0.5 * forward(z) - 0.5 * ops.pick(ops.log_softmax(z), y),
        z,
    )


def of_answers(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Losses of log-odds and yes or no for each entry."""
    z = ops.array(_numbers(shape, 0))
    answers = np.random.default_rng(5).random(shape) < 0.1
    t = ops.array(answers.astype(np.float32))
    labels = np.random.default_rng(6).integers(0, shape[1] + 1, shape[0])
    above = ops.array((labels[:, None] > np.arange(shape[1])).astype(np.float32))
    asked = ops.array((labels[:, None] >= np.arange(shape[1])).astype(np.float32))
    ranks = ops.array(labels)

    def bce(z: Array, t: Array) -> Array:
        return -t * ops.log_sigmoid(z) - (1 - t) * ops.log_sigmoid(-z)

    def focal(z: Array) -> Array:
        p = ops.sigmoid(z)
        away = p * (1 - t) + (1 - p) * t
        return (0.25 * t + 0.75 * (1 - t)) * bce(z, t) * away**2

    def asymmetric(z: Array) -> Array:
        p = ops.sigmoid(z)
        no = ops.relu(p - 0.05)
        return -t * ops.log(ops.least(p, 1e-8)) - (1 - t) * no**4 * ops.log(ops.least(1 - no, 1e-8))

    def zlpr(z: Array) -> Array:
        yes = ops.logsumexp(ops.where(t > 0, -z, -1e9))
        no = ops.logsumexp(ops.where(t > 0, -1e9, z))
        return -ops.log_sigmoid(-yes) - ops.log_sigmoid(-no)

    def loss(name: str, by_hand: Callable[[Array], Array], target: Array) -> Loss:
        function = getattr(losses, name)
        return Loss(name, lambda z, **more: function(z, target, **more), by_hand, z)

    yield loss("sigmoid_cross_entropy", lambda z: bce(z, t), t)
    yield loss("sigmoid_focal_loss", focal, t)
    yield loss("asymmetric_loss", asymmetric, t)
    yield loss("zlpr_loss", zlpr, t)
    yield loss("coral_loss", lambda z: bce(z, above).sum(-1), ranks)
    corn = loss("corn_loss", lambda z: (bce(z, above) * asked).sum() / asked.sum(), ranks)
    yield corn._replace(rows=False)
    fake = ops.array(_numbers(shape, 7))
    yield Loss(
        "discriminator_loss",
        lambda z, **more: losses.discriminator_loss(z, fake, **more),
        lambda z: -ops.log_sigmoid(z).mean() - ops.log_sigmoid(-fake).mean(),
        z,
        rows=False,
    )
    yield Loss("generator_loss", losses.generator_loss, lambda z: -ops.log_sigmoid(z), z)


def of_features(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Contrastive losses of features, of which a row is compared with all others: at most 1024 rows."""
    n, width = min(shape[0], 1024), min(shape[1], 128)
    a, b = (ops.array(_numbers((n, width), seed)) for seed in (11, 12))
    groups = ops.array(np.random.default_rng(13).integers(0, max(2, n // 8), n))
    rows = ops.arange(n)

    def diagonal(similarities: Array) -> Array:
        return -ops.pick(ops.log_softmax(similarities), rows)

    def clip(a: Array) -> Array:
        similarities = 10 * ops.normalized(a) @ ops.normalized(b).T
        return (diagonal(similarities).mean() + diagonal(similarities.T).mean()) / 2

    def nt_xent(a: Array) -> Array:
        both = ops.normalized(ops.concatenated(a, b))
        similarities = 2 * both @ both.T - 1e9 * ops.one_hot(ops.arange(2 * n), 2 * n)
        partner = ops.concatenated(rows + n, rows)
        return -ops.pick(ops.log_softmax(similarities), partner)

    def supervised(a: Array) -> Array:
        x = ops.normalized(a)
        own = ops.one_hot(rows, n)
        log_p = ops.log_softmax(10 * x @ x.T - 1e9 * own)
        alike = ops.where(groups[:, None] == groups[None], 1.0, 0.0) * (1 - own)
        mean = (alike * log_p).sum(-1) / ops.least(alike.sum(-1), 1.0)
        return -mean.sum() / ops.where(alike.sum(-1) > 0, 1.0, 0.0).sum()

    def siglip(a: Array) -> Array:
        signs = 2 * ops.one_hot(rows, n) - 1
        return -ops.log_sigmoid(signs * (10 * ops.normalized(a) @ ops.normalized(b).T - 10)).sum(-1)

    def loss(name: str, ours: Callable[..., Array], by_hand: Callable[[Array], Array]) -> Loss:
        return Loss(name, ours, by_hand, a, rows=False)

    yield loss(
        "info_nce",
        lambda a, **more: losses.info_nce(a, b, **more),
        lambda a: diagonal(10 * ops.normalized(a) @ ops.normalized(b).T),
    )
    yield loss("nt_xent", lambda a, **more: losses.nt_xent(a, b, **more), nt_xent)
    yield loss(
        "supervised_contrastive",
        lambda a, **more: losses.supervised_contrastive(a, groups, **more),
        supervised,
    )
    yield loss("clip_loss", lambda a, **more: losses.clip_loss(a, b, scale=10.0, **more), clip)
    yield loss(
        "siglip_loss", lambda a, **more: losses.siglip_loss(a, b, scale=10.0, bias=-10.0, **more), siglip
    )


def of_policies(ops: Ops, shape: tuple[int, int]) -> Iterator[Loss]:
    """Losses of actions and advantages, and of pairs of answers."""
    z, actions = ops.array(_numbers(shape, 0)), ops.array(_labels(shape))
    advantages = ops.array(_numbers(shape[:1], 14))
    old = ops.pick(ops.log_softmax(ops.array(_numbers(shape, 15))), actions)

    def log_prob(z: Array) -> Array:
        return ops.pick(ops.log_softmax(z), actions)

    def ppo(z: Array) -> Array:
        ratio = ops.exp(log_prob(z) - old)
        inside = ops.least(-ops.least(-ratio, -1.2), 0.8)
        return -ops.minimum(ratio * advantages, inside * advantages)

    yield Loss(
        "policy_gradient",
        lambda z, **more: losses.policy_gradient(z, actions, advantages, **more),
        lambda z: -advantages * log_prob(z),
        z,
    )
    yield Loss("ppo_loss", lambda z, **more: losses.ppo_loss(z, actions, advantages, old, **more), ppo, z)
    chosen, rejected, reference, other = (ops.array(_numbers(shape[:1], 16 + i)) for i in range(4))
    yield Loss(
        "dpo_loss",
        lambda x, **more: losses.dpo_loss(x, rejected, reference, other, **more),
        lambda x: -ops.log_sigmoid(0.1 * ((x - rejected) - (reference - other))),
        chosen,
        rows=False,
    )
