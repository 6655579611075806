"""Texts on the way through the kernels: their hashes are those of `hashlib`, and they pair rows."""

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest

from crossentropy.evaluation import BadData, compare
from crossentropy.evaluation._hashing import hash_values
from evaluation_data import synthetic

P, Y = synthetic()
#: Of each length around that of a block, and more of them than are hashed together.
TEXTS = ["", "a", "é" * 63, "x" * 126, "x" * 127, "x" * 128, "x" * 1000, *(f"row {i}" for i in range(20))]


@pytest.mark.parametrize("salt", ["", "fold", "s" * 200])
@pytest.mark.parametrize("texts", [TEXTS, [*TEXTS, "\ud800"]], ids=["all", "with a surrogate"])
def test_the_hash_of_a_text_is_its_blake2b_digest(texts, salt):
    whole = [f"{salt}\0{text}".encode("utf-8", "surrogatepass") for text in texts]
    truth = [int.from_bytes(blake2b(x, digest_size=8).digest(), "little") for x in whole]
    assert hash_values(np.asarray(texts, object), salt=salt).tolist() == truth
    assert hash_values(np.asarray(texts), salt=salt).tolist()[:-1] == truth[:-1]


def rows_named(names, order):
    return pa.table({"id": np.asarray(names, object)[order], "y": Y[order], "p": P[order]})


def compared(first, second):
    return compare({"a": first, "b": second}, labels="y", proba="p", key="id", permutations=0).differences[0]


@pytest.fixture
def names():
    return [f"row {i}" for i in range(1000)]


def test_rows_are_paired_by_texts_in_any_order(names):
    order = np.random.default_rng(0).permutation(1000)
    assert compared(rows_named(names, np.arange(1000)), rows_named(names, order)).n_better == 0


def test_the_first_text_that_is_missing_or_double_is_named(names):
    other = [*names]
    other[7], other[500] = "seven", "five"
    whole = np.arange(1000)
    with pytest.raises(BadData, match=r"b has no row with key 'row 7' \(2 missing in all\)"):
        compared(rows_named(names, whole), rows_named(other, whole))
    other[500] = other[499]
    with pytest.raises(BadData, match="b has two rows with key 'row 499'"):
        compared(rows_named(names, whole), rows_named(other, whole))


def test_texts_whose_hashes_collide_are_paired_by_themselves(names, monkeypatch):
    from crossentropy.evaluation._comparison import rows

    monkeypatch.setattr(rows, "hash_values", lambda values: np.arange(len(values), dtype=np.uint64))
    assert (
        compared(rows_named(names, np.arange(1000)), rows_named(names, np.arange(1000)[::-1])).n_better == 0
    )
