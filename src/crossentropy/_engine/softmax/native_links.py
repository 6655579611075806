"""Links as native code has them, by a kind and its numbers: see native/rows/links.hpp."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from crossentropy._backends import INF, Array
from crossentropy.links import (
    ClippedPolicy,
    CrossEntropy,
    Focal,
    GeneralizedCrossEntropy,
    Link,
    MeanAbsoluteError,
    PartiallyHuberized,
    Poly,
    SymmetricCrossEntropy,
    Taylor,
    Tsallis,
    Unlikelihood,
)
from crossentropy.links._advantage import Advantage

NUMBER = (int, float)
#: As native/rows/links.hpp numbers them.
KINDS = (
    "focal",
    "power",
    "polynomial",
    "huberized",
    "unlikelihood",
    "advantage",
    "clipped-policy",
    "normalized",
)


class NativeLink(NamedTuple):
    """The kind of a link, its numbers, and arrays with one number for each row."""

    kind: str
    numbers: tuple[float, ...] = ()
    arrays: tuple[Array, ...] = ()


def native_link(link: Link) -> NativeLink | None:
    """The link as native code has it; None if it does not know the link, or a number of it is an array."""
    if type(link) is CrossEntropy:
        return CROSS_ENTROPY
    if type(link) is Focal and isinstance(link.gamma, NUMBER):
        return NativeLink("focal", (link.gamma,))
    convert = TABLE.get(type(link))
    if convert is None:
        return None
    for name, x in vars(link).items():
        if name in OF_ROWS:
            continue
        for number in x if type(x) is tuple else (x,):
            if not (number is None or isinstance(number, NUMBER)):
                return None
    return convert(link)


def _power(q: float, factor: float = 1.0, truncation: float | None = None) -> NativeLink | None:
    """``factor (1 − p^q)/q``, and constant where ``p ≤ truncation``."""
    if q <= 0:
        return None if q else CROSS_ENTROPY
    if truncation is None:
        return NativeLink("power", (q, factor, INF, factor / q))
    bound = math.log(1 - truncation) - math.log(truncation)
    return NativeLink("power", (q, factor, bound, -factor * math.expm1(q * math.log(truncation)) / q))


def _poly(link: Poly) -> NativeLink:
    epsilons = link.epsilon if isinstance(link.epsilon, tuple) else (link.epsilon,)
    return NativeLink("polynomial", (1.0, *epsilons))


def _clipped_policy(link: ClippedPolicy) -> NativeLink:
    c = link.clip
    numbers = (c, math.log1p(c), math.log1p(-c) if c < 1 else -INF)
    return NativeLink("clipped-policy", numbers, (link.advantages, link.old_log_prob))


CROSS_ENTROPY = NativeLink("focal", (0.0,))
OF_ROWS = {"advantages", "old_log_prob"}  # attributes of links that are arrays of the rows
TABLE: dict[type, Callable[[Any], NativeLink | None]] = {
    GeneralizedCrossEntropy: lambda link: _power(link.q, 1.0, link.truncation),
    Tsallis: lambda link: _power(1 - link.t),
    MeanAbsoluteError: lambda link: _power(1.0, 2.0),
    Poly: _poly,
    SymmetricCrossEntropy: lambda link: NativeLink(
        "polynomial", (link.forward_weight, -link.reverse_weight * link.log_zero)
    ),
    Taylor: lambda link: NativeLink("polynomial", (0.0, *(1 / j for j in range(1, link.order + 1)))),
    PartiallyHuberized: lambda link: NativeLink("huberized", (math.log(link.tau),)),
    Unlikelihood: lambda link: NativeLink("unlikelihood"),
    Advantage: lambda link: NativeLink("advantage", (), (link.advantages,)),
    ClippedPolicy: _clipped_policy,
}
