"""Models of Hugging Face that compute their loss from hidden states, without logits."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import Parameter
from types import MethodType
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from crossentropy._arguments.errors import as_written, unknown_keyword
from crossentropy._engine.linear.problem import check_memory_budget
from crossentropy._engine.options import LastAxisOptions
from crossentropy.transformers.forward import (
    NAME,
    attach,
    bind,
    detach,
    forward_before,
    forward_in_place_of,
    is_layer_forward,
    output_layer,
    unbind,
)
from crossentropy.transformers.logits import Recording

# Options of the loss that the model sets, by what it does to its logits and how it reduces their losses.
OF_THE_MODEL = (
    "temperature",
    "softcap",
    "logit_bias",
    "sample_weight",
    "ignore_index",
    "reduction",
    "normalizer",
)


def apply(
    model: Any, *, memory_budget: int | None = None, skip_below: float = 0.0, **options: Any
) -> PreTrainedModel:
    """Let a model of Hugging Face compute its loss by `crossentropy.linear_cross_entropy`, without its logits.

    Called with labels, the model runs as before up to its output layer, and from the loss on. Between the two, in place
    of logits, it handles a record of what it does to them: a scale, a softcap, a bias, a choice of rows. So losses of
    routers, shifted labels, `num_items_in_batch` and `shift_labels` are the model's own. Called without labels, it is
    unchanged, and so it is in generation.

    Parameters
    ----------
    model : PreTrainedModel, or a PeftModel of one
        With output embeddings that are a `torch.nn.Linear`, plain or with a LoRA of `peft`. It is changed in place.
        Apply before the model is wrapped (`DistributedDataParallel`, `torch.compile`) and after `get_peft_model`.
    memory_budget, skip_below
        As in `crossentropy.linear_cross_entropy`.
    **options
        The options of `crossentropy.softmax_cross_entropy` that the model does not set itself: `label_smoothing`,
        `smoothing_prior`, `class_weight`, `link`, `z_loss`, `entropy_bonus`, `margin`, `empty` ("nan" unless given, as
        the models have it), `validate`.

    Returns
    -------
    PreTrainedModel
        The same model. Its outputs for labels have a `loss` and no `logits`, in nats: float64 for float64 hidden
        states, else float32. ``model(..., return_logits=True)`` computes the logits after the loss as well, and an
        integer ``logits_to_keep`` those of the last positions.

    Raises
    ------
    TypeError
        If the model is none of these, or an option is unknown or the model's own. At the first call with labels, if
        the model does anything to its logits that is not listed above: the error names it.
    ValueError
        If an option is out of range.

    Notes
    -----
    A second call replaces the first, with its options. The loss is computed inside a call of the output layer, where
    its parameters are complete under FSDP. There the layer's forward is called a second time; hooks on it run twice.
    The model's `forward` is an attribute of the instance until `restore`: parameters, their names, `save_pretrained`
    and other instances are not affected.

    Examples
    --------
    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> config = LlamaConfig(
    ...     vocab_size=96, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    ... )
    >>> model = apply(LlamaForCausalLM(config), label_smoothing=0.1)
    >>> tokens = torch.arange(12).reshape(2, 6)
    >>> outputs = model(input_ids=tokens, labels=tokens)
    >>> outputs.loss.backward()
    >>> outputs.logits is None, restore(model)(input_ids=tokens, labels=tokens).logits.shape
    (True, torch.Size([2, 6, 96]))
    """
    check_memory_budget(memory_budget)
    _check_options(options)
    options.setdefault("empty", "nan")
    model = _pretrained(model)
    head = _output_layer(model)
    recording = Recording(head, memory_budget, skip_below, options)
    restore(model)
    forward = _forward_of(model)  # before anything is changed: it may refuse the model
    setattr(model, NAME, recording)
    attach(head, recording)
    bind(forward, model)
    return model


def restore(model: Any) -> PreTrainedModel:
    """Undo `apply`; a model that it was not applied to is left as it is.

    Parameters
    ----------
    model : PreTrainedModel, or a PeftModel of one

    Returns
    -------
    PreTrainedModel
        The same model, which computes its loss from logits again.

    Raises
    ------
    TypeError
        If it is no such model.

    Examples
    --------
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=8, n_layer=1, n_head=1))
    >>> restore(apply(model)) is model
    True
    """
    model = _pretrained(model)
    recording = vars(model).pop(NAME, None)
    if recording is None:
        return model
    # If the model's forward has been wrapped since, ours stays in between and passes all calls on.
    before = forward_before(vars(model).get("forward"))
    if before is not None:
        unbind(model)
        if before is not type(model).forward:
            model.forward = MethodType(before, model)
    for head in (recording.head, model.get_output_embeddings()):  # another one, if it has been replaced since
        if head is not None:
            detach(head)
    return model


@contextmanager
def applied(model: Any, **options: Any) -> Iterator[PreTrainedModel]:
    """`apply` for the time of a ``with`` block, and `restore` behind it.

    Parameters
    ----------
    model : PreTrainedModel, or a PeftModel of one
    **options
        Those of `apply`.

    Yields
    ------
    PreTrainedModel
        The same model.

    Raises
    ------
    TypeError, ValueError
        As `apply` does.

    Examples
    --------
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=8, n_layer=1, n_head=1))
    >>> with applied(model):
    ...     "forward" in vars(model)
    True
    >>> "forward" in vars(model)
    False
    """
    model = apply(model, **options)
    try:
        yield model
    finally:
        restore(model)


def _check_options(options: dict[str, Any]) -> None:
    """Raise TypeError for an option that is unknown or the model's own."""
    for name, value in options.items():
        if name in OF_THE_MODEL:
            raise TypeError(
                f"apply has no option {name}, which is the model's: {value!r} was passed. Leave it out; "
                "crossentropy.linear_cross_entropy takes it"
            )
        if name not in LastAxisOptions.__annotations__:
            of_the_loss = sorted(set(LastAxisOptions.__annotations__) - set(OF_THE_MODEL))
            ours = [*list(inspect.signature(apply).parameters)[:-1], *of_the_loss]
            raise unknown_keyword("apply", {x: Parameter(x, Parameter.KEYWORD_ONLY) for x in ours}, name)


def _forward_of(model: PreTrainedModel) -> Callable[..., Any]:
    """Make the forward of a model that `apply` was called for, or raise TypeError if it computes no loss."""
    before = getattr(model.forward, "__func__", None)
    if before is None:
        raise TypeError(
            f"the forward of this {type(model).__name__} has been replaced by {model.forward!r}, which is no method; "
            "call apply before whatever replaced it"
        )
    if "labels" not in inspect.signature(before).parameters:
        raise TypeError(
            f"the forward of this {type(model).__name__} takes no labels, so it computes no loss; use "
            "crossentropy.linear_cross_entropy on its hidden states"
        )
    return forward_in_place_of(before)


def _pretrained(model: Any) -> PreTrainedModel:
    """Return the model of Hugging Face, without the adapters of `peft` around it, or raise TypeError."""
    if not isinstance(model, PreTrainedModel) and hasattr(model, "get_base_model"):
        model = model.get_base_model()
    if isinstance(model, PreTrainedModel):
        return model
    if isinstance(model, type):
        advice = f"pass a model, as {model.__name__}(config) makes one"
    elif isinstance(getattr(model, "module", getattr(model, "_orig_mod", None)), nn.Module):
        advice = "pass the transformers.PreTrainedModel that it wraps, and wrap it after apply(model)"
    else:
        advice = "pass a transformers.PreTrainedModel, as AutoModelForCausalLM.from_pretrained loads"
    raise TypeError(f"model is {as_written(model)}; {advice}")


def _output_layer(model: PreTrainedModel) -> nn.Module:
    """Return a model's output layer, or raise TypeError if it cannot be recorded or has a forward of its own."""
    head = output_layer(model)
    replaced = vars(head).get("forward")
    if replaced is not None and not is_layer_forward(replaced):
        raise TypeError(
            f"the output layer of this {type(model).__name__} has a forward of its own ({replaced!r}), as layers have "
            "whose weights are moved or replaced (device_map with offloading); apply takes a torch.nn.Linear that is "
            "called as it is"
        )
    return head
