"""A fitted model with all that is needed to apply it, as plain values and tensors and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

import crossentropy
from crossentropy.sklearn import CrossEntropyClassifier
from crossentropy.training.errors import InputError
from crossentropy.training.labels import Class
from crossentropy.training.options import Options
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.options import ReadOptions

#: of ``model.pt``; a file without a number is of format 1
FORMAT = 2
ROWS_AT_ONCE = 1 << 16
#: options that may change when a run goes on; what the options of reading make of a table is in the digest
FREE = ("data", "test", "reading", "epochs", "patience", "device", "correct_weights")


@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes
    ----------
    encoder : ColumnEncoder
        From the columns of a table to inputs.
    classifier : CrossEntropyClassifier
        From inputs to probabilities.
    fates : list of Fate
        What became of each column of the table that was trained on.
    classes : list
        The classes, sorted, as plain Python values.
    options : dict
        The options of the run as values of JSON.
    digest : str
        Of the labels and the predictors of the table.
    """

    encoder: ColumnEncoder
    classifier: CrossEntropyClassifier
    fates: list[Fate]
    classes: list[Class]
    options: dict[str, Any]
    digest: str

    @property
    def pipeline(self) -> Pipeline:
        """Encoder and classifier together."""
        return Pipeline([("columns", self.encoder), ("classifier", self.classifier)])

    @property
    def weighs_classes(self) -> bool:
        """Whether the classes have different weights in the loss."""
        return bool(np.ptp(self.classifier.class_weight_) > 0)

    @property
    def reading(self) -> ReadOptions:
        """How the table was read."""
        told = self.options["reading"]
        choices: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in told.items()}
        return ReadOptions(**choices)

    def log_probabilities(
        self, features: pd.DataFrame, on_rows: Callable[[int], None] = lambda rows: None
    ) -> np.ndarray:
        """Compute the log-probabilities (rows, classes) of rows in nats, float64.

        The inputs of `ROWS_AT_ONCE` rows are in memory at once; then `on_rows` is called with the rows done so far.
        """
        n = len(features)
        found = np.zeros((n, len(self.classifier.classes_)))
        for start in range(0, n, ROWS_AT_ONCE):
            part = slice(start, min(start + ROWS_AT_ONCE, n))
            found[part] = self.pipeline.predict_log_proba(features.iloc[part])
            on_rows(part.stop)
        return found

    def to_state(self) -> dict[str, Any]:
        """Return plain values and tensors: what `torch.save` writes and ``torch.load(weights_only=True)`` reads.

        All but the tensors in ``classifier`` could be written as JSON.
        """
        return {
            "format": FORMAT,
            "crossentropy": crossentropy.__version__,
            "columns": [fate.to_json() for fate in self.fates],
            "encoder": self.encoder.to_state(),
            "classifier": self.classifier.to_state(resume=True),
            "options": self.options,
            "digest": self.digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Model":
        """Make the model whose `to_state` this is."""
        return cls(
            ColumnEncoder.from_state(state["encoder"]),
            CrossEntropyClassifier.from_state(state["classifier"]),
            [Fate.from_json(fate) for fate in state["columns"]],
            state["classifier"]["classes"],
            state["options"],
            state["digest"],
        )

    def check_same(self, options: Options, digest: str) -> None:
        """Raise InputError unless a run with these options and this table may go on from this model.

        Raises
        ------
        InputError
            With what differs.
        """
        now = options.to_json()
        differences = [
            f"--{name.replace('_', '-')} {self.options[name]}, not {now[name]}"
            for name in now
            if name not in FREE and self.options.get(name) != now[name]
        ]
        if digest != self.digest:
            differences.append("another table")
        if differences:
            raise InputError(
                f"--resume: the run was made with {'; '.join(differences)}. Pass what it was made with; only --epochs, "
                "--patience, --device and --correct-weights may change."
            )
