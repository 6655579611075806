"""Train the classifier of a run, and say what is wrong if it diverges."""

import warnings
from collections.abc import Callable

from sklearn.exceptions import ConvergenceWarning

from crossentropy.sklearn import CrossEntropyClassifier, DivergenceError, Epoch
from crossentropy.training.class_weights import of_classes
from crossentropy.training.errors import DivergedError, InputError, memory_errors
from crossentropy.training.interrupts import interrupts
from crossentropy.training.labels import Class
from crossentropy.training.options import Options, listed_widths
from crossentropy.training.prepare import Prepared


class _StoppedError(Exception):
    """The user has stopped the training."""


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
    prepared: Prepared,
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
    no_memory = (
        "The memory is not enough for the network and its batches: pass a smaller --hidden than "
        f"{listed_widths(tuple(classifier.hidden))}, or a smaller --batch than {classifier.batch_size}."
    )
    with interrupts(on_notice) as stop_asked, warnings.catch_warnings(), memory_errors(no_memory):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a remark of the report has it

        def callback(_: CrossEntropyClassifier, epoch: Epoch) -> None:
            on_epoch(epoch)
            if stop_asked():
                raise _StoppedError

        classifier.set_params(callback=callback)
        try:
            classifier.fit(
                prepared.training.inputs,
                prepared.training.labels,
                X_val=prepared.validation.inputs,
                y_val=prepared.validation.labels,
            )
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
