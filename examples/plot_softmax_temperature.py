r"""
Softmax and temperature
=======================

A model's scores :math:`z_c`, the logits, become probabilities by the softmax
:math:`p_c = e^{z_c / T} / \sum_k e^{z_k / T}`. Only differences of logits matter, and the temperature :math:`T` is
their unit: a difference of :math:`T` is a factor of :math:`e` in probability.

Towards :math:`T = 0` all probability goes to the largest logit, and towards :math:`T = \infty` every class gets the
same. The order of the classes never changes, and with it no decision. The loss does: its derivative by the inverse
temperature is :math:`\partial \ell / \partial (1/T) = \mathrm E_p[z] - z_y`, so the temperature that suits the data
best is the one at which the logit to be expected from the model is, on average, the logit that the labels have.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import crossentropy as ce
from crossentropy.evaluation.calibrators import TemperatureScaling

plt.style.use(Path(__file__).with_name("house.mplstyle"))

# %%
# One row of logits at several temperatures
# -----------------------------------------
# The entropy of the prediction goes from 0 to ln 5 = 1.609 nats. ``target_statistics`` gives it with the probability of
# the label, here the first class.
logits = np.array([3.0, 2.0, 1.0, 0.0, -2.0])
temperatures = [0.25, 1.0, 3.0, 10.0]
rows = {
    T: ce.target_statistics(np.tile(logits, (5, 1)), np.arange(5), temperature=T, entropy=True)
    for T in temperatures
}
for T, row in rows.items():
    print(f"T = {T:<5g} p = {np.round(row.prob, 3)}  entropy = {row.entropy[0]:.3f} nats")

figure, panels = plt.subplots(1, 4, sharey=True, figsize=(8.6, 2.9))
for axes, (T, row) in zip(panels, rows.items(), strict=True):
    axes.bar(range(5), row.prob, color="#0072b2")
    axes.set(title=f"T = {T:g}\nH = {row.entropy[0]:.2f} nats", xlabel="logit", ylim=(0, 1.02))
    axes.set_xticks(range(5), [f"{z:g}" for z in logits])
panels[0].set_ylabel("probability")
plt.show()

# %%
# A network that is too sure
# --------------------------
# A network that has learned 200 digits by heart, without regularization, is asked about 1597 others. It is right about
# most of them, but not as often as it claims. Its logits are divided by one number, fitted on half of the other digits
# and judged on the second half.
images, digits = load_digits(return_X_y=True)
x, rest_x, y, rest_y = train_test_split(images / 16, digits, train_size=200, stratify=digits, random_state=0)
network = MLPClassifier((64,), alpha=0.0, solver="lbfgs", max_iter=1000, random_state=0).fit(x, y)
scores = network.predict_log_proba(rest_x)
fit_scores, test_scores, fit_y, test_y = train_test_split(scores, rest_y, test_size=0.5, random_state=0)

scaling = TemperatureScaling("log_proba").fit(fit_scores, fit_y)
temperature = scaling.temperature_
before = float(ce.softmax_cross_entropy(test_scores, test_y))
after = float(ce.softmax_cross_entropy(test_scores, test_y, temperature=temperature))
accuracy = float(np.mean(test_scores.argmax(axis=1) == test_y))
print(f"accuracy {accuracy:.3f} at any temperature")
print(f"log loss {before:.3f} nats at T = 1, {after:.3f} nats at T = {temperature:.2f}")

# %%
# Its loss against the temperature
# --------------------------------
# On the left the loss and the entropy of the predictions, by temperature. Where they cross, the model is as surprised
# as it expects to be; that is where the loss is least, up to what the fit on other rows misses. On the right, how often
# the model is right when it claims a certain probability.
grid = np.geomspace(0.5, 50, 60)
losses = [float(ce.softmax_cross_entropy(test_scores, test_y, temperature=T)) for T in grid]
expected = [
    float(ce.target_statistics(test_scores, test_y, temperature=T, entropy=True).entropy.mean()) for T in grid
]

figure, (curve, reliability) = plt.subplots(1, 2, figsize=(8.6, 3.8))
curve.plot(grid, losses, color="#d98200", linestyle="-", label="loss")
curve.plot(grid, expected, color="#0072b2", linestyle="--", label="entropy of the predictions")
curve.axvline(temperature, ymax=0.8, color="#57606a", linewidth=1, linestyle=":")
curve.annotate(
    f"fitted, T = {temperature:.2f}",
    (temperature, 0.75),
    (-6, 0),
    textcoords="offset points",
    ha="right",
    rotation=90,
)
curve.set(xscale="log", xlabel="temperature", ylabel="nats", ylim=(0, 2.4), title="Loss and entropy")
curve.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
curve.legend(loc="upper right")

edges = np.array([0, 0.5, 0.7, 0.9, 0.97, 1.0])
for T, p, color, marker in (
    (1.0, np.exp(test_scores), "#d98200", "o"),
    (temperature, scaling.predict_proba(test_scores), "#0072b2", "s"),
):
    claimed, right = p.max(axis=1), p.argmax(axis=1) == test_y
    bins = np.digitize(claimed, edges[1:-1])
    filled = [b for b in range(5) if np.sum(bins == b) >= 10]
    reliability.plot(
        [claimed[bins == b].mean() for b in filled],
        [right[bins == b].mean() for b in filled],
        color=color,
        linestyle="-",
        marker=marker,
        label=f"T = {T:.2f}",
    )
reliability.plot([0.3, 1], [0.3, 1], color="#57606a", linewidth=1, linestyle=":")
reliability.set(
    xlabel="claimed probability",
    ylabel="share that is right",
    title="Claims and facts",
    xlim=(0.3, 1.01),
    ylim=(0.3, 1.01),
)
reliability.legend(loc="upper left")
plt.show()
