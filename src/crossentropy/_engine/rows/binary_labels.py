"""Labels of yes-or-no questions, looked at before a loss takes them."""

from crossentropy._backends import Array, namespace
from crossentropy._backends.conditions import first_true, is_true

__all__ = ["first_bad", "settled"]

NAN = float("nan")


def first_bad(good: Array, counted: Array | None, *, validate: bool) -> tuple[int, ...] | None:
    """Where the first label stands that counts and is none, if that is asked for and known."""
    bad = ~good if counted is None else ~good & counted
    return first_true(bad) if validate and is_true(namespace(bad).any(bad)) else None


def settled(z: Array, good: Array, counted: Array | None, *, axis: int | None = None) -> Array:
    """Logits beside labels of which not all are good: NaN, and so their gradient, where a bad one counts.

    Those that count for nothing and make no sense are 0, so that their gradient is 0 too. Along `axis`, if there is
    one, a bad label spoils all.
    """
    xp = namespace(z)
    if counted is not None:
        idle = ~counted & ~(good & xp.isfinite(z))
        z, good = xp.where(idle, xp.zeros_like(z), z), good | idle
    if axis is not None:
        good = xp.all(good, axis=axis, keepdims=True)
    one = xp.ones_like(good, dtype=z.dtype)
    return z * xp.where(good, one, xp.full_like(one, NAN))
