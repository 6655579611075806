"""The error of a loss expression."""


class LossExpressionError(ValueError):
    """A loss expression that cannot be read or trained with; its message is shown to the user unchanged."""
