"""Decide what becomes of each predictor column."""

import pyarrow as pa

from crossentropy.training.tables.columns import Column, describe_column
from crossentropy.training.tables.fates import Fate
from crossentropy.training.tables.identify import names_rows, why_no_predictor
from crossentropy.training.tables.options import ReadOptions
from crossentropy.training.tables.raw import RawTable


def describe_predictors(
    table: RawTable, label: str, options: ReadOptions
) -> tuple[dict[str, Column], dict[str, pa.ChunkedArray], list[Fate]]:
    """Convert predictors, and say of each column, the label left out, what becomes of it.

    The columns of `table` are taken out of it as they are converted, so that both are not in memory at once.

    Returns
    -------
    columns : dict
        The predictors.
    ids : dict
        The columns that name the rows, as they were read.
    fates : list of Fate
        Of all columns but the label, in their order.
    """
    columns: dict[str, Column] = {}
    ids: dict[str, pa.ChunkedArray] = {}
    fates = []
    for name in [name for name in table.columns if name != label]:
        values: pa.ChunkedArray = table.columns.pop(name)
        if name in options.ids:
            ids[name] = values
            fates.append(Fate(name, "id", ("chosen by --id",)))
            continue
        if name in options.drop:
            fates.append(Fate(name, "dropped", ("chosen by --drop",)))
            continue
        column = describe_column(values, table.decimal, as_text=name in options.texts)
        reason = why_no_predictor(name, column, name in table.unnamed)
        kept = name in options.keep and column.kind != "none"
        if reason and not kept:
            use = "dropped"
            if names_rows(name, column):
                ids[name], use = values, "id"
            fates.append(Fate(name, use, (reason, *column.remarks), column.distinct, column.missing))
            continue
        columns[name] = column
        remarks = (*((f"kept although {reason}",) if reason else ()), *column.remarks)
        fates.append(Fate(name, column.kind, remarks, column.distinct, column.missing, column.form))
    return columns, ids, fates
