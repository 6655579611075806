"""Explicit target forms, for targets that a dtype does not determine.

Integer labels are indices and floating ones probabilities, by dtype and never by shape. The classes here are for
all other forms, and for stating the form explicitly.
"""

from dataclasses import dataclass

from crossentropy._backends import Array

__all__ = ["LabelSet", "OneHot", "Probabilities", "Sparse"]


@dataclass(frozen=True, eq=False)
class OneHot:
    """One 1 among zeros along the class axis, of any integer or bool dtype.

    Parameters
    ----------
    values : integer or bool array, shape of the logits
        Read as the index of each row's 1.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> round(float(ce.softmax_cross_entropy(logits, OneHot(np.array([[1, 0, 0]])))), 6)
    0.356675
    """

    values: Array


@dataclass(frozen=True, eq=False)
class Probabilities:
    """A mass for every class: a distribution, or with `normalized=False` any masses.

    Parameters
    ----------
    values : floating array, shape of the logits
    normalized : bool, default True
        Whether rows must sum to one. Otherwise the loss is ``Σ_c a_c (L − u_c)`` for any sum and any sign.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> round(float(ce.softmax_cross_entropy(logits, Probabilities(np.array([[0.5, 0.5, 0.0]])))), 6)
    0.983056
    """

    values: Array
    normalized: bool = True


@dataclass(frozen=True, eq=False)
class Sparse:
    """k weighted labels a row: mixup and CutMix pairs, the top of a teacher's distribution.

    Parameters
    ----------
    indices : integer array, shape rows + (k,)
    weights : floating array, shape rows + (k,)
        The mass on each index. They need not sum to one; weights of one index add up.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> target = Sparse(np.array([[0, 1]]), np.array([[0.5, 0.5]]))
    >>> round(float(ce.softmax_cross_entropy(logits, target)), 6)
    0.983056
    """

    indices: Array
    weights: Array


@dataclass(frozen=True, eq=False)
class LabelSet:
    """A set of classes, any of which is right: the loss is that of the set's whole probability.

    Parameters
    ----------
    mask : bool array, shape of the logits
        True on the acceptable classes; at least one in every row.

    Examples
    --------
    >>> import numpy as np
    >>> import crossentropy as ce
    >>> logits = np.log([[0.7, 0.2, 0.1]])
    >>> round(float(ce.softmax_cross_entropy(logits, LabelSet(np.array([[True, True, False]])))), 6)
    0.105361
    """

    mask: Array
