"""Bytes that are no state are refused: damaged ones by their digest, made-up ones by their content."""

import json

import numpy as np
import pytest

from crossentropy.evaluation import State
from crossentropy.evaluation import _container as container
from evaluation_data import batches_of, declaration_of, rows_of, state_of


def state_bytes(kind="proba", classes=2, n=20, **options):
    d = declaration_of(
        kind, classes, options.get("weighted", False), bootstrap=2, soft=options.get("soft", False)
    )
    return state_of(d, batches_of(rows_of(kind, classes=classes, n=n, **options), [np.arange(n)])).to_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b"", "no state"),
        (lambda b: b"PAR1" + b[4:], "no state.*PAR1"),
        (lambda b: b[:30], "truncated"),
        (lambda b: b[:-1], "truncated"),
        (lambda b: b + b"x", "followed by other bytes"),
        (lambda b: b[:19] + b"\x02" + b[20:], "version 2.*reads version 1"),
        (lambda b: b[:-5] + b"\xff" + b[-4:], "damaged"),
    ],
)
def test_bytes_that_are_no_state_are_refused_with_what_they_are(change, words):
    data = state_bytes()
    with pytest.raises(ValueError, match=words):
        State.from_bytes(change(data))


def test_ten_thousand_damaged_states_are_refused():
    data = np.frombuffer(state_bytes(), np.uint8)
    r = np.random.default_rng(5)
    for _ in range(10_000):
        damaged = data.copy()
        kind = r.integers(4)
        if kind == 0:
            damaged[r.integers(len(data), size=r.integers(1, 4))] ^= np.uint8(r.integers(1, 256))
        elif kind == 1:
            damaged = damaged[: r.integers(len(data))]
        elif kind == 2:
            damaged = np.delete(damaged, r.integers(len(data)))
        else:
            damaged = np.insert(damaged, r.integers(len(data)), r.integers(256))
        changed = damaged.tobytes()
        if changed == data.tobytes():
            continue
        with pytest.raises(ValueError, match="state"):
            State.from_bytes(changed)


# ---------------------------------------------------------------------------------------------- made up


def sealed(text, body):
    """Bytes with the digest that fits them."""
    sizes = (len(x).to_bytes(8, "little") for x in (text, body))
    head = container.MAGIC + container.VERSION.to_bytes(4, "little") + b"".join(sizes)
    return head + container._digest(head, text, body) + text + body


def places(tree, path=()):
    """The paths to all values of a tree."""
    if path:
        yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(tree, path, value):
    *parents, last = path
    for key in parents:
        tree = tree[key]
    tree[last] = value


VALUES = (
    None,
    0,
    -1,
    2**31,
    2**70,
    1.5,
    float("inf"),
    "x",
    True,
    [],
    {},
    [1],
    {"array": [3]},
    {"array": [-1]},
)
ABSURD = ({"array": [10**13], "nonzero": 0}, {"array": [10**30]}, {"limbs": [99], "values": [{"array": [1]}]})


@pytest.mark.parametrize(
    "options", [{}, {"kind": "logits", "classes": 3, "weighted": True}, {"classes": 3, "soft": True}]
)
def test_made_up_states_are_refused_or_are_what_their_bytes_say(options):
    data = state_bytes(**options)
    size = int.from_bytes(data[len(container.MAGIC) + 4 :][:8], "little")
    text, body = data[container.HEAD :][:size], data[container.HEAD + size :]
    paths = list(places(json.loads(text)))
    r, refusals = np.random.default_rng(1), []
    for _ in range(200):
        if r.random() < 0.6:
            tree, values = json.loads(text), VALUES + ABSURD
            changed(tree, paths[r.integers(len(paths))], values[r.integers(len(values))])
            made_up = sealed(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode(), body)
        else:
            numbers = bytearray(body)
            numbers[r.integers(len(body))] = r.integers(256)
            made_up = sealed(text, bytes(numbers[: r.choice([len(body), r.integers(len(body))])]))
        try:
            state = State.from_bytes(made_up)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert state.to_bytes() == made_up
    assert len(refusals) > 100
    assert all("this state" in words for words in refusals)


def test_an_array_of_more_numbers_than_have_a_place_is_refused_before_it_is_made():
    text = json.dumps({"array": [2**31 + 1], "nonzero": 0}).encode()
    with pytest.raises(ValueError, match="an array of 2147483649 numbers"):
        container.unpack(sealed(text, b""))
