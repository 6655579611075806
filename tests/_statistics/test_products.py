"""Products of matrices: every derivative, every library, and nobody else calls one."""

import ast
from pathlib import Path

import numpy as np
import pytest

import crossentropy
from crossentropy._statistics.products import product

torch = pytest.importorskip("torch")

from crossentropy._statistics.head.products import padded_stride, strided_rows  # noqa: E402
from linear_heads import random  # noqa: E402

#: JAX, NumPy and TensorFlow lay out what they multiply themselves; what is trained is plain PyTorch; scores of
#: predictions multiply arrays that they have made.
WITH_PRODUCTS = (
    "_statistics/products.py",
    "_statistics/head/products.py",
    "_engine/linear/jax_scan.py",
    "_backends/numpy_products.py",
)
ALSO = (
    "_engine/linear/numpy_blocks.py",
    "_engine/softmax/hessian.py",
    "_backends/tensorflow.py",
    "evaluation/_comparison/sign_flips.py",
    "evaluation/_newton.py",
    "evaluation/calibrators/",
    "training/",
    "sklearn/_products.py",
    "_kernels/triton/",
)
NAMES = {
    "mm",
    "addmm",
    "addmm_",
    "bmm",
    "baddbmm",
    "matmul",
    "einsum",
    "linear",
    "dot",
    "mv",
    "tensordot",
    "inner",
}


def calls_of_products(path):
    """The lines of a module on which it calls a library's product."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMES:
            yield node.lineno


def test_products_are_called_in_one_place():
    root = Path(crossentropy.__file__).parent
    found = {
        f"{name}:{line}"
        for path in root.rglob("*.py")
        if not (name := path.relative_to(root).as_posix()).startswith((*WITH_PRODUCTS, *ALSO))
        for line in calls_of_products(path)
    }
    assert not found
    assert all(list(calls_of_products(root / name)) for name in WITH_PRODUCTS)


LAYOUTS = {
    "rows": lambda *shape: random(*shape),
    "columns": lambda *shape: random(*shape[:-2], shape[-1], shape[-2]).mT,
    "every other": lambda *shape: random(*shape[:-1], 2 * shape[-1])[..., ::2],
}


@pytest.mark.parametrize("batch", [(), (2,)], ids=["matrices", "batches"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_first_and_second_derivatives_are_right(layout, batch):
    x, y = layout(*batch, 3, 5).requires_grad_(), layout(*batch, 5, 4).requires_grad_()
    torch.testing.assert_close(product(x, y), x @ y)
    assert torch.autograd.gradcheck(product, (x, y), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(product, (x, y))


def test_transforms_of_functions_are_right():
    x, y = random(4, 3, 5), random(5, 2)
    torch.testing.assert_close(torch.func.vmap(product, (0, None))(x, y), x @ y)
    tangent = torch.func.jvp(product, (x[0], y), (x[1], torch.zeros_like(y)))[1]
    torch.testing.assert_close(tangent, x[1] @ y)
    each = torch.func.vmap(torch.func.grad(lambda x, y: product(x, y).sum()), (0, None))(x, y)
    torch.testing.assert_close(each, y.sum(1).expand(4, 3, 5))


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1)])
def test_sizes_may_be_0_and_1(shape):
    n, k, m = shape
    x, y = random(n, k), random(k, m)
    assert torch.equal(product(x, y), x @ y)
    assert np.array_equal(product(x.numpy(), y.numpy()), x.numpy() @ y.numpy())


@pytest.mark.parametrize("width", [1, 63, 64, 65, 128, 4100])
def test_between_rows_of_logits_there_are_zeros(width):
    memory = torch.full((3 * padded_stride(width),), torch.nan)
    rows = strided_rows(memory, 3, width)
    assert rows.isnan().all()
    rows[:] = 1
    assert memory.sum() == 3 * width
    assert padded_stride(width) % 64 == 0
    assert padded_stride(width) // 64 % 2 == 1
