"""Kernels compiled for a GPU that is not there: Triton's interpreter takes much that its compiler does not."""

import os
import subprocess
import sys
import textwrap

PRELUDE = """
    import torch
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    class Driver:  # of a GPU that is not there
        get_current_device = get_current_stream = lambda self, device=0: 0
        get_current_target = lambda self: GPUTarget("cuda", 80, 32)

    driver.set_active(Driver())
    run, compiled = JITFunction.run, []

    def compile_only(self, *args, grid, warmup, **options):
        compiled.append(run(self, *args, grid=grid, warmup=True, **options).src.signature.values())

    JITFunction.run = compile_only
"""


def compiled_kernels(code: str, cache: object) -> tuple[int, bool]:
    """How many kernels `code` launches, and whether a number is passed to one in 32 bits, as a float is by default."""
    settings = {**os.environ, "TRITON_CACHE_DIR": str(cache)}
    settings.pop("TRITON_INTERPRET", None)
    report = 'print(len(compiled), any("fp32" in types for types in compiled))'
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::UserWarning:triton", "-c"),
            textwrap.dedent(PRELUDE) + textwrap.dedent(code) + report,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=settings,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, narrow = done.stdout.split()
    return int(count), narrow == "True"
