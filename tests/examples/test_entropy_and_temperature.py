"""The two pages of the gallery on entropy and on temperature: what they print is so."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name):
    """The names that a page of the gallery has made, its pictures drawn without a screen."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    try:
        with plt.rc_context():
            return runpy.run_path(str(EXAMPLES / f"{name}.py"))
    finally:
        plt.close("all")


def test_cross_entropy_is_entropy_and_divergence():
    page = run("plot_entropy_areas")
    # Powers of two: 1/2·1 + 1/4·2 + 2·1/8·3 bits, and 1/2·3 + 1/4·1 + 1/8·2 + 1/8·3.
    assert page["entropy"] == pytest.approx(1.75, abs=1e-12)
    assert page["cross_entropy"] == pytest.approx(2.375, abs=1e-12)
    assert page["divergence"] == pytest.approx(2.375 - 1.75, abs=1e-12)


def test_a_temperature_makes_an_overconfident_network_honest():
    pytest.importorskip("sklearn")
    page = run("plot_softmax_temperature")
    assert [row.entropy[0] for row in page["rows"].values()] == sorted(
        row.entropy[0] for row in page["rows"].values()
    )
    assert page["rows"][10.0].entropy[0] < math.log(5)

    scores, labels, temperature = (page[name] for name in ("fit_scores", "fit_y", "temperature"))

    def loss(scaled):
        top = scaled.max(axis=1)
        return np.mean(
            top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - scaled[np.arange(len(labels)), labels]
        )

    fitted = loss(scores / temperature)
    assert fitted < min(loss(scores / (1.05 * temperature)), loss(scores / (0.95 * temperature)))
    assert page["accuracy"] > 0.85
    assert page["after"] < page["before"] / 2
