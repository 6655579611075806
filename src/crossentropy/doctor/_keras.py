"""Watch the training of a Keras model."""

from typing import Any

from crossentropy._arguments.arrays import as_numpy
from crossentropy._arguments.errors import argument_errors, integer

__all__ = ["watch_keras"]


@argument_errors
def watch_keras(x: Any, y: Any, *, steps: int = 100) -> Any:
    """Return a Keras callback that looks at some rows during `fit`, and reports what is wrong with the loss.

    Keras compiles its training step on most backends, and gives a callback neither predictions nor gradients. So the
    rows that are passed here are predicted with ``training=False`` three times: before the first batch, halfway, and
    after `steps` batches, or at the end of `fit` if that comes first. They are read as the compiled loss reads them:
    with its ``from_logits``, ``axis`` and ``ignore_class``. The training is not changed.

    Parameters
    ----------
    x : array, or list or dict of arrays
        Inputs of the model for some rows, as `fit` gets them. 100 rows or more are needed to see whether it learns.
    y : array
        The labels of these rows, as `fit` gets them.
    steps : int, default 100
        How many batches are watched.

    Returns
    -------
    keras.callbacks.Callback
        Its attribute ``report`` is a `Report`, with values in nats. It is empty until training begins.

    Raises
    ------
    ValueError
        If `steps` is below 1.
    TypeError
        If `steps` is no integer, or `y` does not hold numbers.
    ImportError
        If Keras is not installed.

    Examples
    --------
    >>> import keras
    >>> import numpy as np
    >>> from crossentropy import doctor
    >>> r = np.random.default_rng(0)
    >>> x, y = r.normal(size=(200, 4)).astype("float32"), r.integers(3, size=200)
    >>> model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> watched = doctor.watch_keras(x, y)
    >>> history = model.fit(x, y, callbacks=[watched], verbose=0)
    >>> watched.report[0].name, round(watched.report[0].evidence["floor_of_the_loss"], 4)
    ('softmax_twice', 0.5514)
    """
    if integer(steps, "steps") < 1:
        raise ValueError(f"steps is {steps}; pass the number of batches to watch, 1 or more")
    labels = as_numpy(y, "y")
    try:
        from crossentropy.doctor._keras_callback import Watch
    except ImportError as error:
        raise ImportError(
            'watch_keras needs Keras; install it with pip install "crossentropy[keras]", and one of its backends'
        ) from error
    return Watch(x, labels, steps)
