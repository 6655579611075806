"""Errors that name the wrong argument by the name that the caller knows.

Public functions call others, down to array libraries, and the innermost one raises, without knowing the caller's names.
So a public function inspects its arguments after something has gone wrong, and not before: a call that succeeds pays
nothing for it.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from functools import wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from crossentropy._arguments import tensors
from crossentropy._backends import is_torch
from crossentropy._backends.conditions import traced_error
from crossentropy._backends.modes import is_jax_tracer

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

# Keywords of other libraries: our names for each, of which the first that a function has applies, and the advice.
# {first} is the function's first argument.
LABELS = (("labels", "actions"), "pass {ours}={name}")
FIRST = (("{first}",), "pass {ours}={name}")
OF_CLASSES = (("class_weight",), "weights of classes, one number for each, are {ours}: pass {ours}={name}")
OF_ROWS = (("sample_weight",), "weights and masks of rows are {ours}: pass {ours}={name}")
SMOOTHING = (("label_smoothing",), "pass {ours}={name}")
REDUCTION = (("reduction",), 'write {ours}="mean", "sum" or "none"')
ELSEWHERE: dict[str, tuple[Sequence[str], str]] = {
    "alpha": OF_CLASSES,
    "weight": OF_CLASSES,
    "mask": OF_ROWS,
    "where": OF_ROWS,
    "weights": OF_ROWS,
    "eps": SMOOTHING,
    "smoothing": SMOOTHING,
    "size_average": REDUCTION,
    "reduce": REDUCTION,
    "from_logits": ((), "it is of {first} always; for probabilities there is crossentropy.log_loss"),
    "num_classes": ((), "the classes are counted in {first}: leave it out"),
    "dim": (("axis",), "pass {ours}={name}"),
    "T": (("temperature",), "pass {ours}={name}"),
    "temperature": (("scale",), "pass {ours}=1 / {name}"),
    "scale": (("temperature",), "pass {ours}=1 / {name}"),
    "logit_scale": (("scale",), "pass {ours}={name}"),
    "beta": (("label_weight", "rebalancing"), "pass {ours}={name}"),
    "y_true": LABELS,
    "target": LABELS,
    "targets": LABELS,
    "y_pred": FIRST,
    "input": FIRST,
    "inputs": FIRST,
    "logits": FIRST,
}

# Messages of Python, and of this package, about a keyword that a function does not have.
UNKNOWN = re.compile("unexpected keyword|multiple values for|missing .* required .* argument|has no argument")
# Messages of PyTorch and of Python about tensors of two subclasses that cannot be combined.
UNRELATED = re.compile("__torch_function__|unsupported operand type|two classes of tensors")

OF_EACH_CLASS = (
    "class_weight",
    "counts",
    "importance",
    "logit_bias",
    "margin",
    "pos_weight",
    "smoothing_prior",
)


def argument_errors(function: Function) -> Function:
    """Decorate a public function so that its errors name the argument that is wrong, and so that it takes TensorFlow's.

    It finds unknown keywords, and values of another kind than the annotations: a string, a dict, a function or None in
    place of an array, anything but a number in place of a number.

    >>> @argument_errors
    ... def scaled(x: Any, *, scale: float = 1.0):
    ...     return [scale * value for value in x]
    >>> scaled([2.0], scale="big")
    Traceback (most recent call last):
        ...
    TypeError: scale is 'big'; pass one number
    >>> scaled([2.0], scales=3.0)
    Traceback (most recent call last):
        ...
    TypeError: scaled has no argument scales; pass scale=scales. Its arguments are x, scale
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            # Not by `in`, for which torch.compile looks at every module.
            if sys.modules.get("tensorflow") is not None and tensors.are_in_call(args, kwargs):
                return tensors.call(function, args, kwargs)
            return function(*args, **kwargs)
        except Exception as error:
            torch = sys.modules.get("torch")
            # torch.compile cannot trace the diagnosis
            if torch is not None and torch.compiler.is_compiling():
                raise
            better = diagnosis(function, args, kwargs, error)
            if better is None:
                raise
            raise better from error

    call.autograph_info__ = None  # type: ignore[attr-defined]  # so that AutoGraph calls it as it is, unconverted
    return call  # type: ignore[return-value]


def constructor_errors(cls: Class) -> Class:
    """Decorate a dataclass so that the errors of its constructor name the argument that is wrong.

    >>> from dataclasses import dataclass
    >>> @constructor_errors
    ... @dataclass
    ... class Scaled:
    ...     scale: float = 1.0
    >>> Scaled(scales=3.0)
    Traceback (most recent call last):
        ...
    TypeError: Scaled has no argument scales; pass scale=scales. Its arguments are scale
    """
    cls.__init__ = argument_errors(cls.__init__)  # type: ignore[misc]
    return cls


def renamed_in_errors(**names: str) -> Callable[[Function], Function]:
    """Decorate a function so that the errors of functions that it calls use its own argument names, plurals too.

    >>> @renamed_in_errors(label="action")
    ... def chosen(actions):
    ...     raise ValueError("label 7 is none of the labels")
    >>> chosen([7])
    Traceback (most recent call last):
        ...
    ValueError: action 7 is none of the actions
    """

    def decorated(function: Function) -> Function:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except (TypeError, ValueError) as error:
                message = str(error)
                for theirs, ours in names.items():
                    message = re.sub(rf"\b{theirs}(s?)\b", rf"{ours}\1", message)
                error.args = (message,)
                raise

        return call  # type: ignore[return-value]

    return decorated


def keywords(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters of a function by name, with those of ``**options: Unpack[...]`` one by one.

    >>> list(keywords(argument_errors))
    ['function']
    """
    parameters: dict[str, Parameter] = {}
    for name, parameter in signature(function).parameters.items():
        if parameter.kind is not Parameter.VAR_KEYWORD or not get_args(parameter.annotation):
            parameters[name] = parameter
            continue
        for option, annotation in get_args(parameter.annotation)[0].__annotations__.items():
            parameters[option] = Parameter(option, Parameter.KEYWORD_ONLY, annotation=annotation)
    return parameters


def as_written(value: Any) -> str:
    """Write a value for an error: its repr if that is short, else its type and shape.

    >>> as_written("balanced"), as_written([1, 2]), as_written({"cat": 1.0})
    ("'balanced'", '[1, 2]', 'a dict')
    """
    if value is None or (isinstance(value, (str, Real, list, tuple)) and len(repr(value)) < 60):
        return repr(value)
    kind = type(value) if not isinstance(value, type) else value
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    shape = f" of shape {tuple(value.shape)}" if getattr(value, "shape", None) else ""
    return f"the class {name}" if kind is value else f"{'an' if name[0] in 'aeiou' else 'a'} {name}{shape}"


def number(value: Any, name: str) -> Any:
    """Return `value` if it is one number, of Python or a 0-d array, else raise TypeError.

    >>> number(0.1, "label_smoothing")
    0.1
    """
    if not isinstance(value, (int, float)) and (error := _not_a_number(value, name)) is not None:
        raise error
    return value


def integer(value: Any, name: str) -> Any:
    """Return `value` if it is an integer of Python or NumPy, else raise TypeError.

    >>> integer(-1, "axis")
    -1
    """
    if not isinstance(value, int) and (error := _not_an_integer(value, name)) is not None:
        raise error
    return value


def diagnosis(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> TypeError | None:
    """Build the error for the argument that is wrong; None if none is found."""
    parameters = keywords(function)
    # While another exception is handled, Python 3.10 and 3.11 raise ``KeyError(name)`` for a keyword given twice.
    is_unknown = UNKNOWN.search(str(error)) or (
        isinstance(error, KeyError) and not kwargs.keys().isdisjoint(error.args)
    )
    if is_unknown and not any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in kwargs:
            if name not in parameters:
                return unknown_keyword(function.__qualname__.removesuffix(".__init__"), parameters, name)
    arguments = _by_position(parameters, args) | kwargs
    for name, value in arguments.items():
        parameter = parameters.get(name.partition(" ")[0])
        better = None if parameter is None else _of_wrong_kind(value, name, parameter, error)
        if better is not None:
            is_named = isinstance(error, (TypeError, ValueError)) and str(error).startswith(f"{name} is ")
            return None if is_named else better
    return _unrelated(arguments) if UNRELATED.search(str(error)) else None


def _by_position(parameters: dict[str, Parameter], args: tuple[Any, ...]) -> dict[str, Any]:
    """Map positional arguments to their names; those of ``*logits`` are "logits 0", "logits 1" and so on."""
    names = [name for name, p in parameters.items() if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    several = [name for name, p in parameters.items() if p.kind is Parameter.VAR_POSITIONAL]
    if several:
        names += [f"{several[0]} {i}" for i in range(len(args) - len(names))]
    return dict(zip(names, args, strict=False))


def unknown_keyword(function: str, parameters: dict[str, Parameter], name: str) -> TypeError:
    """Build the error for an unknown keyword, with our name for it if another library has that keyword."""
    from difflib import get_close_matches  # imported where a call fails

    ours = [parameter for parameter in parameters if parameter != "self"]
    meant, advice = ELSEWHERE.get(name, (get_close_matches(name, ours, 1, 0.8), "pass {ours}={name}"))
    same = [known for known in (word.format(first=ours[0]) for word in meant) if known in ours]
    hint = ""
    if same or (name in ELSEWHERE and not meant):
        hint = "; " + advice.format(ours="".join(same[:1]), name=name, first=ours[0])
    return TypeError(f"{function} has no argument {name}{hint}. Its arguments are {', '.join(ours)}")


def _of_wrong_kind(value: Any, name: str, parameter: Parameter, error: Exception) -> TypeError | None:
    """Build the error for a value that does not fit the annotation of its parameter, after `error` was raised."""
    kinds = (parameter.annotation,)
    if get_origin(parameter.annotation) in (Union, UnionType):
        kinds = get_args(parameter.annotation)
    if value is None and (type(None) in kinds or parameter.default is None):
        return None
    if Any in kinds:
        takes_words = str in kinds or isinstance(parameter.default, str)
        return None if takes_words else _not_an_array(value, name)
    several = any(get_origin(kind) is tuple for kind in kinds) and isinstance(value, (tuple, list))
    if several or not (int in kinds or float in kinds):
        return None
    if is_jax_tracer(value) and not str(error).startswith(f"{name} is "):
        return traced_error(name)
    return _not_a_number(value, name) if float in kinds else _not_an_integer(value, name)


def _not_an_array(value: Any, name: str) -> TypeError | None:
    """Build the error for a value that no library accepts as an array."""
    module = type(value).__module__.partition(".")[0]
    advice = "an array of numbers"
    if isinstance(value, str) and value == "balanced" and name in OF_EACH_CLASS:
        advice = "crossentropy.losses.balanced_weights(numpy.bincount(labels)) of the labels to be trained on"
    elif isinstance(value, Mapping) and name in OF_EACH_CLASS:
        advice = f"numpy.array([{name}[c] for c in sorted({name})]), one number for each class in their order"
    elif callable(value):
        matrix = hasattr(getattr(value, "weight", None), "shape")
        advice = f"its array, {name}.weight" if matrix else "the array that it returns"
    elif module in ("keras", "tensorflow") and not hasattr(value, "__tf_tensor__"):
        advice = f"a dense tensor, such as {name}.to_tensor()"
    elif value is not None and not isinstance(value, (str, bytes, Mapping, Set)):
        return None
    return TypeError(f"{name} is {as_written(value)}; pass {advice}")


def _not_a_number(value: Any, name: str) -> TypeError | None:
    """Build the error unless `value` is a number or a 0-d array."""
    if isinstance(value, Real) or (hasattr(value, "dtype") and getattr(value, "ndim", None) == 0):
        return None
    return TypeError(f"{name} is {as_written(value)}; pass one number")


def _not_an_integer(value: Any, name: str) -> TypeError | None:
    """Build the error unless `value` is an integer."""
    if isinstance(value, Integral):
        return None
    return (
        traced_error(name)
        if is_jax_tracer(value)
        else TypeError(f"{name} is {as_written(value)}; pass an integer")
    )


def _unrelated(arguments: dict[str, Any]) -> TypeError | None:
    """Build the error for tensors of two subclasses that do not derive from one another, which PyTorch rejects."""
    tensors = [(name, type(x)) for name, x in arguments.items() if is_torch(x)]
    tensors = [(name, kind) for name, kind in tensors if kind.__module__ != "torch.nn.parameter"]
    for i, (other, theirs) in enumerate(tensors):
        for name, kind in tensors[:i]:
            if not (issubclass(kind, theirs) or issubclass(theirs, kind)):
                return TypeError(
                    f"{name} is a {_path(kind)} and {other} a {_path(theirs)}, two classes of tensors that know "
                    f"nothing of each other; pass one of them as a plain tensor, {other}.as_subclass(torch.Tensor)"
                )
    return None


def _path(kind: type) -> str:
    """Write a class with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"
