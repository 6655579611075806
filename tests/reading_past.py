"""A library whose products read past the ends of rows, as oneDNN's do on Intel's AMX.

There a product takes the rows of its left operand in pieces of 32 numbers along the sum, the last one from whatever
follows the row: a gap, or the next row, but nothing behind the operand. Those numbers are multiplied by 0. This
library does the same on either side, up to the next multiple of 64, whatever the dtype.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

torch = pytest.importorskip("torch")

REACH = 64


@contextmanager
def products_that_read_past_rows() -> Iterator[list[tuple[int, ...]]]:
    """PyTorch with this library; gives the shapes of what is multiplied."""
    library, shapes = torch.library.Library("aten", "IMPL"), []

    def found(x: Any, y: Any) -> Any:
        shapes.append((*x.shape, y.shape[-1]))
        x, y = x.detach(), y.detach()
        exact = torch.from_numpy(x.double().numpy() @ y.double().numpy())
        return exact + _behind(x)[..., None] + _behind(y.mT)[..., None, :]

    def product(x: Any, y: Any) -> Any:
        return found(x, y).to(x.dtype)

    def product_into(x: Any, y: Any, *, out: Any) -> Any:
        return out.copy_(found(x, y))

    def sum_of(total: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1) -> Any:
        return (beta * total.double() + alpha * found(x, y)).to(x.dtype)

    def sum_into(total: Any, x: Any, y: Any, *, beta: float = 1, alpha: float = 1, out: Any = None) -> Any:
        return (total if out is None else out).copy_(beta * total.double() + alpha * found(x, y))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that these are there already
        for name in ("mm", "bmm"):
            library.impl(name, product, "CPU")
            library.impl(f"{name}.out", product_into, "CPU")
        for name in ("addmm", "baddbmm"):
            library.impl(name, sum_of, "CPU")
            library.impl(f"{name}_", sum_into, "CPU")
            library.impl(f"{name}.out", sum_into, "CPU")
    try:
        yield shapes
    finally:
        library._destroy()


def _behind(x: Any) -> Any:
    """For every row, 0 times what is read past its end: a sum of zeros, or NaN."""
    if x.ndim == 3:
        return torch.stack([_behind(one) for one in x]) if len(x) else x.new_zeros(x.shape[:2])
    (n, k), (row, step) = x.shape, x.stride()
    if step != 1 or not n:  # rows that are not in one piece are copied first
        return torch.zeros(n, dtype=torch.float64)
    memory = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage())
    end = min(x.storage_offset() + (n - 1) * row + max(k, row), len(memory))
    places = x.storage_offset() + row * torch.arange(n)[:, None] + torch.arange(k, k + -k % REACH)
    read = memory[places.clamp(max=end - 1)].double()
    return (torch.where(places < end, read, 0) * 0).sum(1)
