"""What differs between the versions of Python that the package runs on: names that 3.10 does not have."""

import sys

__all__ = ["Self", "StrEnum", "Unpack"]

if sys.version_info >= (3, 11):
    from enum import StrEnum
    from typing import Self, Unpack
else:
    from enum import Enum

    from typing_extensions import Self, Unpack

    class StrEnum(str, Enum):
        """Strings by name, whose text is the string."""

        __str__ = str.__str__
