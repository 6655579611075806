"""The row kernels for CUDA, called on PyTorch tensors; the twin of `crossentropy._statistics.cpu.kernel`."""

from typing import Any

import torch
import triton
from torch import Tensor

from crossentropy._kernels.triton.launch import blocks, launch
from crossentropy._kernels.triton.row_pullback import row_pullback
from crossentropy._kernels.triton.row_statistics import row_statistics
from crossentropy._statistics.cpu.kernel import PLANES, Layout, lay_out
from crossentropy._statistics.cpu.memory_torch import TorchMemory
from crossentropy._statistics.problem import (
    DIFFERENTIABLE,
    Cotangents,
    Gradients,
    Prior,
    Requested,
    RowStatistics,
    Target,
    Transform,
)
from crossentropy._statistics.torch.problem import empty_statistics

WIDE = {torch.float64: torch.float64}  # the dtype of the arithmetic; float32 for every other input
TRITON_DTYPES = {torch.float32: triton.language.float32, torch.float64: triton.language.float64}
SAVED = ("log_odds", "top", "rest", "set_top", "set_rest", "lift", "dense_total", "entropy")
NO_STRIDES = (0, 0, 0)


class RowKernel:
    """A row problem laid out for the Triton kernels; it keeps every tensor alive that they read.

    Nothing here waits for the device, so a label outside the classes gives NaN and no error.
    """

    __slots__ = ("arguments", "axis", "block", "k", "layout", "prior", "wide")

    def __init__(
        self, logits: Tensor, axis: int, target: Target, transform: Transform, prior: Prior | None
    ) -> None:
        self.axis, self.prior = axis, prior
        self.layout = layout = self._rows(logits)
        self.wide = WIDE.get(logits.dtype, torch.float32)
        has_masses = target.mask is not None or target.dense is not None
        self.block = blocks(
            layout.inner, layout.classes, *layout.strides[1:], self.wide.itemsize * (1 + has_masses)
        )
        self.k = target.indices.shape[-1] if target.indices is not None and target.several else 1
        self.arguments: dict[str, Any] = {
            "logits": layout.array,
            **_strides("", layout.strides),
            "classes": layout.classes,
            "inner": layout.inner,
            "k": self.k,
            "KPAD": triton.next_power_of_2(max(self.k, 1)),
            **self._masses(target),
            **options(target, transform, prior, logits.dtype, logits.device),
        }

    def _rows(self, x: Tensor) -> Layout:
        """Lay out a tensor in the shape of the logits."""
        return _rows_of_matrix(lay_out(TorchMemory, x.detach(), self.axis))

    def _masses(self, target: Target) -> dict[str, Any]:
        """Return the arguments of a target in the shape of the logits, a set or a soft one."""
        mask, dense, weight = target.mask, target.dense, target.class_weight
        if mask is not None:
            mask = self._rows(TorchMemory.contiguous(mask, "bool").view(torch.uint8))
        if dense is not None:
            dense = self._rows(dense)
        masses = mask or dense
        return {
            "mask": mask and mask.array,
            "dense": dense and dense.array,
            **_strides("masses_", NO_STRIDES if masses is None else masses.strides),
            "class_weight": None if weight is None else _beside(weight, self.wide, self.layout.array.device),
        }

    def statistics(self, target: Target, rows: tuple[int, ...], requested: Requested) -> RowStatistics:
        """Run the forward kernel; `rows` is the shape of the rows."""
        stats = empty_statistics(target, self.prior is not None, requested, rows, self.layout.array.device)
        outputs = {f"{name}_plane": getattr(stats, name) for name in PLANES}
        self._launch(row_statistics, outputs | {"FOREIGN": target.foreign})
        return stats

    def pullback(
        self,
        saved: RowStatistics,
        upstream: Cotangents,
        rows: tuple[int, ...],
        *,
        into: Tensor | None = None,
        dense: Tensor | None = None,
        scale: bool = False,
        target: bool = False,
        before_transform: bool = False,
    ) -> Gradients:
        """Run the backward kernel; the parameters are those of `crossentropy._statistics.cpu.kernel.RowKernel`."""
        if into is None:
            into = torch.empty_like(self.layout.array, dtype=self.wide if before_transform else None)
        gradients = Gradients(
            logits=into,
            dense=dense,
            scale=self._empty(rows) if scale else None,
            target=self._empty((*rows, self.k)) if target else None,
        )
        by_logits, by_dense = self._rows(into), None if dense is None else self._rows(dense)
        # For the log-odds of one label alone the pullback reads no log-partition.
        lone = self.arguments["indices"] is not None and self.k == 1
        partial = lone and all(getattr(upstream, name) is None for name in DIFFERENTIABLE[1:])
        self._launch(
            row_pullback,
            {
                "prior_total": self._prior_total() if upstream.prior_term is not None else None,
                **{f"{name}_plane": getattr(saved, name) for name in SAVED},
                "lift_plane": None if partial else saved.lift,
                **{f"upstream_{name}": getattr(upstream, name) for name in DIFFERENTIABLE},
                "by_logits": by_logits.array,
                **_strides("into_", by_logits.strides),
                "by_dense": None if by_dense is None else by_dense.array,
                **_strides("by_dense_", NO_STRIDES if by_dense is None else by_dense.strides),
                "by_scale": gradients.scale,
                "by_target": gradients.target,
                "BEFORE_TRANSFORM": before_transform,
                "TEMPERED": self.arguments["scales"] is not None or self.arguments["scale"] != 1.0,
            },
        )
        return gradients

    def _prior_total(self) -> Tensor | None:
        """Return the prior's sum as a tensor on the device; None for the uniform prior, whose sum is 1."""
        values, total = self.arguments["prior"], None if self.prior is None else self.prior.total
        if values is None:
            return None
        if total is None:
            return values.sum(dtype=torch.float64)
        return torch.as_tensor(total, dtype=torch.float64, device=values.device)

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        """Allocate an uninitialized tensor on the device of the logits."""
        return torch.empty(shape, dtype=torch.float64, device=self.layout.array.device)

    def _launch(self, kernel: Any, outputs: dict[str, Any]) -> None:
        """Launch a row kernel with the problem's arguments and some more."""
        layout = self.layout
        launch(kernel, layout.outer, layout.inner, self.block, self.arguments | outputs, layout.array)


def options(
    target: Target, transform: Transform, prior: Prior | None, dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    """Return the arguments that kernels of rows and of heads share, for logits of this dtype on this device.

    They are the labels, the prior and the transform; temperatures become scales, 1/temperature.
    """
    wide = WIDE.get(dtype, torch.float32)
    temperature, margin, bias = transform.temperature, transform.margin, transform.logit_bias
    scales = 1.0 / _beside(temperature, torch.float64, device) if isinstance(temperature, Tensor) else None
    margins = _beside(margin, torch.float64, device) if isinstance(margin, Tensor) else None
    indices, values = target.indices, None if prior is None else prior.values
    return {
        "indices": None if indices is None else TorchMemory.contiguous(indices, "int64"),
        "ignore_index": None if indices is None else target.ignore_index,
        "prior": None if values is None else _beside(values, wide, device),
        "scale": 1.0 / temperature if scales is None else 1.0,
        "scales": scales,
        "scale_step": 0 if scales is None or scales.ndim == 0 else 1,
        "CAPPED": transform.softcap is not None,
        "softcap": transform.softcap or 0.0,
        "bias": None if bias is None else _beside(bias, wide, device),
        "MARGIN": margin is not None and (indices is not None or target.mask is not None),
        "margin": margin if margin is not None and margins is None else 0.0,
        "margins": margins,
        "margin_step": 0 if margins is None or margins.ndim == 0 else 1,
        "WIDE": TRITON_DTYPES[wide],
    }


def _beside(x: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Convert `x` to a contiguous tensor of `dtype` on `device`."""
    x = x.detach() if isinstance(x, Tensor) else torch.as_tensor(x, device=device)
    return x.to(device=device, dtype=dtype).contiguous()


def _strides(of: str, strides: tuple[int, int, int]) -> dict[str, int]:
    """Return the strides under the names of the kernels' arguments, which begin with `of`."""
    return dict(zip((f"{of}outer_stride", f"{of}class_stride", f"{of}inner_stride"), strides, strict=True))


def _rows_of_matrix(layout: Layout) -> Layout:
    """Turn the outer axis of a matrix into the inner one: a program takes neighboring inner rows together."""
    if layout.inner != 1:
        return layout
    outer, classes, _ = layout.strides
    return layout._replace(outer=1, inner=layout.outer, strides=(0, classes, outer))
