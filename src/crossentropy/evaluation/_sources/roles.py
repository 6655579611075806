"""What the columns of a table hold, and the classes, which may follow from names of columns and from labels."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossentropy._arguments.words import listed
from crossentropy.evaluation._declaration import Label
from crossentropy.evaluation._scoring import Columns, Request
from crossentropy.evaluation._sources.columns import NamedColumns, as_names, by_class, find_columns
from crossentropy.evaluation._sources.convert import Roles, is_list, refuse_others
from crossentropy.evaluation._sources.labels import (
    classes_of_columns,
    classes_of_labels,
    kind_of,
    single,
    typed,
)
from crossentropy.evaluation._sources.table import Piece, Table

__all__ = ["TableRoles", "find_roles"]


@dataclass(frozen=True)
class TableRoles:
    """The columns of a table, found by their names; `roles` has them in the order of the table."""

    table: Table
    predictions: NamedColumns
    labels: NamedColumns
    roles: Roles

    def in_order(self, classes: tuple[Label, ...]) -> Roles:
        """Return the roles with predictions, and soft labels, in the order of the classes."""
        predictions, labels = (
            by_class(columns, classes, self.table) if len(columns.names) > 1 else columns.names
            for columns in (self.predictions, self.labels)
        )
        return replace(self.roles, predictions=predictions, labels=labels, classes=classes)

    def with_classes(self, request: Request, piece: Piece, *, typed_classes: bool) -> Request:
        """Return the request with its classes, from the first rows of the table if they are not given."""
        column = piece.rows.column(self.labels.names[0])
        if not request.soft_labels:
            single(column, self.labels.names[0], "labels that are distributions need soft_labels=True")
        kind = "int" if request.soft_labels else kind_of(column, is_text=self.table.is_text)
        classes, positive = request.classes, request.positive
        if not typed_classes:
            classes = classes if classes is None else typed([str(x) for x in classes], kind)
            positive = positive if positive is None else typed([str(positive)], kind)[0]
        if classes is None:
            predictions = piece.rows.column(self.predictions.names[0])
            classes = self._found_classes(request, predictions, column, kind, positive)
        return replace(request, classes=tuple(classes), positive=positive)

    def _found_classes(
        self, request: Request, predictions: pa.Array, labels: pa.Array, kind: str, positive: Label | None
    ) -> tuple[Label, ...]:
        names, parts = self.predictions.names, self.predictions.parts
        if len(names) > 1:
            if request.soft_labels:
                return typed(parts, "int")
            found = classes_of_columns(parts, kind, by_pattern=self.predictions.by_pattern)
            return tuple(range(len(names))) if found is None else found
        if is_list(predictions.type):
            if kind == "text":
                raise ValueError(
                    f"the labels are names, {listed(labels.unique().to_pylist())}; pass classes=, the label of each "
                    f"place in the lists of column {names[0]!r}"
                )
            lengths = np.asarray(pc.list_value_length(predictions).fill_null(0))
            return tuple(range(int(np.bincount(lengths).argmax())))
        refuse_others(names[0], predictions.type, self.table)
        if request.soft_labels:
            return (0, 1)
        return classes_of_labels(labels, kind, positive)


def find_roles(table: Table, names: Columns, request: Request) -> TableRoles:
    """Find the columns of a table.

    Parameters
    ----------
    table : Table
    names : Columns
        A name, a list of names, or a pattern for each.
    request : Request
    """

    def find(name: Any, argument: str) -> NamedColumns:
        return find_columns(as_names(name, argument), table)

    def find_one(name: Any, argument: str) -> str | None:
        if name is None:
            return None
        found = find(name, argument).names
        if len(found) > 1:
            raise ValueError(f"{argument} is {name!r}, which names {len(found)} columns; pass one column")
        return found[0]

    predictions, labels = find(names.predictions, request.kind), find(names.labels, "labels")
    if len(labels.names) > 1 and not request.soft_labels:
        raise ValueError(
            f"labels has {len(labels.names)} columns, {listed(labels.names)}; pass one column, or soft_labels=True if "
            "they are distributions"
        )
    both = [name for name in labels.names if name in predictions.names]
    if both:
        raise ValueError(
            f"column {both[0]!r} of {table.words()} has the labels, and {request.kind}= names it as a prediction too; "
            "pass the columns of predictions alone"
        )
    roles = Roles(
        predictions.names,
        labels.names,
        weight=find_one(names.weight, "weight"),
        cluster=find_one(names.cluster, "cluster"),
        key=find_one(names.key, "key"),
        slices={name: find_one(name, "slice") or name for name in names.slices},
        soft=request.soft_labels,
    )
    return TableRoles(table, predictions, labels, roles)
