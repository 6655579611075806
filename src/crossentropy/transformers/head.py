"""Models of Hugging Face that compute their loss from hidden states, without logits."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from crossentropy._engine.linear.problem import check_memory_budget
from crossentropy._engine.options import LastAxisOptions, check_names
from crossentropy.transformers.logits import LinearLogits, Recording, Term
from crossentropy.transformers.trl import fused_outputs

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
NAME = "_crossentropy_recording"


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
    The loss is computed inside a call of the output layer, where its parameters are complete under FSDP. There the
    layer's forward is called a second time; hooks on it run twice. The model's `forward` is an attribute of the
    instance until `restore`: parameters, their names, `save_pretrained` and other instances are not affected.

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
    check_names(options, LastAxisOptions)
    for name in OF_THE_MODEL:
        if name in options:
            raise TypeError(
                f"apply has no option {name}, which is the model's: {options[name]!r} was passed. Leave it out; "
                "crossentropy.linear_cross_entropy takes it"
            )
    options.setdefault("empty", "nan")
    model = _pretrained(model)
    head = _output_layer(model)
    recording = Recording(head, memory_budget, skip_below, options)
    restore(model)
    forward = _forward_of(model)  # before anything is changed: it may refuse the model
    setattr(model, NAME, recording)
    _attach(head, recording)
    model.forward = MethodType(forward, model)
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
    ours = getattr(vars(model).get("forward"), "__func__", None)
    before = getattr(ours, "before", None)
    if before is not None:
        del model.forward
        if before is not type(model).forward:
            model.forward = MethodType(before, model)
    for layer in model.get_output_embeddings().modules():
        if getattr(vars(layer).get("forward"), "__func__", None) is _layer_forward:
            del layer.forward, layer._recording
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


def _forward_of(model: PreTrainedModel) -> Callable[..., Any]:
    """Make the forward of a model that `apply` was called for, with the signature of the forward it had before."""
    before = getattr(model.forward, "__func__", None)
    if before is None:
        raise TypeError(
            f"the forward of this {type(model).__name__} has been replaced by {model.forward!r}, which is no method; "
            "call apply before whatever replaced it"
        )
    signature = inspect.signature(before)
    names = list(signature.parameters)
    place = names.index("labels") if "labels" in names else None
    if place is None:
        raise TypeError(
            f"the forward of this {type(model).__name__} takes no labels, so it computes no loss; use "
            "crossentropy.linear_cross_entropy on its hidden states"
        )
    chooses_positions = "logits_to_keep" in names

    @wraps(before)
    def forward(self: Any, *args: Any, return_logits: bool = False, **kwargs: Any) -> Any:
        recording = getattr(self, NAME, None)
        labels = args[place - 1] if len(args) >= place else kwargs.get("labels")
        if recording is None or labels is None:
            return before(self, *args, **kwargs)
        if kwargs.pop("fused_lm_head", False):
            return fused_outputs(
                recording,
                lambda: _recorded(before, self, recording, args, kwargs),
                labels,
                is_shifted=kwargs.get("shift_labels") is not None,
            )
        keep = kwargs.pop("logits_to_keep", 0) if chooses_positions else 0
        outputs = _recorded(before, self, recording, args, kwargs)
        if return_logits:
            return _with_logits(outputs, LinearLogits.computed)
        if isinstance(keep, int) and keep == 0:
            return _with_logits(outputs, None)
        positions = slice(-keep, None) if isinstance(keep, int) else keep
        return _with_logits(outputs, lambda logits: logits[:, positions].computed())

    # `inspect` reads the signature here; without `__wrapped__` nobody unwraps this function by mistake.
    del forward.__wrapped__
    forward.__signature__ = signature  # type: ignore[attr-defined]
    forward.before = before  # type: ignore[attr-defined]
    return forward


def _recorded(
    before: Callable[..., Any],
    model: PreTrainedModel,
    recording: Recording,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run a model whose output layer returns `LinearLogits`."""
    head = model.get_output_embeddings()
    _attach(head, recording)
    recording.head, recording.is_on, recording.answered = head, True, False
    try:
        outputs = before(model, *args, **kwargs)
    finally:
        recording.is_on = False
    if not recording.answered:
        raise TypeError(
            f"{type(model).__name__} computed no loss by torch.nn.functional.cross_entropy of what its output layer, a "
            f"{type(head).__name__}, returned; crossentropy.transformers.apply cannot serve it: call "
            "crossentropy.transformers.restore(model), and use crossentropy.linear_cross_entropy on its hidden states"
        )
    return outputs


def _with_logits(outputs: Any, compute: Callable[[LinearLogits], Tensor] | None) -> Any:
    """Replace the `LinearLogits` in a model's outputs by tensors, or leave them out."""
    if isinstance(outputs, tuple):
        kept = (x for x in outputs if compute is not None or not isinstance(x, LinearLogits))
        return tuple(compute(x) if compute and isinstance(x, LinearLogits) else x for x in kept)
    changed = {}
    for name, x in outputs.items():
        if not isinstance(x, LinearLogits):
            changed[name] = x
        elif compute is not None:
            changed[name] = compute(x)
    return type(outputs)(**changed)


def _layer_forward(self: Any, *args: Any, compute: Callable[[], Tensor] | None = None, **kwargs: Any) -> Any:
    """The forward of an output layer and of the linear layers in it."""
    if compute is not None:  # weights are complete inside this call
        return compute()
    if not self._recording.is_on or not _is_linear(self):
        return type(self).forward(self, *args, **kwargs)
    (hidden,) = args
    return LinearLogits(self._recording, (Term(hidden, self),))


def _attach(head: Any, recording: Recording) -> None:
    """Let an output layer, and those linear layers in it that return a number for each class, record."""
    classes = head.weight.shape[0]
    for layer in head.modules():
        if layer is not head and not (_is_linear(layer) and layer.out_features == classes):
            continue
        if getattr(layer, "_recording", None) is not recording:
            layer._recording = recording
            layer.forward = MethodType(_layer_forward, layer)


def _is_linear(layer: nn.Module) -> bool:
    """Tell whether a layer computes what `nn.Linear` does; subclasses of quantized weights do not."""
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward


def _pretrained(model: Any) -> PreTrainedModel:
    """Return the model of Hugging Face, without the adapters of `peft` around it, or raise TypeError."""
    if not isinstance(model, PreTrainedModel) and hasattr(model, "get_base_model"):
        model = model.get_base_model()
    if not isinstance(model, PreTrainedModel):
        raise TypeError(
            f"model is a {type(model).__module__}.{type(model).__name__}; pass a transformers.PreTrainedModel, before "
            "it is wrapped by DistributedDataParallel or torch.compile"
        )
    return model


def _output_layer(model: PreTrainedModel) -> nn.Module:
    """Return a model's output layer, or raise TypeError if it is none that can be recorded."""
    head = model.get_output_embeddings()
    name = type(model).__name__
    if head is None:
        raise TypeError(
            f"{name} has no output embeddings (get_output_embeddings() is None); pass a model with a head for tokens, "
            "as AutoModelForCausalLM loads. For classifiers use crossentropy.transformers.loss_function"
        )
    replaced = vars(head).get("forward")
    if replaced is not None and getattr(replaced, "__func__", None) is not _layer_forward:
        raise TypeError(
            f"the output layer of this {name} has a forward of its own ({replaced!r}), as layers have whose "
            "weights are moved or replaced (device_map with offloading); apply takes a torch.nn.Linear that is called "
            "as it is"
        )
    if not any(map(_is_linear, head.modules())):
        raise TypeError(
            f"the output layer of this {name} is a {type(head).__module__}.{type(head).__name__}; apply takes a "
            "torch.nn.Linear, or a LoRA of peft around one: leave the output layer out of quantization"
        )
    return head
