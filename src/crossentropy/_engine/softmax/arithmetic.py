"""The operations in which losses combined from statistics differ between the CPU's memory and other devices."""

from collections.abc import Callable
from typing import Any, NamedTuple

from crossentropy._backends import Array
from crossentropy._engine.softmax import terms as formula
from crossentropy._engine.softmax.problem import SoftmaxProblem
from crossentropy._kernels import _native
from crossentropy._statistics import RowStatistics
from crossentropy._statistics.cpu.kernel import RowKernel
from crossentropy._statistics.cpu.memory import Memory
from crossentropy.links.cross_entropy import focal_gamma


class Arithmetic(NamedTuple):
    """The kernel of rows, ``φ`` and ``dφ/dD`` at the targets, and the sum of an array of rows: a float, or 0-d."""

    kernel: Callable[..., Any]
    link: Callable[[SoftmaxProblem, RowStatistics], tuple[Array, Array]]
    total: Callable[[Array], Any]


def link_by_formula(problem: SoftmaxProblem, stats: RowStatistics) -> tuple[Array, Array]:
    """``φ`` and ``dφ/dD`` at the targets."""
    return formula.target_losses(problem, stats), formula.target_slope(problem, stats)


def on_host(memory: type[Memory]) -> Arithmetic:
    """The arithmetic of the CPU: native for sums, and for links whose rows must not depend on their place."""

    def link(problem: SoftmaxProblem, stats: RowStatistics) -> tuple[Array, Array]:
        gamma, D = focal_gamma(problem.link), stats.log_odds
        if gamma is None:
            return link_by_formula(problem, stats)
        loss, slope = memory.empty_stack(2, tuple(D.shape))
        address = memory.address
        _native.focal_rows(address(D), _size(D), gamma, address(loss), address(slope), memory.threads())
        return loss, slope

    def total(x: Array) -> float:
        x = memory.contiguous(x, "float64")
        return _native.sum_of_rows(memory.address(x), _size(x))

    return Arithmetic(lambda *problem: RowKernel(memory, *problem), link, total)


def _size(x: Array) -> int:
    n = 1
    for size in x.shape:
        n *= size
    return n
