"""This rank's shard of a `DTensor`, and the process group of the others."""

import sys
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def is_dtensor(x: Any) -> bool:
    """Tell whether `x` is a DTensor; none can exist unless its module has been imported."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def sharded(x: Tensor, axis: int, name: str, group: Any) -> tuple[Tensor, Any]:
    """Return the shard of `x` on this rank and its group; for a plain tensor `x` and `group` themselves.

    Raises ValueError if a DTensor is not sharded over classes alone, or if a group is passed with it.
    """
    if not is_dtensor(x):
        return x, group
    mesh, placements, axis = x.device_mesh, x.placements, axis % x.ndim  # type: ignore[attr-defined]
    along = [i for i, placement in enumerate(placements) if placement.is_shard(axis)]
    if len(along) != 1 or any(not p.is_replicate() for i, p in enumerate(placements) if i != along[0]):
        raise ValueError(
            f"{name} is a DTensor with the placements {tuple(placements)}; it has to be sharded once, along its class "
            f"axis {axis}, and nowhere else: redistribute it, or pass {name}.to_local() and the group of the classes"
        )
    if group is not None:
        raise ValueError(
            f"group is given with {name} as a DTensor, which has a group of its own; leave it out"
        )
    return x.to_local(), mesh.get_group(along[0])  # type: ignore[attr-defined]


def local(x: Any) -> Any:
    """Replace DTensors by their local tensors, also within the fields of a target; other values pass unchanged.

    Raises ValueError if a DTensor has a pending sum.
    """
    if is_dataclass(x) and not isinstance(x, type) and any(is_dtensor(getattr(x, f.name)) for f in fields(x)):
        return replace(x, **{f.name: local(getattr(x, f.name)) for f in fields(x)})
    if not is_dtensor(x):
        return x
    if any(placement.is_partial() for placement in x.placements):
        raise ValueError(
            "a DTensor with a pending sum (Partial) is given; redistribute it to Replicate first"
        )
    return x.to_local()
