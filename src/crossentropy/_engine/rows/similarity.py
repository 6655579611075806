"""Features, their similarities, and the loss of every row among all the others."""

from functools import partial
from typing import Any

from crossentropy._arguments.arrays import as_array, as_arrays
from crossentropy._backends import (
    INF,
    Array,
    device,
    index_dtype,
    is_numpy,
    is_torch,
    loss_dtype,
    namespace,
    total,
)
from crossentropy._engine.checks import check_logits
from crossentropy._engine.rows.reduce import reduced
from crossentropy._engine.softmax.solve import softmax_loss
from crossentropy._statistics import Requested, Target, Transform, row_statistics
from crossentropy._statistics.cosines import rows as cosines
from crossentropy._statistics.formulas import widened
from crossentropy._statistics.products import product
from crossentropy.links import CrossEntropy
from crossentropy.targets import LabelSet, Probabilities


def contrast_with_batch(
    similarities: Array,
    groups: Array,
    temperature: Any,
    variant: str,
    denominator: str,
    *,
    factor: Any = 1.0,
    **reduction: Any,
) -> Array:
    """Every row against all the others, those of its group being right, from the similarities of every two rows.

    `reduction` is as `reduced` takes it.
    """
    if variant not in ("out", "in"):
        raise ValueError(f'variant is {variant!r}; write "out" or "in"')
    check_denominator(denominator)
    temperature = scalar(temperature, "temperature")
    scores = without_self(similarities)
    xp = namespace(scores)
    if scores.shape[0] == 0:
        own = xp.zeros((0,), dtype=index_dtype(scores), device=device(scores))
        return contrast(scores, own, temperature=temperature, **reduction)
    alike = groups[:, None] == groups[None, :]
    positive = alike & ~same_row(scores)
    number = xp.sum(xp.astype(positive, scores.dtype), axis=-1)
    has_any = number > 0
    number = xp.where(has_any, number, xp.ones_like(number))
    share = xp.astype(positive, scores.dtype) / number[:, None]
    whole = partial(softmax_loss, scores, temperature=temperature, reduction="none", validate="none")
    if variant == "in":
        # where there is no positive any set will do
        rows = whole(LabelSet(positive | ~has_any[:, None])) + xp.log(number)
    elif denominator == "all":
        rows = whole(Probabilities(share, normalized=False))
    else:
        odds = _log_odds_against_negatives(similarities, ~alike, temperature)
        rows = xp.sum(share * CrossEntropy().loss(odds), axis=-1)
    rows = xp.where(has_any, rows, xp.zeros_like(rows))
    return reduced(xp.astype(factor * rows, rows.dtype, copy=False), scores, keep=has_any, **reduction)


def contrast(scores: Array, own: Array, *, axis: int = -1, **options: Any) -> Array:
    """Cross-entropy of the scores of each row along `axis`, of which `own` is right, under options of a softmax loss.

    A batch of no rows has nothing to average. Its scores are of no class either, which a softmax loss refuses, so
    they get one.
    """
    if scores.shape[axis] == 0:
        xp = namespace(scores)
        shape = list(scores.shape)
        shape[axis] = 1
        one = xp.zeros(tuple(shape), dtype=scores.dtype, device=device(scores))
        scores = xp.concat([scores, one], axis=axis)
    return softmax_loss(scores, own, axis=axis, validate="none", **options)


def _log_odds_against_negatives(products: Array, negative: Array, temperature: Any) -> Array:
    """``ln Σ_{negatives} e^{s/T} − s/T`` of every entry; −∞ where there are no negatives."""
    xp = namespace(products)
    some = xp.any(negative, axis=-1, keepdims=True)
    summed = negative | ~some  # a row without negatives is anything that makes sense, to be left out
    scores = xp.where(summed, products, xp.full_like(products, -INF))
    one_of_them = xp.argmax(xp.astype(summed, index_dtype(products)), axis=-1)
    target, transform = Target(one_of_them), Transform(temperature)
    rows = row_statistics(
        scores, 1, target, transform, requested=Requested(log_partition=True), validate=False
    )
    odds = xp.astype(rows.log_partition, products.dtype)[:, None] - products / temperature
    return xp.where(some, odds, xp.full_like(odds, -INF))


def features_of(x: Array, name: str, ndims: tuple[int, ...]) -> Array:
    """Floating features, checked."""
    x = as_array(x, name)
    try:
        check_logits(x, -1, name)
    except TypeError:
        raise TypeError(f"{name} have dtype {x.dtype}; pass floating-point features") from None
    if x.ndim not in ndims:
        raise ValueError(
            f"{name} have shape {tuple(x.shape)}; pass one feature vector in each row, shape (N, d)"
        )
    return x


def paired_features(**given: Array) -> tuple[Array, Array]:
    """Two arrays of features of the same shape."""
    (one, a), (other, b) = ((name, features_of(x, name, (2,))) for name, x in given.items())
    if tuple(a.shape) != tuple(b.shape):
        raise ValueError(
            f"{one} have shape {tuple(a.shape)} but {other} have shape {tuple(b.shape)}; row i of one belongs to "
            "row i of the other"
        )
    return a, b


def l2_normalized(x: Array, normalize: bool) -> Array:
    """Features in the dtype of their loss, divided by their norms; of a zero vector by 1."""
    dtype = loss_dtype(x)
    if not normalize:
        return namespace(x).astype(x, dtype, copy=False)
    if is_torch(x):
        from crossentropy._engine.rows import autograd

        return autograd.l2_normalized(x, _over_norms)
    return _over_norms(x)


def _over_norms(x: Array) -> Array:
    """Features divided by their norms, differentiable."""
    xp, dtype, wide = namespace(x), loss_dtype(x), widened(x)
    square = total(wide * wide, -1, keepdims=True)
    norm = xp.sqrt(xp.where(square == 0, xp.ones_like(square), square))
    return xp.astype(wide / norm, dtype, copy=False)


def similarities_of(x: Array, y: Array, normalize: bool) -> Array:
    """The product of every row of `x` and every row of `y`, normalized ones if `normalize`.

    Cosines of float64 features have all their digits, and gradients too.
    """
    return cosines.cosines(x, y) if normalize and cosines.serves(x, y) else products_of(x, y, normalize)


def products_of(x: Array, y: Array, normalize: bool) -> Array:
    """The same, as the matrix product of normalized features."""
    a = l2_normalized(x, normalize)
    b = a if y is x else l2_normalized(y, normalize)
    return product(a, namespace(b).matrix_transpose(b))


def without_self(similarities: Array) -> Array:
    """Similarities of every row with all: its own with itself is −∞, which counts for nothing."""
    xp = namespace(similarities)
    return xp.where(same_row(similarities), xp.full_like(similarities, -INF), similarities)


def same_row(x: Array) -> Array:
    """Which entries of an N × N array are of one and the same row."""
    xp = namespace(x)
    rows = xp.arange(x.shape[0], device=device(x))
    return rows[:, None] == rows[None, :]


def check_denominator(denominator: str) -> None:
    """Refuse a denominator that is none."""
    if denominator not in ("all", "negatives"):
        raise ValueError(f'denominator is {denominator!r}; write "all" or "negatives"')


def checked_groups(labels: Any, z: Array) -> Array:
    """One label for each row."""
    _, (groups, _) = as_arrays(labels=labels, features=z)
    if tuple(groups.shape) != (z.shape[0],):
        raise ValueError(
            f"labels have shape {tuple(groups.shape)}; pass one label for each row of the features, "
            f"shape ({z.shape[0]},)"
        )
    return groups


def scalar(value: Any, name: str) -> Any:
    """A number, or an array of one."""
    if isinstance(value, (int, float)):
        return value
    x = as_array(value, name)
    if x.ndim:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; pass a number, or an array of shape ()")
    return float(x) if is_numpy(x) else x
