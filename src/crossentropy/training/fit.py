"""Split and encode the rows of a run, train its classifier, and say what is wrong if it diverges."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from crossentropy.sklearn import CrossEntropyClassifier, DivergenceError, Epoch
from crossentropy.training.class_weights import of_classes
from crossentropy.training.data import Dataset
from crossentropy.training.errors import DivergedError, InputError
from crossentropy.training.interrupts import interrupts
from crossentropy.training.labels import Class, class_array
from crossentropy.training.options import Options
from crossentropy.training.split import Split, stratified_split
from crossentropy.training.tables.encoder import ColumnEncoder


class _StoppedError(Exception):
    """The user has stopped the training."""


@dataclass(frozen=True)
class Encoded:
    """Rows as a classifier takes them.

    Attributes
    ----------
    inputs : numpy.ndarray (rows, inputs), float32
    labels : numpy.ndarray (rows,)
        Classes, not their indices.
    """

    inputs: np.ndarray
    labels: np.ndarray


def split_of(dataset: Dataset, options: Options, *, with_held_out: bool) -> Split:
    """Split the rows of a run, without a held-out part if the held-out rows are from another table."""
    shares = options.split if with_held_out else (*options.split[:2], 0.0)
    return stratified_split(dataset.labels, dataset.classes, options.seed, shares)


def encode(encoder: ColumnEncoder, dataset: Dataset, rows: np.ndarray) -> Encoded:
    """Encode the rows with these numbers."""
    values = class_array(dataset.classes)
    return Encoded(encoder.transform(dataset.features.iloc[rows]), values[dataset.labels[rows]])


def make_classifier(options: Options, classes: list[Class]) -> CrossEntropyClassifier:
    """Make the classifier of a run, not yet trained."""
    return CrossEntropyClassifier(
        options.loss,
        options.hidden,
        dropout=options.dropout,
        class_weight=of_classes(options.class_weight, classes),
        correct_weights=options.correct_weights,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        batch_size=options.batch,
        epochs=options.epochs,
        early_stopping=True,
        select=options.select,
        patience=options.patience,
        device=options.device,
        random_state=options.seed,
    )


def fit_classifier(
    classifier: CrossEntropyClassifier,
    train: Encoded,
    validation: Encoded,
    on_epoch: Callable[[Epoch], None],
    on_notice: Callable[[str], None],
) -> bool:
    """Train a classifier; tell whether the user has stopped it.

    Raises
    ------
    DivergedError
        If the loss is no longer finite.
    InputError
        If the classifier cannot be trained with these options.
    """
    with interrupts(on_notice) as stop_asked, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a remark of the report says it

        def callback(_: CrossEntropyClassifier, epoch: Epoch) -> None:
            on_epoch(epoch)
            if stop_asked():
                raise _StoppedError

        classifier.set_params(callback=callback)
        try:
            classifier.fit(train.inputs, train.labels, X_val=validation.inputs, y_val=validation.labels)
        except _StoppedError:
            return True
        except DivergenceError as error:
            # no cell is to blame: `ColumnEncoder` brings extreme ones near the others
            raise DivergedError(
                f"The training diverged in epoch {classifier.n_iter_ + 1}: the loss is no longer a finite number. Pass "
                f"a smaller --learning-rate than {classifier.learning_rate:g}."
            ) from error
        except ValueError as error:
            raise InputError(f"The classifier cannot be trained: {error}.") from error
        finally:
            classifier.set_params(callback=None)
    return False
