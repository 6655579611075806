"""What the package runs on: versions, compiled kernels, processor, threads."""

import platform
from importlib import metadata

from crossentropy._kernels import COMPILED, _native
from crossentropy._statistics.cpu.memory import NumpyMemory

__all__ = ["describe", "show_config"]

#: What the package works with, by the names on PyPI; a framework with several names has the first that is installed.
PACKAGES = (
    ("numpy",),
    ("torch",),
    ("jax",),
    ("keras",),
    ("tensorflow", "tensorflow-cpu"),
    ("scikit-learn",),
    ("transformers",),
    ("xgboost", "xgboost-cpu"),
    ("lightgbm",),
    ("catboost",),
    ("pyarrow",),
    ("triton",),
)


def describe() -> dict[str, str]:
    """Describe the installation, by topic; no framework is imported."""
    found = [(names[0], next(filter(None, map(_version, names)), None)) for names in PACKAGES]
    return {
        "crossentropy": _version("crossentropy") or "not installed",
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": f"{platform.system()} {platform.machine()}",
        "kernels": f"compiled, {_native.instruction_set()}"
        if COMPILED
        else "not compiled: formulas compute all",
        "threads": f"{NumpyMemory.threads()} (PyTorch's tensors: torch.get_num_threads())",
        **{name: version or "not installed" for name, version in found},
    }


def show_config() -> None:
    """Print what the package runs on: versions, whether its kernels are compiled, their instructions, the threads.

    The instruction set is ``x86-64-v4`` on processors with vectors of 512 bits, ``x86-64-v3`` on those with 256 bits
    and fused multiply-adds. Kernels on NumPy's arrays take ``OMP_NUM_THREADS`` threads, else one for each processor
    that may be used. ``crossentropy --version --verbose`` prints the same. Packages are not imported.

    Returns
    -------
    None

    Examples
    --------
    >>> import crossentropy
    >>> crossentropy.show_config()  # doctest: +ELLIPSIS
    crossentropy ...
    python ...
    """
    for topic, text in describe().items():
        print(f"{topic:14}{text}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
