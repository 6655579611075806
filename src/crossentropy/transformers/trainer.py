"""Losses of logits for the Trainer of Hugging Face."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from crossentropy._arguments.errors import as_written, keywords
from crossentropy.losses.multilabel import zlpr_loss
from crossentropy.losses.softmax import softmax_cross_entropy
from crossentropy.torch.accumulation import logits_of, one_count

IGNORED = -100
VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def loss_function(
    loss: Callable[..., Any] = softmax_cross_entropy, *, shift: int | None = None, **options: Any
) -> Callable[..., Tensor]:
    """Make a loss for ``Trainer(compute_loss_func=…)`` from any loss of logits and labels.

    Parameters
    ----------
    loss : callable, default `crossentropy.softmax_cross_entropy`
        Of `crossentropy` or `crossentropy.losses`, with logits and labels as its first arguments.
    shift : int, optional
        How many positions ahead of its logits a label stands: 1 for causal language models, 0 for others. By default it
        follows from the class of the model's outputs.
    **options
        Those of `loss`. Labels of −100 are left out unless `ignore_index` names another.

    Returns
    -------
    callable
        Called with a model's outputs, the labels and `num_items_in_batch`, it returns the loss as `loss` does, in nats.
        The sum is divided by `num_items_in_batch`, the number of labels in the whole batch over all micro-batches and
        processes, if the Trainer passes it; else it is the mean of `loss`. Of labels that have an entry for each class
        the Trainer counts the entries, and the sum of a loss of rows is divided by the number of rows.

    Raises
    ------
    TypeError
        If `loss` has no such option, needs one more, or has no `normalizer` to divide by the number of labels.
    ValueError
        At a call, if the outputs do not tell by their class whether labels are to be shifted, or labels that are to be
        shifted are no class indices.

    Examples
    --------
    >>> import torch
    >>> from transformers.modeling_outputs import SequenceClassifierOutput
    >>> from crossentropy.losses import focal_loss
    >>> compute = loss_function(focal_loss, gamma=2.0)
    >>> outputs = SequenceClassifierOutput(logits=torch.zeros(2, 4))
    >>> compute(outputs, torch.tensor([1, 3]))
    tensor(0.7798)
    >>> compute(outputs, torch.tensor([1, 3]), num_items_in_batch=4)  # two more are elsewhere
    tensor(0.3899)
    """
    if not callable(loss):
        raise TypeError(f"loss is {as_written(loss)}; pass a loss of rows, as crossentropy.losses.focal_loss")
    known = keywords(loss)
    name = getattr(loss, "__name__", str(loss))
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option}; its options are {', '.join(list(known)[2:])}")
    if "normalizer" not in known:
        raise TypeError(
            f"{name} has no normalizer, and the Trainer's losses are divided by the labels in the whole batch; pass a "
            "loss of rows, as crossentropy.losses.focal_loss"
        )

    of_rows = "ignore_index" in known or loss is zlpr_loss  # else of yes-or-no questions, one for each label
    required = [
        x.name for x in signature(loss).parameters.values() if x.default is x.empty and x.kind not in VARIABLE
    ]
    if needed := [x for x in required[2:] if x not in options]:
        raise TypeError(
            f"{name} needs {', '.join(needed)}; pass loss_function({name}, {', '.join(f'{x}=…' for x in needed)})"
        )

    def compute(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        if labels is None:
            raise TypeError(
                'labels is None: the Trainer found none in its inputs; name the column of the data set "labels"'
            )
        logits = logits_of(outputs)
        ahead = _shift_of(outputs) if shift is None else shift
        chosen = dict(options)
        if "ignore_index" in known and not labels.is_floating_point():
            chosen.setdefault("ignore_index", IGNORED)
        if ahead and "ignore_index" not in chosen:
            raise ValueError(
                f"the model's outputs are a {type(outputs).__name__}, whose labels belong to the position ahead, and "
                f"labels of dtype {labels.dtype} are not shifted; pass token ids, or loss_function(..., shift=0)"
            )
        if ahead:
            labels = F.pad(labels, (0, ahead), value=chosen["ignore_index"])[..., ahead:]
        if "axis" in known:
            chosen.setdefault("axis", -1)
        if num_items_in_batch is not None:
            count = one_count(num_items_in_batch)
            # The Trainer has counted a label for each class of a row.
            if of_rows and labels.ndim == logits.ndim:
                count = count / logits.shape[chosen["axis"]]
            chosen.setdefault("normalizer", count)
        return loss(logits, labels.to(logits.device), **chosen)

    return compute


def _shift_of(outputs: Any) -> int:
    """Choose the shift of labels by the class of a model's outputs, or raise ValueError."""
    name = type(outputs).__name__
    if "CausalLM" in name:
        return 1
    if any(kind in name for kind in ("Classifier", "MaskedLM", "Seq2Seq")):
        return 0
    raise ValueError(
        f"the model's outputs are a {name}, which does not tell whether a label belongs to the position ahead; pass "
        "loss_function(shift=1) for a causal language model, and shift=0 for other models"
    )
