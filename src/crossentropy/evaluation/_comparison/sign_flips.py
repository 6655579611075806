r"""A permutation test of paired differences: are they as likely to have the opposite sign?

Each replicate flips the signs of a random half of the rows. Which ones is a hash of the row's key, the seed and the
replicate, and sums are exact, so that the p-value does not depend on the order of rows, batches or machines. Rows of a
cluster are flipped together. More than 16384 rows or clusters are joined by their hashes into 4096 groups that are
flipped together, which keeps the test exact: if single differences are symmetric, so are their sums.
"""

import math
from typing import Any

import numpy as np

from crossentropy.evaluation._clusters import BUCKETS, ClusterSums
from crossentropy.evaluation._hashing import hash_text, mixed

__all__ = ["sign_flip_p"]

Array = np.ndarray[Any, Any]
#: Replicates that the bits of one hash decide.
TOGETHER = 64


def sign_flip_p(differences: Array, keys: Array, *, replicates: int, seed: int) -> float | None:
    """Return the share of replicates, the data among them, whose sum is as far from 0 as that of the data.

    Parameters
    ----------
    differences : float64 array (n,), contiguous
        Times the weight of their rows.
    keys : uint64 array (n,)
        The hash of each row's key, or of its cluster.
    replicates : int
    seed : int

    Returns
    -------
    float
        None if a difference is not finite, or there are no replicates.

    Examples
    --------
    >>> import numpy as np
    >>> from crossentropy.evaluation._hashing import hash_values
    >>> keys = hash_values(np.arange(8))
    >>> p = sign_flip_p(np.ones(8), keys, replicates=10000, seed=0)  # 2 of 2^8 sums are as far from 0
    >>> round(p, 3), 2 / 2**8
    (0.007, 0.0078125)
    """
    if not replicates or not np.isfinite(differences).all():
        return None
    groups = ClusterSums(("difference",))
    groups.add(keys, differences)
    names = groups.keys() if groups.table is not None else np.arange(BUCKETS, dtype=np.uint64)
    values = _whole_numbers(groups.columns["difference"].scaled()[: len(names)])
    total = float(values.sum())
    salted = names ^ np.uint64(hash_text(f"sign\0{seed}"))
    as_far = 0
    for block in range(math.ceil(replicates / TOGETHER)):
        hashes = mixed(salted + np.uint64((0x9E3779B97F4A7C15 * (block + 1)) % 2**64))
        flipped = np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1)
        sums = total - 2 * (values @ flipped.astype(np.float64))
        used = min(TOGETHER, replicates - block * TOGETHER)
        as_far += int((np.abs(sums[:used]) >= abs(total)).sum())
    return (1 + as_far) / (1 + replicates)


def _whole_numbers(scaled: list[int]) -> Array:
    """Return integers as float64 in a common unit, in which all sums are exact, rounded toward 0."""
    most = sum(abs(x) for x in scaled)
    shift = max(0, most.bit_length() - 52)
    return np.asarray([(abs(x) >> shift) * (1 if x > 0 else -1) for x in scaled], np.float64)
