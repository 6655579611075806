"""Pages of the gallery, run as scripts without a window."""

import contextlib
import functools
import io
import runpy
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from thread_limits import single_thread

pytest.importorskip("torch")
pytest.importorskip("threadpoolctl")  # comes with scikit-learn

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@functools.cache
def run(name: str) -> SimpleNamespace:
    """What the script ``examples/plot_{name}.py`` leaves behind, what it printed, and its figures."""
    plt = pytest.importorskip("matplotlib.pyplot")
    printed = io.StringIO()
    plt.close("all")
    with (
        single_thread(),
        contextlib.redirect_stdout(printed),
        warnings.catch_warnings(),
        plt.rc_context(),
    ):
        plt.switch_backend("Agg")
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive", UserWarning)
        names = runpy.run_path(str(EXAMPLES / f"plot_{name}.py"), run_name="__main__")
        figures = [plt.figure(number) for number in plt.get_fignums()]
        for figure in figures:
            figure.canvas.draw()
    plt.close("all")
    return SimpleNamespace(**names, printed=printed.getvalue(), figures=figures)


@pytest.fixture
def page():
    """The function that runs a page, once for all tests of its claims."""
    return run
