"""Truncated back-propagation through time."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from crossentropy._backends import widest_dtype
from crossentropy._engine.options import TokenOptions
from crossentropy._statistics import Target
from crossentropy._statistics.label_errors import check_labels
from crossentropy._versions import Unpack
from crossentropy.losses.sequences import sequence_cross_entropy

__all__ = ["chunked_through_time"]


def chunked_through_time(
    model: Callable[[Tensor, Any], tuple[Tensor, Any]],
    inputs: Tensor,
    labels: Tensor,
    state: Any = None,
    *,
    steps: int,
    mask: Tensor | None = None,
    normalizer: Any = None,
    **options: Unpack[TokenOptions],
) -> Iterator[tuple[Tensor, Any]]:
    """The loss of long sequences, a chunk of steps at a time, with the hidden state carried and its gradient cut.

    Every chunk is divided by the tokens of all, so the losses add up to that of the whole sequences, whatever the
    chunks; only the gradient knows where they end. A chunk is computed when it is asked for: call ``backward()`` on
    its loss before the next, and no more than one chunk is in memory.

    Parameters
    ----------
    model : callable
        ``model(inputs, state) -> (logits, state)`` for inputs (N, t, ...) and logits (N, t, C).
    inputs : Tensor (N, T, ...)
    labels : integer Tensor (N, T)
        The token of each step, beside its input: for a language model the inputs moved by one.
    state : any nest of tensors in tuples, lists and dicts, optional
        What `model` is given first.
    steps : int
        The length of a chunk; the last may be shorter.
    mask : Tensor (N, T), optional
        As in `crossentropy.losses.sequence_cross_entropy`.
    normalizer : number or Tensor (), optional
        What to divide by, if not the tokens of these sequences that count: those of a batch in several parts.
    **options
        Those of `crossentropy.losses.sequence_cross_entropy`; the reduction is the mean.

    Yields
    ------
    loss : Tensor ()
        The chunk's share of the loss in nats: float64 for float64 logits, else float32.
    state : as `model` returns it, detached
        After the chunk; pass it on for sequences that go on.

    Raises
    ------
    ValueError
        If `steps` is less than 1, shapes do not fit or the normalizer is not one number, before anything is computed;
        if a label of any chunk is outside the classes, once the first logits say how many there are; or as
        `crossentropy.losses.sequence_cross_entropy`.
    TypeError
        If a reduction or class weights are given, which would say something else of the sum of chunks.

    References
    ----------
    Williams, Peng, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories",
    Neural Computation 2, 1990.

    Examples
    --------
    >>> rnn, head = torch.nn.GRU(2, 3, batch_first=True), torch.nn.Linear(3, 5)
    >>> def model(x, state):
    ...     x, state = rnn(x, state)
    ...     return head(x), state
    >>> x, y = torch.randn(4, 10, 2), torch.randint(5, (4, 10))
    >>> for loss, state in chunked_through_time(model, x, y, steps=4):
    ...     loss.backward()
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; a chunk has at least one")
    for name in ("reduction", "class_weight"):
        if name in options:
            raise TypeError(
                f"{name} is given; the losses of chunks add up to the mean over all tokens, unweighted"
            )
    _check_lengths(inputs, labels, mask, normalizer)
    if normalizer is None:
        counted = torch.ones_like(labels) if mask is None else mask
        ignored = options.get("ignore_index")
        if ignored is not None:
            counted = torch.where(labels.eq(ignored), torch.zeros_like(counted), counted)
        normalizer = counted.sum(dtype=widest_dtype(counted))
    return _chunks(model, inputs, labels, state, steps, mask, normalizer, options)


def _chunks(
    model: Callable[[Tensor, Any], tuple[Tensor, Any]],
    inputs: Tensor,
    labels: Tensor,
    state: Any,
    steps: int,
    mask: Tensor | None,
    normalizer: Any,
    options: TokenOptions,
) -> Iterator[tuple[Tensor, Any]]:
    """Yield the loss and the detached state of every chunk."""
    ignore_index = options.get("ignore_index")
    for start in range(0, labels.shape[1], steps):
        chunk = slice(start, start + steps)
        logits, state = model(inputs[:, chunk], state)
        loss = sequence_cross_entropy(
            logits,
            labels[:, chunk],
            mask=None if mask is None else mask[:, chunk],
            normalizer=normalizer,
            **options,
        )
        # the labels of all chunks, before the first one trains the model
        if start == 0 and options.get("validate", "raise") == "raise":
            check_labels(Target(labels, ignore_index=ignore_index), logits.shape[options.get("axis", -1)])
        state = _detached(state)
        yield loss, state
        del logits, loss  # frees their memory before the next chunk


def _check_lengths(inputs: Tensor, labels: Tensor, mask: Tensor | None, normalizer: Any) -> None:
    """Raise ValueError unless inputs, labels and mask have equal lengths and the normalizer is one number."""
    shape = tuple(labels.shape)
    if labels.ndim != 2:
        raise ValueError(f"labels have shape {shape}; pass (N, T), a token for each step of each sequence")
    if tuple(inputs.shape[:2]) != shape:
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)} and labels {shape}; pass a label for each of the N sequences and "
            "T steps. For a language model: inputs=tokens[:, :-1], labels=tokens[:, 1:]"
        )
    if mask is not None and tuple(mask.shape) != shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}; pass one for each label, shape {shape}")
    if isinstance(normalizer, str) or (hasattr(normalizer, "ndim") and normalizer.ndim > 0):
        actual = repr(normalizer) if isinstance(normalizer, str) else f"of shape {tuple(normalizer.shape)}"
        raise ValueError(
            f"normalizer is {actual}; pass one number, which every chunk is divided by, or leave it out for the tokens "
            "that count"
        )


def _detached(state: Any) -> Any:
    """Detach every tensor in a nested state."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: _detached(x) for name, x in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(_detached, state))
    return type(state)(map(_detached, state)) if isinstance(state, (tuple, list)) else state
