r"""
Back-propagation by hand
========================

A two-layer perceptron learns to read digits with nothing but NumPy. The loss gives the gradient of the logits, and the
chain rule carries it back, one matrix product a layer. Every gradient is then checked against finite differences.

For cross-entropy after a softmax, the gradient of a row's logits is :math:`p - t`: what the model predicted, less what
happened. With :math:`h = \tanh(x A + a)` and :math:`z = h B + b`, and :math:`g_z = (p - t) / N`,

.. math:: \nabla B = h^\top g_z, \qquad g_h = g_z B^\top, \qquad \nabla A = x^\top \bigl(g_h \odot (1 - h^2)\bigr).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce

plt.style.use(Path(__file__).with_name("house.mplstyle"))

images, digits = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16, digits, test_size=500, random_state=0)

# %%
# The network, forward and back
# -----------------------------
rng = np.random.default_rng(0)
hidden = 48
parameters = {
    "A": rng.normal(0, 1 / 8, (64, hidden)),
    "a": np.zeros(hidden),
    "B": rng.normal(0, 1 / np.sqrt(hidden), (hidden, 10)) / 10,
    "b": np.zeros(10),
}


def forward(parameters, x):
    """Hidden units and logits."""
    h = np.tanh(x @ parameters["A"] + parameters["a"])
    return h, h @ parameters["B"] + parameters["b"]


def loss_and_gradients(parameters, x, y):
    """The mean cross-entropy, and its gradient for each array of parameters."""
    h, logits = forward(parameters, x)
    loss, of_logits = ce.loss_and_gradient(ce.softmax_cross_entropy, logits, y)
    of_hidden = (of_logits @ parameters["B"].T) * (1 - h**2)
    gradients = {"A": x.T @ of_hidden, "a": of_hidden.sum(0), "B": h.T @ of_logits, "b": of_logits.sum(0)}
    return loss, gradients


# %%
# Checked before training
# -----------------------
# First the gradient of the logits against ``(p − t) / N``. Then every parameter's against
# ``(loss(w + ε) − loss(w − ε)) / 2ε``, for 40 of each array.
x, y = train_x[:32], train_y[:32]
logits = forward(parameters, x)[1]
p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
_, of_logits = ce.loss_and_gradient(ce.softmax_cross_entropy, logits, y)
logit_error = float(np.abs(of_logits - (p - np.eye(10)[y]) / 32).max())

by_hand, by_differences = [], []
gradients = loss_and_gradients(parameters, x, y)[1]
for name, array in parameters.items():
    for place in rng.choice(array.size, min(40, array.size), replace=False):
        at = np.unravel_index(place, array.shape)
        around = []
        for step in (1e-5, -1e-5):
            moved = parameters | {name: array.copy()}
            moved[name][at] += step
            around.append(loss_and_gradients(moved, x, y)[0])
        by_hand.append(gradients[name][at])
        by_differences.append((around[0] - around[1]) / 2e-5)
by_hand, by_differences = np.array(by_hand), np.array(by_differences)
gradient_error = float(np.abs(by_hand - by_differences).max() / np.abs(by_hand).max())
print(f"gradient of the logits differs by {logit_error:.1e} from (p − t)/N")
print(f"gradients by hand and by differences: {gradient_error:.1e} of the largest apart")

# %%
# Training
# --------
# Stochastic gradient descent with momentum, 32 rows a step. The loss starts at ln 10 = 2.30 nats, which is what it
# costs to know nothing about ten classes.
velocity = {name: np.zeros_like(array) for name, array in parameters.items()}
steps, batch_loss, test_loss = 800, [], []
for step in range(steps):
    rows = rng.choice(len(train_y), 32, replace=False)
    loss, gradients = loss_and_gradients(parameters, train_x[rows], train_y[rows])
    for name, gradient in gradients.items():
        velocity[name] = 0.9 * velocity[name] - 0.1 * gradient
        parameters[name] += velocity[name]
    batch_loss.append(float(loss))
    if step % 25 == 24:
        test_loss.append(float(ce.softmax_cross_entropy(forward(parameters, test_x)[1], test_y)))
accuracy = float((forward(parameters, test_x)[1].argmax(axis=1) == test_y).mean())
print(f"first loss {batch_loss[0]:.3f} nats; test loss {test_loss[-1]:.3f} nats, accuracy {accuracy:.1%}")

figure, (check, curve) = plt.subplots(1, 2, gridspec_kw={"width_ratios": [1, 1.7]})
check.axline((0, 0), slope=1, color="0.75", linewidth=1, zorder=0)
check.plot(by_differences, by_hand, "o", color="C2", markersize=4)
check.set(xlabel="finite difference", ylabel="by hand", title=f"Gradients of {len(by_hand)} parameters")
curve.plot(np.arange(1, steps + 1), batch_loss, color="0.75", linewidth=0.7, label="batch of 32")
curve.plot(np.arange(25, steps + 1, 25), test_loss, color="C2", linestyle="-", label="test rows")
curve.axhline(np.log(10), color="C4", linestyle=":", label="ln 10")
curve.set(xlabel="step", ylabel="loss, nats", yscale="log", title="Training")
bits = curve.secondary_yaxis(
    "right", functions=(lambda nats: nats / np.log(2), lambda bits: bits * np.log(2))
)
bits.set_ylabel("bits")
curve.legend()
plt.show()
