"""The mean of a batch that is processed in parts: micro-batches, processes, the Trainer of Hugging Face.

The mean over the tokens of a batch is one sum over one count. If the sum is taken in parts, each part must be divided
by the count of the whole batch: the mean of the parts' means differs, unless all have equally many tokens.
"""

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, distributed

from crossentropy._engine.options import TokenOptions
from crossentropy._versions import Unpack
from crossentropy.losses.sequences import sequence_cross_entropy

__all__ = ["causal_lm_loss", "global_normalizer"]


def global_normalizer(count: Any, group: Any = None) -> Tensor:
    """What each process divides its loss by, so that averaged gradients are those of the mean over all processes.

    `DistributedDataParallel` and FSDP average gradients over processes: with ``W`` of them, each one's gradient is
    divided by ``W``. So the divisor is the count of all processes over ``W``.

    Parameters
    ----------
    count : Tensor () or number
        What this process has: its tokens that count, in all micro-batches up to the next step of the optimizer. A
        tensor says on which device processes talk (NCCL needs one on the GPU).
    group : ProcessGroup, optional
        The processes that gradients are averaged over; all, if left out.

    Returns
    -------
    Tensor ()
        A number of tokens or a sum of weights, dimensionless: float64 (float32 on devices that have no wider), on the
        device of `count`; the `normalizer` of any loss. It is `count` itself where there is one process. Where no
        process has anything it is 0, and the loss is 0.

    Raises
    ------
    ValueError
        If `count` is not one number.

    Examples
    --------
    One process:

    >>> global_normalizer(12)
    tensor(12., dtype=torch.float64)

    Accumulating over micro-batches, in any number of processes::

        tokens = sum((labels[:, 1:] != -100).sum() for _, labels in micro_batches)
        normalizer = global_normalizer(tokens)
        for inputs, labels in micro_batches:
            loss = sequence_cross_entropy(
                model(inputs), labels, shift=1, ignore_index=-100, normalizer=normalizer
            )
            loss.backward()
        optimizer.step()
    """
    total = torch.as_tensor(count).detach()
    if total.numel() != 1:
        raise ValueError(f"count has shape {tuple(total.shape)}; pass one number, how much this process has")
    total = total.reshape(()).to(torch.float32 if total.device.type == "mps" else torch.float64, copy=True)
    if not (distributed.is_available() and distributed.is_initialized()):
        return total
    distributed.all_reduce(total, group=group)
    return total / distributed.get_world_size(group)


def causal_lm_loss(
    outputs: Any,
    labels: Tensor,
    num_items_in_batch: Any = None,
    *,
    shift: int = 1,
    **options: Unpack[TokenOptions],
) -> Tensor:
    """The loss of a causal language model, as the Trainer of Hugging Face calls it.

    ``Trainer(..., compute_loss_func=causal_lm_loss)``; with options,
    ``functools.partial(causal_lm_loss, label_smoothing=0.1)``.

    Parameters
    ----------
    outputs : model output, mapping or tuple
        With the logits (N, T, C) as ``outputs.logits``, ``outputs["logits"]`` or first.
    labels : integer Tensor (N, T)
        The inputs themselves, with −100 where nothing is to be learned.
    num_items_in_batch : Tensor () or number, optional
        What the Trainer says the whole batch has of tokens to be learned, over all micro-batches and, with
        ``average_tokens_across_devices``, processes (it then multiplies the loss by their number itself). The sum is
        divided by it, whatever this part has. Without it, as in evaluation, the mean is over the labels given.
    shift : int, default 1
        How many steps after its logits a label stands; 0 for labels that have been shifted already.
    **options
        Those of `crossentropy.losses.sequence_cross_entropy`, `ignore_index=-100` unless given.

    Returns
    -------
    Tensor ()
        In nats: float64 for float64 logits, else float32, without a copy of the logits in a wider type.

    Raises
    ------
    TypeError
        If there are no logits in `outputs`.
    ValueError
        If logits (N, C), those of a classifier or of one sequence, are to be shifted, and as
        `crossentropy.losses.sequence_cross_entropy`.

    Examples
    --------
    >>> logits, labels = torch.zeros(1, 3, 4), torch.tensor([[1, 2, -100]])
    >>> causal_lm_loss({"logits": logits}, labels)
    tensor(1.3863)
    >>> causal_lm_loss({"logits": logits}, labels, num_items_in_batch=4)  # 3 more are elsewhere
    tensor(0.3466)
    """
    options.setdefault("ignore_index", -100)
    logits = logits_of(outputs)
    if shift and logits.ndim == 2:
        raise ValueError(
            f"outputs have logits of shape {tuple(logits.shape)}, and a shift of {shift} would set each row against "
            "the label of another; pass (N, T, C). For one sequence: logits.unsqueeze(0) and labels.unsqueeze(0). For "
            "a classifier: crossentropy.torch.cross_entropy(logits, labels, normalizer=num_items_in_batch)"
        )
    return sequence_cross_entropy(
        logits,
        labels,
        shift=shift,
        normalizer="token" if num_items_in_batch is None else one_count(num_items_in_batch),
        **options,
    )


def one_count(num_items_in_batch: Any) -> Any:
    """Return the count of a batch as one number.

    Where one process has several GPUs, the Trainer passes its count once for each of them, and multiplies the loss of
    the whole batch by their number; or it passes the count of one GPU.
    """
    repeated = isinstance(num_items_in_batch, Tensor) and num_items_in_batch.ndim > 0
    return num_items_in_batch.sum() if repeated else num_items_in_batch


def logits_of(outputs: Any) -> Tensor:
    """Find the logits (N, T, C) in a model's outputs: an attribute, a key, or the first item."""
    logits = getattr(outputs, "logits", None)
    if logits is None:
        with suppress(KeyError, IndexError, TypeError):
            logits = outputs["logits"] if hasattr(outputs, "keys") else outputs[0]
    if not isinstance(logits, Tensor) or logits.ndim < 2:
        raise TypeError(
            f"outputs are a {type(outputs).__name__} without logits; pass an object with .logits, a mapping with "
            '"logits", or a tuple whose first is the logits (N, T, C)'
        )
    return logits
