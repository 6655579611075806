"""The regularizers of the softmax losses: terms that are functions of one statistic of a row.

A new one is an entry of `REGULARIZERS`. The kernels of whole losses know some of them by name; a loss with any other is
combined from statistics.
"""

from collections.abc import Callable
from typing import NamedTuple

from crossentropy._backends import Array, namespace


class Regularizer(NamedTuple):
    """A term ``factor · value(s)`` of every row, and ``dvalue/ds``, where ``s`` is a statistic of the row.

    `statistic` is a flag of `Requested`: one number for each row, which does not depend on the target.
    """

    statistic: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


REGULARIZERS = {
    "z_loss": Regularizer("log_partition", lambda L: L * L, lambda L: 2 * L),
    "entropy_bonus": Regularizer("entropy", lambda H: -H, lambda H: -namespace(H).ones_like(H)),
}
