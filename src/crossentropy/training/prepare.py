"""Split and encode the rows of a table, once for all trainings of a command."""

import json
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from crossentropy.training.data import Dataset
from crossentropy.training.errors import InputError
from crossentropy.training.labels import class_array
from crossentropy.training.options import Options
from crossentropy.training.other_table import Rows
from crossentropy.training.runs.model import Model
from crossentropy.training.split import Split, stratified_split
from crossentropy.training.tables.encoder import ColumnEncoder
from crossentropy.training.tables.repeats import repeats_of_training


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


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be trained on, whatever the loss and the network.

    Attributes
    ----------
    dataset : Dataset
    split : Split
        Its parts; the last one is empty if the held-out rows are from another table.
    encoder : ColumnEncoder
        Fitted on the training rows.
    training, validation : Encoded
    held_out : Rows
        The held-out rows, each with a label.
    digest : str
        Of the labels and the predictors of the table.
    notices : list of str
        Remarks to the user on the table, the split, and how columns become inputs.
    earlier : Model, optional
        Of a run that goes on.
    """

    dataset: Dataset
    split: Split
    encoder: ColumnEncoder
    training: Encoded
    validation: Encoded
    held_out: Rows
    digest: str
    notices: list[str]
    earlier: Model | None


def prepare(
    dataset: Dataset, options: Options, *, held_out: Rows | None = None, earlier: Model | None = None
) -> Prepared:
    """Split a table as the options say, and encode it by what the training rows hold.

    Parameters
    ----------
    dataset : Dataset
        As `load_dataset` reads it.
    options : Options
    held_out : Rows, optional
        The rows to score on, all with labels; by default a part of `dataset`.
    earlier : Model, optional
        Of a run with the same data and options, which goes on with its own encoder.

    Raises
    ------
    InputError
        If a class has too few rows, or the earlier run was made from something else or with other options.
    """
    digest = _digest(dataset)
    if earlier is not None:
        earlier.check_same(options, digest)
    shares = options.split if held_out is None else (*options.split[:2], 0.0)
    split = stratified_split(dataset.labels, dataset.classes, options.seed, shares)
    if held_out is None:
        held_out = Rows(dataset.features, dataset.labels, dataset.rows, dataset.ids).take(split.test)
    labels = held_out.labels
    if labels is None or not len(labels) or (labels < 0).any():
        raise InputError("There have to be held-out rows, and each needs a label.")
    encoder = ColumnEncoder().fit(dataset.features.iloc[split.train]) if earlier is None else earlier.encoder
    return Prepared(
        dataset,
        split,
        encoder,
        _encode(encoder, dataset, split.train),
        _encode(encoder, dataset, split.validation),
        held_out,
        digest,
        [
            *dataset.notices,
            *repeats_of_training(dataset.features, dataset.labels, split.train, held_out.features, labels),
            *encoder.notices_,
        ],
        earlier,
    )


def _encode(encoder: ColumnEncoder, dataset: Dataset, rows: np.ndarray) -> Encoded:
    """Encode the rows with these numbers."""
    values = class_array(dataset.classes)
    return Encoded(encoder.transform(dataset.features.iloc[rows]), values[dataset.labels[rows]])


def _digest(dataset: Dataset) -> str:
    """Digest the labels, what is known of the columns, and the predictors of each row.

    The split is by the place of a row. In a table in another order, rows that were trained on would be held out.
    """
    columns = json.dumps([fate.to_json() for fate in dataset.fates])
    of_rows = pd.util.hash_pandas_object(dataset.features, index=False).to_numpy()
    return sha256(dataset.labels.tobytes() + columns.encode() + of_rows.tobytes()).hexdigest()
