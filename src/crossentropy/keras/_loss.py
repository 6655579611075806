"""The base of the losses: Keras's own, but that labels are not cast and that sums are in float32 or wider."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from crossentropy._arguments.errors import keywords, unknown_keyword
from crossentropy._backends import Array
from crossentropy.keras._config import decoded, encoded
from crossentropy.keras._tensors import aligned, as_labels, as_predictions

__all__ = ["NamedLoss", "RowLoss"]


class RowLoss(keras.losses.Loss):
    """A loss of rows, reduced as Keras reduces it; `arguments` are what its configuration holds besides Keras's own.

    Keras casts ``y_true`` to the loss's dtype, in which a label of 257 can be 256, and adds up in it. Here labels keep
    their dtype, rows are added up in float32 or wider, and the result is cast.
    """

    #: AutoGraph calls it as it is, unconverted.
    autograph_info__ = None

    def __init__(
        self, reduction: str | None, name: str | None, dtype: Any, arguments: dict[str, Any]
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.arguments = arguments

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        value = _OfLabels(self, y_true)((), y_pred, sample_weight)
        return ops.cast(value, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes the same loss of."""
        config = {**super().get_config(), **{name: encoded(x, name) for name, x in self.arguments.items()}}
        return config if self.dtype == keras.config.floatx() else {**config, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RowLoss":
        """Make the loss of a configuration."""
        return cls(**{name: decoded(x) for name, x in config.items()})


class _OfLabels(keras.losses.Loss):
    """A loss of given labels, for one call."""

    def __init__(self, loss: RowLoss, y_true: Any) -> None:
        wide = "float64" if loss.dtype == "float64" else "float32"
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=wide)
        self.loss, self.y_true = loss, y_true

    def call(self, _: Any, y_pred: Any) -> Array:
        return self.loss.call(self.y_true, y_pred)


class NamedLoss(RowLoss):
    """A loss of Keras's name: a function of ``(y_true, y_pred, **arguments)``, each argument an attribute.

    `options` are those of the arguments that Keras does not have.
    """

    def __init__(
        self,
        function: Callable[..., Array],
        reduction: str | None,
        name: str | None,
        dtype: Any,
        options: dict[str, Any],
        **arguments: Any,
    ) -> None:
        known = keywords(function)
        for option in options:
            if option not in known:
                own = {name: x for name, x in known.items() if name not in ("y_true", "y_pred")}
                raise unknown_keyword(type(self).__name__, own, option)
        arguments |= options
        super().__init__(reduction, name, dtype, arguments)
        self.__dict__.update(arguments)
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Array:
        """Return the loss of every row."""
        y_true, y_pred = aligned(as_labels(y_true), as_predictions(y_pred))
        return self._function(y_true, y_pred, **self.arguments)
