"""Names of a package that are imported on first use, and the list of names that `dir` shows."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

#: For each module of a package, the names that the package takes from it.
LAZY = Mapping[str, tuple[str, ...]]


def attach(
    package: str, public: Iterable[str], lazy: LAZY, modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package.

    `lazy` has the names that it takes from each submodule, and `modules` are submodules that are attributes themselves;
    `dir` shows the public names and these.
    """
    source = {name: module for module, names in lazy.items() for name in names}
    modules = frozenset(modules)
    shown = sorted({*public, *modules})

    def get(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in source:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{source[name]}"), name)
        setattr(sys.modules[package], name, value)  # later uses find it without this function
        return value

    return get, lambda: list(shown)
