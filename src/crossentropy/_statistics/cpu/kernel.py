"""The native row kernels, called on arrays of any framework that lie in the CPU's memory."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

from crossentropy._backends import Array
from crossentropy._kernels import _native
from crossentropy._rows import rows_shape
from crossentropy._statistics.cpu.memory import Memory
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Gradients,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
    statistic_names,
)

PLANES = tuple(f.name for f in fields(RowStatistics) if f.name != "bad_row")
NO_TRANSFORM = _native.Transform()
NO_PRIOR = _native.Prior()


class Layout(NamedTuple):
    """An array seen as (outer, class, inner), with its strides in elements."""

    array: Array
    outer: int
    classes: int
    inner: int
    strides: tuple[int, int, int]

    def view(self, memory: type[Memory]) -> _native.View:
        """Describe the array for the native kernels."""
        return _native.View(memory.address(self.array), memory.codes[self.array.dtype], *self.strides)


def lay_out(memory: type[Memory], x: Array, axis: int) -> Layout:
    """Flatten the axes before and behind `axis` into one each; a copy is made only where strides forbid that."""
    shape, strides = tuple(x.shape), memory.strides(x)
    if 0 in shape:  # an empty array's strides are arbitrary
        strides = (0,) * len(shape)
    if len(shape) == 2 and axis == 1:  # rows of a matrix, the common case
        return Layout(x, shape[0], shape[1], 1, (strides[0], strides[1], 0))
    as_one = []
    for axes in (range(axis - 1, -1, -1), range(len(shape) - 1, axis, -1)):  # from the fastest axis on
        size, stride = 1, 0
        for i in axes:
            n, s = shape[i], strides[i]
            if n == 1:
                continue
            if size > 1 and s != stride * size:
                return lay_out(memory, memory.contiguous(x), axis)
            stride = s if size == 1 else stride
            size *= n
        as_one.append((size, stride))
    (outer, outer_stride), (inner, inner_stride) = as_one
    return Layout(x, outer, shape[axis], inner, (outer_stride, strides[axis], inner_stride))


def lay_out_transform(
    memory: type[Memory], transform: Transform, wide: str
) -> tuple[_native.Transform, list[Array]]:
    """Lay out a transform for logits computed in the dtype `wide`; returns the arrays it has addresses of as well."""
    temperature, margin = transform.temperature, transform.margin
    by_row = getattr(temperature, "ndim", 0)
    by_class = getattr(margin, "ndim", 0)
    arrays = (temperature if by_row else None, transform.logit_bias, margin if by_class else None)
    kept, (temperatures, bias, margins) = memory.addressed(arrays, ("float64", wide, "float64"))
    scale = 1.0 if by_row else 1.0 / float(temperature)
    number = 0.0 if by_class else float(margin or 0.0)
    return _native.Transform(scale, temperatures, transform.softcap or 0.0, bias, number, margins), kept


class RowKernel:
    """A row problem laid out for the native kernels; it keeps every array alive whose address they hold."""

    __slots__ = (
        "_kept",
        "axis",
        "k",
        "layout",
        "memory",
        "prior",
        "shape",
        "target",
        "transform",
        "view",
        "wide",
    )

    def __init__(
        self,
        memory: type[Memory],
        logits: Array,
        axis: int,
        target: Target,
        transform: Transform,
        prior: Prior | None,
    ) -> None:
        self.memory, self.axis = memory, axis
        self.layout = lay_out(memory, logits, axis)
        self.view = self.layout.view(memory)
        self.shape = _native.Shape(self.layout.outer, self.layout.classes, self.layout.inner)
        self.wide = "float64" if memory.codes[logits.dtype] == 1 else "float32"
        self._kept: list[Array] = []
        self.k = 1
        self.target = self._target(target, axis)
        self.transform = NO_TRANSFORM
        if not transform.is_plain:
            self.transform, kept = lay_out_transform(memory, transform, self.wide)
            self._kept += kept
        self.prior = NO_PRIOR if prior is None else self._prior(prior)

    def _keep(self, x: Array, dtype: str) -> int:
        """Make `x` contiguous in `dtype`, keep it alive as long as this object, and return its address."""
        array = self.memory.contiguous(x, dtype)
        self._kept.append(array)
        return self.memory.address(array)

    def _target(self, target: Target, axis: int) -> _native.Target:
        """Lay out the target, labels as int64 and masks as bytes."""
        if target.indices is not None:
            if target.several:
                self.k = target.indices.shape[-1]
            ignore = target.ignore_index
            address = self._keep(target.indices, "int64")
            return _native.Target(address, self.k, ignore is not None, ignore or 0, target.foreign)
        weight = 0 if target.class_weight is None else self._keep(target.class_weight, self.wide)
        if target.mask is not None:
            mask = lay_out(self.memory, self.memory.contiguous(target.mask, "bool"), axis)
            self._kept.append(mask.array)
            return _native.Target(mask=_native.View(self.memory.address(mask.array), 0, *mask.strides))
        if target.dense is not None:
            dense = lay_out(self.memory, target.dense, axis)
            self._kept.append(dense.array)
            return _native.Target(dense=dense.view(self.memory), class_weight=weight)
        return _native.Target()

    def _prior(self, prior: Prior) -> _native.Prior:
        """Lay out the prior, with its sum."""
        if prior.values is None:
            return _native.Prior(True)
        values, total = self._keep(prior.values, self.wide), prior.total
        if (
            total is None
        ):  # summed from the values as rounded for the kernels, so that a row's gradient sums to zero
            total = float(self.memory.contiguous(self._kept[-1], "float64").sum())
        return _native.Prior(True, values, total)

    def _addresses(self, struct: Any, names: tuple[str, ...]) -> list[int]:
        """Return the addresses of named arrays, 0 for None."""
        address = self.memory.address
        return [0 if (x := getattr(struct, name)) is None else address(x) for name in names]

    def statistics(self, target: Target, rows: tuple[int, ...], requested: Requested) -> RowStatistics:
        """Run the forward kernel; `rows` is the shape of the rows."""
        empty, stats = self.memory.empty, RowStatistics()
        names = statistic_names(target, self.prior is not NO_PRIOR, requested)
        if target.several:
            stats.log_odds = empty((*rows, self.k), "float64")
        for name, plane in zip(names, self.memory.empty_stack(len(names), rows), strict=True):
            setattr(stats, name, plane)
        if requested.argmax:
            stats.argmax = empty(rows, "int64")
        if requested.rank:
            stats.rank = empty(rows, "int64")
        stats.bad_row = _native.row_statistics(
            self.view,
            self.shape,
            self.transform,
            self.target,
            self.prior,
            _native.Statistics(*self._addresses(stats, PLANES)),
            self.memory.threads(),
        )
        return stats

    def pullback(
        self,
        saved: RowStatistics,
        upstream: Cotangents,
        rows: tuple[int, ...],
        *,
        into: Array | None = None,
        dense: Array | None = None,
        scale: bool = False,
        target: bool = False,
        before_transform: bool = False,
    ) -> Gradients:
        """Run the backward kernel.

        Parameters
        ----------
        saved : RowStatistics
            The result of `statistics`.
        upstream : Cotangents
            Contiguous float64 arrays in the statistics' shapes.
        rows : tuple of int
            Shape of the rows.
        into : array, shape of the logits, optional
            Output for the gradient with respect to the logits; new memory if None.
        dense : array, shape of the logits, optional
            Output for the gradient with respect to a dense target; not computed if None.
        scale, target : bool
            Whether to compute the gradients with respect to 1/temperature and to ``u`` at the labels as well.
        before_transform : bool
            Whether `into` gets the gradient with respect to ``u`` in place of the logits.
        """
        memory = self.memory
        if into is None:
            into = memory.empty_like(self.layout.array, self.wide if before_transform else None)
        gradients = Gradients(
            logits=into,
            dense=dense,
            scale=memory.empty(rows, "float64") if scale else None,
            target=memory.empty((*rows, self.k), "float64") if target else None,
        )
        _native.row_pullback(
            self.view,
            self.shape,
            self.transform,
            self.target,
            self.prior,
            _native.Statistics(*self._addresses(saved, PLANES)),
            _native.Cotangents(*self._addresses(upstream, DIFFERENTIABLE)),
            _native.Gradients(
                self._output_view(into),
                None if dense is None else self._output_view(dense),
                scale=memory.address(gradients.scale) if scale else 0,
                target=memory.address(gradients.target) if target else 0,
                before_transform=before_transform,
            ),
            memory.threads(),
        )
        return gradients

    def curvature(self, upstream: Cotangents, v: Array, rows: tuple[int, ...]) -> tuple[Array, Cotangents]:
        """Differentiate ``v · pullback`` by the logits, and by the upstream gradients that there are.

        The target is one label at most, and there is no softcap.
        """
        memory = self.memory
        out = memory.empty_like(self.layout.array)
        tangents = Cotangents(
            **{
                name: memory.empty(rows, "float64")
                for name in DIFFERENTIABLE
                if getattr(upstream, name) is not None
            }
        )
        direction = lay_out(memory, v, self.axis)
        _native.row_curvature(
            self.view,
            self.shape,
            self.transform,
            self.target,
            self.prior,
            _native.Cotangents(*self._addresses(upstream, DIFFERENTIABLE)),
            direction.view(memory),
            self._output_view(out),
            _native.Cotangents(*self._addresses(tangents, DIFFERENTIABLE)),
            memory.threads(),
        )
        return out, tangents

    def _output_view(self, x: Array) -> _native.View:
        """Describe an output in the shape of the logits."""
        return lay_out(self.memory, x, self.axis).view(self.memory)


def are_probabilities(memory: type[Memory], x: Array, axis: int) -> bool:
    """Tell whether every row along `axis` lies in [0, 1] and sums to 1 within 1e-3; stops at the first misfit."""
    layout = lay_out(memory, x, axis)
    return _native.are_probabilities(
        layout.view(memory), _native.Shape(layout.outer, layout.classes, layout.inner)
    )


def rows_with_any(memory: type[Memory], mask: Array, axis: int) -> Array:
    """Find the rows of a mask with a true entry along `axis`; reading a row stops at its first."""
    layout = lay_out(memory, memory.contiguous(mask, "bool"), axis)
    view = _native.View(memory.address(layout.array), 0, *layout.strides)
    shape = _native.Shape(layout.outer, layout.classes, layout.inner)
    result = memory.empty(rows_shape(mask.shape, axis), "bool")
    _native.rows_with_any(view, shape, memory.address(result), memory.threads())
    return result
