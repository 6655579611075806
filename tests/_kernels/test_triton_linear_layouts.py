"""The never-materialized forward of a linear head in Triton: layouts, what it serves, and how it compiles."""

import os
import subprocess
import sys
import textwrap

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._statistics import Prior, Requested, Target  # noqa: E402
from crossentropy._statistics.cuda import head as head_kernel  # noqa: E402
from crossentropy._statistics.cuda.head import serves  # noqa: E402
from crossentropy._statistics.head import passes  # noqa: E402
from crossentropy._statistics.head.head import Head  # noqa: E402
from crossentropy._statistics.problem import RowStatistics  # noqa: E402
from device_losses import on_a_gpu  # noqa: E402
from linear_on_triton import (  # noqa: E402
    EPS,
    bits,
    check,
    equal,
    found,
    head_of,
    moved,
    problem_of,
    random_labels,
    use_small_tiles,
)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    use_small_tiles(monkeypatch)


# --------------------------------------------------------------------------------------------- layouts


def test_factors_of_any_strides(device):
    head, target = head_of(20, 40, 9, torch.float32), Target(random_labels(20, 40))
    expected = found(problem_of(head, target), device)
    x, M = head.factors
    for laid_out in (
        (x.T.contiguous().T, M),
        (x, M.T.contiguous().T),
        (x.repeat(2, 3)[:20, 9:18], M.repeat_interleave(2, 0)[::2]),
        (x.repeat_interleave(2, 1)[:, ::2], M.repeat_interleave(3, 1)[:, ::3]),
    ):
        bias = head.bias.repeat_interleave(2)[::2]
        assert equal(bits(found(problem_of(Head(laid_out, bias), target), device)), bits(expected))
    one = x[:1].expand(20, 9)
    settings, head, given = problem_of(Head((one, M), None), target)
    got = head_kernel.forward(
        settings, Head(tuple(f.to(device) for f in head.factors), None), moved(given, device)
    )
    check(got, passes.forward(settings, head, given), 16 * EPS[torch.float32])


@pytest.mark.parametrize("far", ["hidden", "weight"])
def test_offsets_are_not_cut_to_32_bits(far, device):
    """Rows that lie 2³⁰ entries apart: the third begins beyond 32 bits, and nothing between them is touched."""
    near = head_of(3, 3, 5, torch.float16)
    room = torch.empty(2**31 + 5, dtype=torch.float16, device=device).as_strided((3, 5), (2**30, 1))
    x, M = (f.to(device) for f in near.factors)
    room.copy_(x if far == "hidden" else M)
    factors = (room, M) if far == "hidden" else (x, room)
    target = Target(torch.tensor([0, 1, 2]))
    settings, _, given = problem_of(near, target)
    got = head_kernel.forward(settings, Head(factors, near.bias.to(device)), moved(given, device))
    check(got, passes.forward(settings, near, given), 16 * EPS[torch.float16])


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_of_any_integer_type(dtype, device):
    head, y = head_of(20, 40, 9, torch.float32), random_labels(20, 40)
    expected = found(problem_of(head, Target(y)), device)
    assert equal(bits(found(problem_of(head, Target(y.to(dtype))), device)), bits(expected))


# ------------------------------------------------------------------------------------- what is served


def test_what_is_not_asked_for_is_not_there(device):
    got = found(
        problem_of(head_of(3, 5, 2, torch.float32), Target(random_labels(3, 5)), requested=Requested()),
        device,
    )
    present = {name for name in RowStatistics.__slots__ if isinstance(getattr(got, name), torch.Tensor)}
    assert present == {"log_odds", "top", "rest"}


def test_other_problems_take_blocks_of_logits():
    head, y = head_of(4, 6, 3, torch.float32), random_labels(4, 6)
    assert serves(*problem_of(head, Target(y)))
    for target in (
        Target(torch.stack([y, y], 1), several=True),
        Target(mask=torch.ones(4, 6, dtype=torch.bool)),
        Target(dense=torch.ones(4, 6)),
    ):
        assert not serves(*problem_of(head, target))
    assert not serves(*problem_of(head, Target(y), requested=Requested(rank=True)))
    low_rank = Head((*head.factors, torch.zeros(4, 2), torch.zeros(6, 2)), None)
    assert not serves(*problem_of(low_rank, Target(y)))
    whole = Head(tuple(f.to(torch.int32) for f in head.factors), None)
    assert not serves(*problem_of(whole, Target(y)))


@on_a_gpu
def test_nothing_waits_for_the_device(device):
    problem = problem_of(head_of(20, 40, 9, torch.float32), Target(random_labels(20, 40)), prior=Prior())
    settings, head, given = (moved(x, device) for x in problem)
    head_kernel.forward(settings, head, given)  # compiles
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        head_kernel.forward(settings, head, given)
    finally:
        torch.cuda.set_sync_debug_mode(mode)


COMPILES = """
    import pathlib, re, subprocess, sys

    import torch
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    capability = int(sys.argv[1])

    class Driver:  # of a GPU that is not there
        get_current_device = get_current_stream = lambda self, device=0: 0
        get_current_target = lambda self: GPUTarget("cuda", capability, 32)

    driver.set_active(Driver())
    run, compiled = JITFunction.run, []

    def compile_only(self, *args, grid, warmup, **options):
        compiled.append(run(self, *args, grid=grid, warmup=True, **options))

    JITFunction.run = compile_only

    from crossentropy._statistics import Prior, Requested, Target, Transform
    from crossentropy._statistics.cuda import head as head_kernel
    from crossentropy._statistics.head.head import Head
    from crossentropy._statistics.torch.problem import partition

    def kernels(N, V, D, dtype, transform=Transform(), prior=None, ignore_index=None, bias=False, all=False):
        compiled.clear()
        x, M, b = (torch.empty(shape, dtype=dtype) for shape in ((N, D), (V, D), (V,)))
        target = Target(torch.zeros(N, dtype=torch.int64), ignore_index=ignore_index)
        requested = Requested(all, all, all)
        settings, given = partition(torch.empty(1).expand(N, V), 1, target, transform, prior, requested, False)
        head_kernel.forward(settings, Head((x, M), b if bias else None), given)
        assert not any("fp32" in kernel.src.signature.values() for kernel in compiled)
        return compiled[0]

    if capability == 80:
        everything = Transform(torch.ones(256), 20.0, torch.zeros(1024), torch.zeros(1024))
        kernels(256, 1024, 256, torch.float64, everything, Prior(torch.ones(1024)), -100, True, True)
        kernels(1, 1, 1, torch.float32, Transform(2.0, margin=0.5), Prior(), 1, True, True)
    plain = kernels(256, 1024, 256, torch.bfloat16, ignore_index=-100)
    pathlib.Path("plain.cubin").write_bytes(plain.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    usage = subprocess.check_output([tool, "--dump-resource-usage", "plain.cubin"], text=True)
    print(sum(int(n) for n in re.findall(r"(?:STACK|LOCAL):(\\d+)", usage)) <= 32)
    print("wgmma" if "wgmma.mma_async" in plain.asm["ptx"] else "mma" if "mma.sync" in plain.asm["ptx"] else "none")
    print(plain.metadata.shared < 101376)  # what the smallest devices have for a program
"""


@pytest.mark.parametrize(
    ("capability", "instruction"), [pytest.param(80, "mma", marks=pytest.mark.full), (90, "wgmma")]
)
def test_the_kernels_compile_for_a_gpu(capability, instruction, tmp_path):
    """For tensor cores, and with what is carried along in registers, but for some bytes."""
    settings = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    settings.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:triton", "-c", textwrap.dedent(COMPILES), str(capability)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=settings,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["True", instruction, "True"]
