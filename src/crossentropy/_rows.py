"""Rows of an array along its class axis: the axis, the rows' shape, and the place of a row or an entry in words."""

from collections.abc import Sequence


def class_axis(axis: int, shape: Sequence[int], name: str) -> int:
    """Count `axis` of the array `name` from 0; an array without axes counts as one of a single axis.

    >>> class_axis(-1, (2, 3), "logits")
    1
    """
    ndim = max(len(shape), 1)
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"axis is {axis}, but {name} of shape {tuple(shape)} have axes {-ndim} to {ndim - 1}"
        )
    return axis % ndim


def rows_shape(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """Remove the class axis, counted from 0, from a shape.

    >>> rows_shape((2, 3, 4), 1)
    (2, 4)
    """
    return (*shape[:axis], *shape[axis + 1 :])


def row_in_words(row: Sequence[int]) -> str:
    """Name the row at these indices.

    >>> row_in_words((3,)), row_in_words((0, 2)), row_in_words(())
    ('row 3', 'row (0, 2)', 'the only row')
    """
    if not row:
        return "the only row"
    return f"row {row[0] if len(row) == 1 else tuple(row)}"


def entry_in_words(name: str, place: Sequence[int]) -> str:
    """Name the entry at these indices of the array `name`; the array itself if it has no axes.

    >>> entry_in_words("labels", (0, 2)), entry_in_words("labels", ())
    ('labels[0, 2]', 'labels')
    """
    return f"{name}[{', '.join(map(str, place))}]" if place else name
