"""Triton's row kernels under autograd, and how a device finds its kernels."""

import os
import subprocess
import sys
import textwrap

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._statistics import Target, formulas, row_statistics  # noqa: E402
from crossentropy._statistics.cpu.kernel import RowKernel  # noqa: E402
from crossentropy._statistics.cuda import kernel  # noqa: E402
from crossentropy._statistics.torch import kernels  # noqa: E402
from device_losses import on_a_gpu  # noqa: E402
from row_problems import FORMS, as_function, make  # noqa: E402
from sampling import full  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("form", [*FORMS[::2], *full(FORMS[1::2])])
def test_every_statistic_has_its_gradient_by_every_input(device, triton_rows, form):
    problem = make(form, "all", "vector", 3, 4, scale=1.0)
    statistics, inputs = as_function(problem.with_logits(problem.logits % 3), device=device)
    assert torch.autograd.gradcheck(statistics, inputs, fast_mode=True)


@pytest.mark.parametrize("form", ["label", "dense"])
def test_gradients_have_gradients(device, triton_rows, form):
    problem = make(form, "all", "vector", 2, 3, scale=1.0)
    statistics, inputs = as_function(problem.with_logits(problem.logits % 3), device=device)
    assert torch.autograd.gradgradcheck(statistics, inputs, fast_mode=True)


def test_a_second_backward_pass_finds_the_same_gradient(device, triton_rows):
    z = torch.randn(4, 6, device=device, requires_grad=True)
    D = row_statistics(z, 1, Target(torch.arange(4, device=device))).log_odds
    first, second = (torch.autograd.grad(D.sum(), z, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_frozen_logits_cost_no_backward_kernel(device, triton_rows, monkeypatch):
    monkeypatch.setattr(kernel.RowKernel, "pullback", lambda *_, **__: pytest.fail("was launched"))
    z = torch.randn(4, 6, device=device)
    assert not row_statistics(z, 1, Target(torch.arange(4, device=device))).log_odds.requires_grad


def test_a_temperature_or_margin_that_is_one_tensor_is_not_read_on_the_host(device, triton_rows, monkeypatch):
    problem = make("label", "plain", "none", 3, 4)
    z, y = torch.tensor(problem.logits, device=device), torch.tensor(problem.target.indices, device=device)
    T, m = (torch.tensor(x, dtype=torch.float64, device=device, requires_grad=True) for x in (0.7, 0.3))
    transform = formulas.Transform(temperature=T, margin=m)
    found = []
    for how in (row_statistics, formulas.statistics):
        D = how(z, 1, Target(y), transform).log_odds
        found.append((D.detach(), *torch.autograd.grad(D.sum(), (T, m))))
    torch.testing.assert_close(*found)


def test_each_device_has_its_row_kernels():
    assert kernels.row_kernel("cpu").func is RowKernel
    assert kernels.row_kernel("cuda") is kernel.RowKernel
    assert kernels.row_kernel("meta") is None


@on_a_gpu
def test_tensors_on_a_gpu_go_through_triton(monkeypatch):
    taken, own = [], kernel.RowKernel.statistics
    monkeypatch.setattr(kernel.RowKernel, "statistics", lambda *a: taken.append(1) or own(*a))
    row_statistics(
        torch.zeros(2, 3, device="cuda"), 1, Target(torch.zeros(2, dtype=torch.int64, device="cuda"))
    )
    assert taken


def test_wherever_triton_is_missing_the_error_says_what_to_install():
    code = """
        import sys
        sys.modules["triton"] = None
        try:
            import crossentropy._kernels.triton
        except ImportError as error:
            print(error)
    """
    assert "pip install triton" in run(code)


def test_using_the_cpu_imports_no_triton():
    code = """
        import sys
        import torch
        import crossentropy.torch as face
        z = torch.zeros(2, 3, requires_grad=True)
        face.cross_entropy(z, torch.tensor([0, 1])).backward()
        print("triton" in sys.modules)
    """
    assert run(code).strip() == "False"


COMPILE = """
    import numpy as np
    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from crossentropy._statistics import Cotangents, Prior, Requested, Target, Transform
    from crossentropy._statistics.cuda import kernel as cuda_kernel
    from crossentropy._statistics.problem import DIFFERENTIABLE

    POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16", torch.int64: "*i64",
                torch.uint8: "*u8"}

    def compiled(kernel, outer, inner, block, arguments, on):
        arguments = arguments | {"ROWS": block.rows, "BLOCK": block.classes}
        signature, constants = {}, {}
        for parameter in kernel.params:
            value = arguments[parameter.name]
            if parameter.is_constexpr or value is None or (type(value) is int and value == 1):
                signature[parameter.name], constants[parameter.name] = "constexpr", value
            elif isinstance(value, torch.Tensor):
                signature[parameter.name] = POINTERS[value.dtype]
            else:
                signature[parameter.name] = parameter.annotation_type or "i32"
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        options = {"num_warps": block.warps, "enable_fp_fusion": False}
        print(bool(triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["cubin"]))

    cuda_kernel.launch = compiled
    ones = torch.ones(4, dtype=torch.float64)
    several = torch.zeros(4, 2, dtype=torch.int64)
    everything = Transform(ones, 20.0, torch.ones(10), torch.ones(10))
    problems = [
        (torch.bfloat16, Target(several[:, 0], ignore_index=-100), Transform(), None, Requested()),
        (torch.float64, Target(several, several=True), everything, Prior(torch.ones(10)), Requested(True, True, True)),
        (torch.float32, Target(mask=torch.ones(4, 10, dtype=torch.bool)), everything, Prior(), Requested(True, True)),
        (torch.float32, Target(dense=torch.ones(4, 10), class_weight=torch.ones(10)), everything, None, Requested()),
    ]
    for dtype, target, transform, prior, requested in problems:
        kernel = cuda_kernel.RowKernel(torch.zeros(4, 10, dtype=dtype), 1, target, transform, prior)
        stats = kernel.statistics(target, (4,), requested)
        upstream = Cotangents(**{name: getattr(stats, name) for name in DIFFERENTIABLE})
        dense = None if target.dense is None else torch.empty(4, 10)
        kernel.pullback(stats, upstream, (4,), dense=dense, scale=dtype != torch.bfloat16, target=several is not None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux")
def test_the_kernels_compile_for_a_gpu(tmp_path):
    """Without one, by the compiler that Triton brings along: it refuses things that the interpreter runs."""
    said = run(COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    assert said.split() == ["True"] * 8


def run(code, **environment):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
