"""Triton's kernels: on the GPU where there is one, else by Triton's interpreter on the CPU."""

import os

import pytest

try:  # what is found without an import may be the folder of tests of this name
    import torch
except ModuleNotFoundError:
    torch = None
else:
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")  # read when a kernel is defined


@pytest.fixture(scope="session")
def device():
    """Where kernels run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def triton_rows(monkeypatch):
    """Rows of logits go through Triton's kernels, on the CPU too."""
    pytest.importorskip("triton")
    from crossentropy._statistics.cuda import kernel
    from crossentropy._statistics.torch import kernels

    monkeypatch.setattr(kernels, "row_kernel", lambda device_type: kernel.RowKernel)


@pytest.fixture(params=[False, True], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    """Rows as one block of classes, and as several; several rows a program, and several programs."""
    pytest.importorskip("triton")
    if request.param:
        from crossentropy._kernels.triton import launch

        monkeypatch.setattr(launch, "MOST_BYTES", 32)
        monkeypatch.setattr(launch, "FEW_ENTRIES", 16)
        monkeypatch.setattr(launch, "ROWS_ABREAST", 2)
        monkeypatch.setattr(launch, "CLASSES_ABREAST", 4)


@pytest.fixture
def products_in_order(monkeypatch):
    """The interpreter's products are sums in one order, as a GPU's are; those of NumPy's BLAS differ by row."""
    pytest.importorskip("triton")
    if torch.cuda.is_available():
        return
    from triton.runtime import interpreter

    def create_dot(a, b, total, input_precision, max_num_imprecise_acc):
        sums = total.data.copy()
        for column, row in zip(a.data.T, b.data, strict=True):
            sums += column[:, None] * row
        return interpreter.TensorHandle(sums, total.dtype.scalar)

    monkeypatch.setattr(interpreter.interpreter_builder, "create_dot", create_dot)
