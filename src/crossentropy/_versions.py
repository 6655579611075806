"""What differs between the versions that the package runs on: names that Python 3.10 or PyTorch 2.6 does not have."""

import sys

__all__ = ["Self", "StrEnum", "Unpack", "torch_is_exporting"]

if sys.version_info >= (3, 11):
    from enum import StrEnum
    from typing import Self, Unpack
else:
    from enum import Enum

    from typing_extensions import Self, Unpack

    class StrEnum(str, Enum):
        """Strings by name, whose text is the string."""

        __str__ = str.__str__


def torch_is_exporting() -> bool:
    """Tell whether `torch.export` records operations; PyTorch must have been imported."""
    compiler = sys.modules["torch"].compiler
    if hasattr(compiler, "is_exporting"):
        return compiler.is_exporting()
    return compiler._is_compiling_flag  # before 2.7, where nothing else sets it
