"""What holds for the whole suite."""

import gc
import os
import platform
import re
import sys
from functools import cache
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import hypothesis
import numpy as np
import pytest

from thread_limits import single_thread

# Threads of OpenMP that wait for work sleep: more than there are cores would take the time of those that have some.
# OpenMP reads this when PyTorch or the kernels load it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

#: Compiling is most of what JAX's tests cost, and most programs are those of the last run. Their key is of the program,
#: the flags and the versions; what cannot be read is compiled again.
KEPT_PROGRAMS = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parents[1] / "build" / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
FRAMEWORKS = ("jax", "keras", "sklearn", "torch", "transformers")


class Absent(Loader):
    """Keeps a folder of tests from being imported as the framework of its name, where that is not installed.

    The import fails, and not the search: PyTorch 2.6 searches for packages that it may not find.
    """

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in self.names else None

    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module: object) -> None:
        """Is not reached: no module is created."""


sys.meta_path.insert(0, Absent({x for x in FRAMEWORKS if (spec := find_spec(x)) and spec.origin is None}))

# An example takes as long as the machine is busy: no deadline tells a slow test from a slow machine.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Have JAX compile fast rather than fast code, which each test would run once, and keep what it has compiled.

    With the tests marked full (`make test-full`), JAX compiles as it does for its users, and anew.
    """
    if config.option.markexpr == "not full":
        flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
        for name, value in KEPT_PROGRAMS.items():
            os.environ.setdefault(name, value)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave out what stays, the tests and modules, and look through the rest less often.

    Compilers make so many objects that it would take a seventh of their tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have each test draw the same numbers, alone and after others, from the generators of its file."""
    for generator, state in _generators(getattr(item, "module", None)):
        generator.bit_generator.state = state


@cache
def _generators(module: ModuleType | None) -> list[tuple[np.random.Generator, object]]:
    """The generators of a file and their states when it was imported: this is called before its first test."""
    found = [x for x in vars(module).values() if isinstance(x, np.random.Generator)] if module else []
    return [(x, x.bit_generator.state) for x in found]


def pytest_sessionfinish() -> None:
    """Let the garbage collector see everything again, or nanobind says at the end that it lost what was left out."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which processor ran the tests, for products of matrices are not the same on all."""
    terminalreporter.write_line(f"processor: {_processor()}")


def _processor() -> str:
    try:
        fields = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE))
        flags = fields["flags"].split()
    except (OSError, KeyError):  # not Linux, or not x86
        return platform.processor() or platform.machine()
    vectors = [x for x in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if x in flags]
    return ", ".join(
        [fields["model name"], f"family {fields['cpu family']}, model {fields['model']}", *vectors]
    )


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_forgotten():
    """Drop what JAX and PyTorch have compiled once a file is done, or the processes grow by gigabytes."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture(scope="module")
def one_thread():
    """Run the tests of a file on one thread."""
    with single_thread():
        yield
