"""The options that Keras's losses do not have, by name, and the error for a keyword that a function does not have."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict, TypeVar

from crossentropy._arguments.errors import keywords, unknown_keyword

__all__ = [
    "FocalOptions",
    "GeneralizedOptions",
    "LogitOptions",
    "OneHotOptions",
    "QuestionOptions",
    "SparseOptions",
    "TwoLinkOptions",
    "known_keywords",
]

Function = TypeVar("Function", bound=Callable[..., Any])


class LogitOptions(TypedDict, total=False):
    """Options that act on logits, which probabilities do not tell."""

    temperature: Any
    softcap: Any
    logit_bias: Any
    margin: Any
    z_loss: Any
    entropy_bonus: Any


class FocalOptions(LogitOptions, total=False):
    """Those of the focal loss of classes, whose `alpha` weighs the classes."""

    smoothing_prior: Any
    validate: str


class OneHotOptions(FocalOptions, total=False):
    """Those of cross-entropy of one-hot labels."""

    class_weight: Any
    link: Any


class SparseOptions(OneHotOptions, total=False):
    """Those of cross-entropy of class indices, which Keras does not smooth."""

    label_smoothing: Any


class GeneralizedOptions(FocalOptions, total=False):
    """Those of generalized cross-entropy."""

    class_weight: Any
    label_smoothing: Any
    ignore_class: int | None


class QuestionOptions(TypedDict, total=False):
    """Those of the focal loss of yes-or-no questions."""

    pos_weight: Any
    class_weight: Any
    validate: str


class TwoLinkOptions(QuestionOptions, total=False):
    """Those of cross-entropy of yes-or-no questions."""

    link: Any
    negative_link: Any
    negative_shift: Any


def known_keywords(function: Function) -> Function:
    """Decorate a function so that an unknown keyword is an error that names those there are."""
    known = keywords(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in known:
                raise unknown_keyword(function.__qualname__, known, name)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]
