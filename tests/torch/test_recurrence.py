"""Truncated back-propagation through time: the loss does not know of chunks, the gradient does."""

from __future__ import annotations

from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")

from crossentropy.losses.sequences import sequence_cross_entropy  # noqa: E402
from crossentropy.torch.recurrence import chunked_through_time  # noqa: E402


@pytest.fixture
def problem():
    torch.manual_seed(3)
    rnn = torch.nn.LSTM(2, 3, batch_first=True).double()
    head = torch.nn.Linear(3, 5).double()

    def model(x, state):
        x, state = rnn(x, state)
        return head(x), state

    parameters = [*rnn.parameters(), *head.parameters()]
    inputs, labels = torch.randn(4, 10, 2, dtype=torch.float64), torch.randint(5, (4, 10))
    return model, parameters, inputs, labels


def run(problem, steps, **options):
    """The sum of the chunks' losses, and the gradient that they accumulate."""
    model, parameters, inputs, labels = problem
    for parameter in parameters:
        parameter.grad = None
    total = 0.0
    for loss, _ in chunked_through_time(model, inputs, labels, steps=steps, **options):
        loss.backward()
        total += loss.detach()
    return total, [parameter.grad.clone() for parameter in parameters]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("steps", [1, 3, 4, 10, 64])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_do_not_change_the_loss(problem, steps, masked):
    model, _, inputs, labels = problem
    mask = torch.rand(4, 10) < 0.6 if masked else None
    expected = sequence_cross_entropy(model(inputs, None)[0], labels, mask=mask).detach()
    found, _ = run(problem, steps, mask=mask)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_one_chunk_has_the_whole_gradient(problem):
    model, parameters, inputs, labels = problem
    expected = torch.autograd.grad(sequence_cross_entropy(model(inputs, None)[0], labels), parameters)
    assert_same(run(problem, 10)[1], expected)


def test_the_gradient_is_cut_between_chunks_and_nowhere_else(problem):
    model, parameters, inputs, labels = problem
    first, state = model(inputs[:, :6], None)
    second, _ = model(inputs[:, 6:], tuple(x.detach() for x in state))
    loss = sequence_cross_entropy(torch.cat([first, second], dim=1), labels)
    assert_same(run(problem, 6)[1], torch.autograd.grad(loss, parameters))


def test_ignored_tokens_are_in_no_chunks_divisor(problem):
    model, _, inputs, labels = problem
    labels[:, 7:] = -100
    labels[1, 2:] = -100
    expected = sequence_cross_entropy(model(inputs, None)[0], labels, ignore_index=-100).detach()
    found, _ = run(problem, 4, ignore_index=-100)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_a_divisor_of_ones_own_serves_batches_in_parts(problem):
    one, two = run(problem, 4)[0], run(problem, 4, normalizer=80)[0]
    torch.testing.assert_close(two, one / 2, rtol=1e-13, atol=0)


def test_the_state_goes_on_and_is_cut_off(problem):
    model, _, inputs, labels = problem
    *_, (_, state) = chunked_through_time(model, inputs, labels, steps=4)
    assert not any(x.requires_grad for x in state)
    torch.testing.assert_close(state, model(inputs, None)[1], rtol=1e-13, atol=0)


def test_a_state_may_be_any_nest_of_tensors(problem):
    _, _, inputs, labels = problem

    class State(NamedTuple):
        kept: dict
        steps: int

    weight = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)

    def model(x, state):
        kept = [x @ weight + state.kept["sum"][0].sum()]
        return kept[0], State({"sum": kept}, state.steps + 1)

    start = State({"sum": [torch.zeros(1, dtype=torch.float64)]}, 0)
    *_, (_, state) = chunked_through_time(model, inputs, labels, start, steps=5)
    assert state.steps == 2
    assert not state.kept["sum"][0].requires_grad


def test_a_chunk_is_computed_when_it_is_asked_for(problem):
    model, _, inputs, labels = problem
    seen = []

    def counted(x, state):
        seen.append(x.shape[1])
        return model(x, state)

    chunks = chunked_through_time(counted, inputs, labels, steps=4)
    assert seen == []
    next(chunks)
    assert seen == [4]


def test_what_cannot_be_meant_is_refused_at_once(problem):
    model, _, inputs, labels = problem
    with pytest.raises(ValueError, match="at least one"):
        chunked_through_time(model, inputs, labels, steps=0)
    with pytest.raises(TypeError, match="reduction is given"):
        chunked_through_time(model, inputs, labels, steps=4, reduction="sum")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"labels": torch.zeros(4, 9, dtype=torch.long)},
            r"inputs have shape \(4, 10, 2\) and labels \(4, 9\)",
        ),
        ({"labels": torch.zeros(4, 11, dtype=torch.long)}, r"labels=tokens\[:, 1:\]"),
        (
            {"labels": torch.zeros(3, 10, dtype=torch.long)},
            r"a label for each of the N sequences and T steps",
        ),
        ({"labels": torch.zeros(40, dtype=torch.long)}, r"labels have shape \(40,\); pass \(N, T\)"),
        ({"mask": torch.ones(4, 9)}, r"mask has shape \(4, 9\); pass one for each label, shape \(4, 10\)"),
        ({"mask": torch.ones(4)}, r"mask has shape \(4,\)"),
        ({"normalizer": torch.ones(4, 10)}, r"normalizer is of shape \(4, 10\); pass one number"),
        ({"normalizer": "sequence"}, r"normalizer is 'sequence'; pass one number"),
    ],
    ids=["short", "long", "fewer", "flat", "short mask", "mask of sequences", "divisors", "word"],
)
def test_lengths_are_checked_before_anything_is_computed(problem, changes, words):
    model, _, inputs, labels = problem
    with pytest.raises(ValueError, match=words):
        chunked_through_time(model, **({"inputs": inputs, "labels": labels, "steps": 3} | changes))


def test_a_label_outside_the_classes_is_refused_before_a_chunk_trains(problem):
    model, _, inputs, labels = problem
    labels[2, 9] = 5
    with pytest.raises(ValueError, match=r"label 5 at row \(2, 9\) is outside \[0, 5\)"):
        next(chunked_through_time(model, inputs, labels, steps=3))
    *_, (loss, _) = chunked_through_time(model, inputs, labels, steps=3, ignore_index=5)
    assert loss.isfinite()
    *_, (loss, _) = chunked_through_time(model, inputs, labels, steps=3, validate="none")
    assert loss.isnan()


def test_the_advice_for_labels_that_are_one_step_short_is_right(problem):
    model, _, inputs, labels = problem
    cut = chunked_through_time(model, inputs[:, :-1], labels[:, 1:], steps=4)
    whole = sequence_cross_entropy(model(inputs, None)[0], labels, shift=1)
    torch.testing.assert_close(sum(loss for loss, _ in cut), whole, rtol=1e-13, atol=0)
