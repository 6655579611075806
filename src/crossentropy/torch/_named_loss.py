"""The base class of the modules in `crossentropy.torch.named`."""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Any, ClassVar

import torch
from torch import Tensor

from crossentropy._arguments.errors import diagnosis, keywords
from crossentropy._engine.reductions import check_reduction
from crossentropy.torch._settings import Settings

REDUCTION = "mean"
OF_A_BATCH = ("sample_weight", "normalizer")
COMMON = ("axis", "ignore_index", "softcap", "logit_bias", "normalizer", "empty", "validate", "reduction")


class NamedLoss(Settings):
    """A module of a function of `crossentropy.losses`; a subclass names the function.

    The function's positional arguments are passed to every call, except the arrays in `fixed`. Its keywords are passed
    to the constructor, except those of a batch: `sample_weight`, `normalizer` (allowed in both places) and `per_call`.
    Every setting is an attribute of the same name, which may be changed. Tensors become buffers, and parameters remain
    parameters, also inside a link.

    Subclass keywords
    -----------------
    function : callable
        The loss.
    check : callable, optional
        Called by the constructor with those settings that it has parameters for, to raise if one is out of range.
    fixed : tuple of str
        Positional arrays of the function that are settings of the module.
    per_call : tuple of str
        Further keywords that belong to a batch.
    learned : tuple of str
        Keywords of the function that the module supplies itself.
    """

    _check: ClassVar[Callable[..., Any] | None]
    _of_a_batch: ClassVar[tuple[str, ...]]
    _inputs: ClassVar[tuple[str, ...]]
    _fixed: ClassVar[tuple[str, ...]]

    def __init_subclass__(
        cls,
        *,
        function: Callable[..., Any] | None = None,
        check: Callable[..., Any] | None = None,
        fixed: tuple[str, ...] = (),
        per_call: tuple[str, ...] = (),
        learned: tuple[str, ...] = (),
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        if function is None:  # a user's subclass of a named loss
            return
        cls._function = staticmethod(function)
        cls._check = None if check is None else staticmethod(check)
        cls._of_a_batch = (*(name for name in OF_A_BATCH if name in keywords(function)), *per_call)
        parameters = list(signature(function).parameters.values())
        cls._fixed = fixed
        cls._inputs = tuple(
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) and p.name not in fixed
        )
        left_out = {"sample_weight", *per_call, *learned}
        if isinstance(check, type):  # the loss is named after a link, so that it takes no other
            left_out.add("link")
        own_parameters = [
            p for p in parameters if p.name in fixed or (p.kind is p.KEYWORD_ONLY and p.name not in left_out)
        ]
        cls.__signature__ = Signature(  # type: ignore[attr-defined]
            [
                *(p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in own_parameters if p.name not in COMMON),
                *(p.replace(kind=p.KEYWORD_ONLY) for p in own_parameters if p.name in COMMON),
                *(
                    Parameter(n, Parameter.KEYWORD_ONLY, default=REDUCTION if n == "reduction" else None)
                    for n in keywords(function)
                    if n not in left_out and n not in signature(function).parameters
                ),
            ]
        )

    def __init__(self, *settings: Any, **options: Any) -> None:
        super().__init__()
        name, expected = type(self).__name__, type(self).__signature__  # type: ignore[attr-defined]
        for option in options:
            if option == "sample_weight" or (option in self._of_a_batch and option != "normalizer"):
                raise TypeError(f"{option} belongs to a batch: pass it to the call, loss(…, {option}=…)")
            if option not in expected.parameters:
                raise TypeError(f"{name} has no option {option!r}; it takes {', '.join(expected.parameters)}")
        try:
            bound = expected.bind(*settings, **options).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}; it takes {', '.join(expected.parameters)}") from None
        values = {
            p.name: bound.get(p.name, p.default)
            for p in expected.parameters.values()
            if p.name in bound or p.name == "reduction" or p.kind is p.POSITIONAL_OR_KEYWORD
        }
        check_reduction(values.get("reduction", REDUCTION), "weight", "zero")
        self._options = tuple(expected.parameters)
        try:
            for setting, value in values.items():
                setattr(self, setting, torch.as_tensor(value) if setting in self._fixed else value)
            if self._check is not None:
                known = signature(self._check).parameters
                self._check(**{n: x for n, x in values.items() if n in known})
        except (TypeError, ValueError, RuntimeError) as error:
            better = diagnosis(type(self), (), values, error)
            if better is None:
                raise
            raise better from error

    def forward(self, *inputs: Any, **batch: Any) -> Tensor:
        """Compute the loss of a batch from the function's arrays and the keywords that belong to a batch."""
        for name in batch:
            if name not in (*self._inputs, *self._of_a_batch):
                raise TypeError(
                    f"{name} is a setting of {type(self).__name__} or unknown to it; a call takes "
                    f"{', '.join((*self._inputs, *self._of_a_batch))}"
                )
        return self._called(*inputs, **batch)
