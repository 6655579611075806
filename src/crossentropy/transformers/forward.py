"""The forwards that `apply` gives a model and its output layer."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from crossentropy.transformers.logits import LinearLogits, Recording, Term, refusal
from crossentropy.transformers.trl import fused_outputs

#: Attribute of a model that has its `Recording`, and the method of modules that `torch.nn.DataParallel` copies them by.
NAME = "_crossentropy_recording"
REPLICATE = "_replicate_for_data_parallel"


class Bound:
    """A method of one module, which is copied and pickled with it; its other attributes are those of the function.

    A `types.MethodType` is pickled by the name of its function, which the module's class does not have.

    Parameters
    ----------
    function : function
        Called with the module and the arguments. It is one of this file, or made by `forward_in_place_of`.
    owner : nn.Module
    """

    def __init__(self, function: Callable[..., Any], owner: nn.Module):
        self.__func__ = function
        self.__self__ = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if "__func__" not in vars(self):  # while it is copied
            raise AttributeError(name)
        return getattr(self.__func__, name)

    @property
    def __signature__(self) -> inspect.Signature:
        """That of the function without the module."""
        signature = inspect.signature(self.__func__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __reduce__(self) -> tuple[Any, ...]:
        before = getattr(self.__func__, "before", None)
        if before is None:
            return Bound, (self.__func__, self.__self__)
        return _rebound, (before, self.__self__)


def _rebound(before: Callable[..., Any], owner: nn.Module) -> Bound:
    return Bound(forward_in_place_of(before), owner)


def forward_in_place_of(before: Callable[..., Any]) -> Any:
    """Make the forward of a model that `apply` was called for, with the signature of the forward it had before.

    Parameters
    ----------
    before : function
        The forward of the model, with the model as its first argument and `labels` among the others. It is the
        attribute `before` of the result.
    """
    signature = inspect.signature(before)
    names = list(signature.parameters)
    place = names.index("labels") - 1
    chooses_positions = "logits_to_keep" in names

    @wraps(before)
    def forward(model: Any, *args: Any, return_logits: bool = False, **kwargs: Any) -> Any:
        recording = getattr(model, NAME, None)
        labels = args[place] if len(args) > place else kwargs.get("labels")
        if recording is None or labels is None:
            return before(model, *args, **kwargs)
        if kwargs.pop("fused_lm_head", False):
            return fused_outputs(
                recording,
                lambda: _recorded(before, model, recording, args, kwargs),
                labels,
                is_shifted=kwargs.get("shift_labels") is not None,
            )
        keep = kwargs.pop("logits_to_keep", 0) if chooses_positions else 0
        outputs = _recorded(before, model, recording, args, kwargs)
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


def forward_before(forward: Any) -> Any:
    """The function that `forward_in_place_of` replaced, or None if it did not make this method.

    A function that wraps one of its has a `__wrapped__`.
    """
    function = getattr(forward, "__func__", None)
    return None if hasattr(function, "__wrapped__") else getattr(function, "before", None)


def bind(function: Callable[..., Any], module: nn.Module) -> None:
    """Make a function the forward of one module, of its copies and of its replicas."""
    module.forward = Bound(function, module)
    setattr(module, REPLICATE, Bound(_replicated, module))


def unbind(module: nn.Module) -> None:
    """Undo `bind`."""
    del module.forward
    delattr(module, REPLICATE)


def _replicated(module: Any) -> Any:
    """Make a replica of a module for a thread of `torch.nn.DataParallel`, with its own forward and recording."""
    replica = getattr(type(module), REPLICATE)(module)
    forward = vars(module).get("forward")
    if getattr(forward, "__self__", None) is module:
        replica.forward = type(forward)(forward.__func__, replica)
    if NAME in vars(module):
        setattr(replica, NAME, replace(getattr(module, NAME)))
    return replica


def _recorded(
    before: Callable[..., Any],
    model: PreTrainedModel,
    recording: Recording,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run a model whose output layer returns `LinearLogits`."""
    head = output_layer(model)
    previous = recording.head
    # In a replica of `torch.nn.DataParallel`, that is the layer of the model, which has a recording of its own.
    if previous is not head and getattr(previous, "_recording", None) is recording:
        detach(previous)
    attach(head, recording)
    recording.head, recording.is_on, recording.answered = head, True, False
    try:
        outputs = before(model, *args, **kwargs)
    except TypeError as error:
        # From a function that they were passed to in place of a tensor.
        if LinearLogits.__name__ in str(error):
            raise refusal("passes them to a function that needs their numbers") from error
        raise
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
    if not self._recording.is_on or not is_linear(self):
        return type(self).forward(self, *args, **kwargs)
    (hidden,) = args
    return LinearLogits(self._recording, (Term(hidden, self),))


def output_layer(model: PreTrainedModel) -> nn.Module:
    """Return a model's output layer, or raise TypeError if it is none that can be recorded."""
    head = model.get_output_embeddings()
    name = type(model).__name__
    if head is None:
        raise TypeError(
            f"{name} has no output embeddings (get_output_embeddings() is None); pass a model with a head for tokens, "
            "as AutoModelForCausalLM loads. For classifiers use crossentropy.transformers.loss_function"
        )
    if not hasattr(head, "weight") or not any(is_linear(layer) for layer in head.modules()):
        raise TypeError(
            f"the output layer of this {name} is a {type(head).__module__}.{type(head).__name__}; apply takes a "
            "torch.nn.Linear, or a LoRA of peft around one. Leave the output layer out of quantization; "
            "a model whose output layer does more than a linear one is trained without apply"
        )
    return head


def attach(head: Any, recording: Recording) -> None:
    """Let an output layer, and those linear layers in it that return a number for each class, record."""
    classes = head.weight.shape[0]
    for layer in head.modules():
        if layer is not head and not (is_linear(layer) and layer.out_features == classes):
            continue
        if getattr(layer, "_recording", None) is not recording:
            layer._recording = recording
            bind(_layer_forward, layer)


def detach(head: nn.Module) -> None:
    """Undo `attach`."""
    for layer in head.modules():
        if is_layer_forward(vars(layer).get("forward")):
            unbind(layer)
            del layer._recording


def is_layer_forward(forward: Any) -> bool:
    """Tell whether a layer's own forward is the one that `attach` gives."""
    return getattr(forward, "__func__", None) is _layer_forward


def is_linear(layer: nn.Module) -> bool:
    """Tell whether a layer computes what `nn.Linear` does; subclasses of quantized weights do not."""
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward
