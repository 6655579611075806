r"""
Distillation: learning from what a teacher does not rule out
============================================================

A label says "3". A good model says "3, perhaps 8, hardly 5", and those other probabilities tell how digits resemble
each other. Distillation trains a student on them:

.. math:: \ell = \alpha\, (-\log p_y) + (1 - \alpha)\, T^2\, \mathrm{KL}\bigl(\mathrm{softmax}(t / T) \,\|\,
          \mathrm{softmax}(s / T)\bigr),

where a temperature ``T`` above 1 makes the small probabilities count. On the same 50 images a student learns more from
the teacher's probabilities than from the labels. And a teacher needs no labels, so a student can learn from all images.
That helps more than anything. With many images, the teacher's best class is as good as all of its probabilities, and a
temperature of 4 gains nothing.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import crossentropy as ce
from crossentropy.losses import distillation_loss

plt.style.use(Path(__file__).with_name("house.mplstyle"))

images, digits = load_digits(return_X_y=True)
split = train_test_split(images / 16, digits, train_size=1000, stratify=digits, random_state=0)
train_x, test_x = (torch.tensor(x, dtype=torch.float32) for x in split[:2])
train_y, test_y = (torch.tensor(y) for y in split[2:])
LABELED = 50


def train(loss, hidden, steps=100):
    """A perceptron trained on ``loss(model)``, all rows a step: the model, and its logits of the test rows."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    with torch.no_grad():
        return model, model(test_x)


def scores(logits):
    """Accuracy and log loss on the test rows."""
    accuracy = float((logits.argmax(dim=1) == test_y).float().mean())
    return accuracy, float(ce.softmax_cross_entropy(logits, test_y))


# %%
# The teacher, and students of 16 hidden units
# --------------------------------------------
teacher, teacher_logits = train(lambda model: ce.softmax_cross_entropy(model(train_x), train_y), hidden=128)
with torch.no_grad():
    teacher_train_logits = teacher(train_x)
few = slice(0, LABELED)
best = teacher_train_logits.argmax(dim=1)
results = {"teacher, 1000 labels": scores(teacher_logits)}
ways = {
    "50 labels": lambda model: ce.softmax_cross_entropy(model(train_x[few]), train_y[few]),
    "teacher on 50 images": lambda model: distillation_loss(
        model(train_x[few]), teacher_train_logits[few], temperature=4.0
    ),
    "teacher's best class, all": lambda model: ce.softmax_cross_entropy(model(train_x), best),
    "teacher's p, all, T = 1": lambda model: distillation_loss(
        model(train_x), teacher_train_logits, temperature=1.0
    ),
    "teacher's p, all, T = 4": lambda model: distillation_loss(
        model(train_x), teacher_train_logits, temperature=4.0
    ),
}
for name, loss in ways.items():
    results[name] = scores(train(loss, hidden=16)[1])
for name, (accuracy, nats) in results.items():
    print(f"{name:28} accuracy {accuracy:.1%}, log loss {nats:.3f} nats = {nats / np.log(2):.3f} bits")

# %%
# What the teacher says of one digit
# ----------------------------------
# The image of the training set of which the teacher is the least sure, at two temperatures.
doubt = int(ce.entropy(torch.softmax(teacher_train_logits, dim=1)).argmax())
teacher_p = {T: torch.softmax(teacher_train_logits[doubt] / T, dim=0).numpy() for T in (1, 4)}
print(
    "entropy of what it says:",
    {T: round(float(ce.entropy(p, base=2)), 2) for T, p in teacher_p.items()},
    "bits",
)

figure, (picture, saying, score) = plt.subplots(1, 3, figsize=(10.4, 3.2), width_ratios=(1, 1.7, 1.7))
picture.imshow(train_x[doubt].numpy().reshape(8, 8), cmap="gray_r")
picture.set(xticks=[], yticks=[], title=f"Label: {train_y[doubt]}")
picture.grid(visible=False)
for shift, (T, p) in zip((-0.2, 0.2), teacher_p.items(), strict=True):
    saying.bar(np.arange(10) + shift, p, 0.4, label=f"T = {T}", color="C1" if T == 1 else "C2")
saying.set(xticks=range(10), xlabel="digit", ylabel="probability", title="What the teacher says")
saying.legend()
names = list(results)
bars = score.barh(names, [100 * results[name][0] for name in names], color=["0.7", *["C2"] * 5])
score.bar_label(bars, fmt="%.1f", padding=3)
score.invert_yaxis()
score.grid(axis="y", visible=False)
score.set(xlabel="test accuracy, %", xlim=(60, 104), title="Teacher and students")
plt.show()
