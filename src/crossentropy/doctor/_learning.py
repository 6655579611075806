"""Whether a first loss is that of knowing nothing, a later one better, and what a temperature would gain."""

import math
from collections.abc import Iterator

import numpy as np

from crossentropy.doctor._sample import Sample
from crossentropy.doctor.finding import Finding
from crossentropy.evaluation._faults import MOST
from crossentropy.evaluation.calibrators import TemperatureScaling, cross_validated_gain

__all__ = ["initial_loss_finding", "learning_findings", "temperature_findings"]

#: Rows that are needed to tell.
FEW = 100
#: The share of the loss that a temperature has to be worth, and how far beyond chance.
WORTH, CONFIDENCE = 0.05, 0.9999
#: Rows for the fit of a temperature.
ROWS = 20_000


def initial_loss_finding(loss: float, classes: int, sigmoid: bool) -> Iterator[Finding]:
    """Find a first loss far above that of equal probabilities."""
    guess = math.log(2 if sigmoid else classes)
    if not math.isfinite(loss) or loss <= 1.5 * guess + 0.5:
        return
    what = "ln 2" if sigmoid else f"ln {classes}"
    yield Finding(
        "initial_loss",
        f"The first loss is {loss:.4g} nats, far above {what} = {guess:.4g}, that of a model that knows nothing: "
        "its first predictions are confident and wrong, and the first steps only undo that.",
        {"first_loss": loss, "that_of_equal_probabilities": guess},
        "torch.nn.init.zeros_(head.weight)  # or weights of a size of 1/√width in the last layer; inputs standardized",
        cost=loss - guess,
    )


def learning_findings(sample: Sample) -> Iterator[Finding]:
    """Find a loss that is the entropy of the label frequencies."""
    H = sample.entropy
    if len(sample) < FEW or H < 0.05:
        return
    saving = (sample.base_losses - sample.losses).reshape(len(sample), -1).mean(axis=1)
    if np.abs(saving).max() > MOST:  # an infinite loss is not the entropy, and has no spread
        return
    mean, error = float(saving.mean()), float(saving.std(ddof=1)) / math.sqrt(len(sample))
    at_entropy = abs(mean) <= 0.02 * H and mean < 3 * error + 1e-9
    # informative predictions that are far too sure have this loss by chance
    if at_entropy and not any(temperature_findings(sample)):
        yield Finding(
            "not_learned",
            "The loss is the entropy of the label frequencies, that of always predicting how frequent each class "
            "is: the predictions say nothing about the labels.",
            {
                "loss_as_called": sample.loss,
                "entropy_of_label_frequencies": H,
                "ln_C": math.log(2 if sample.sigmoid else sample.classes),
                "spread_of_the_predictions": float(sample.x.std(axis=0).mean()),
            },
            "a check that the model can learn at all: train on 20 rows until their loss is 0. If it cannot, look "
            "at the inputs (all alike, shuffled against the labels), at the learning rate, and at gradients that are 0",
        )


def temperature_findings(sample: Sample) -> Iterator[Finding]:
    """Find predictions that a temperature would improve by far more than chance."""
    if sample.sigmoid and sample.classes > 1:
        return
    rows = sample if len(sample) <= ROWS else sample.take(np.arange(0, len(sample), -(-len(sample) // ROWS)))
    labels = rows.labels[:, 0] if rows.sigmoid else rows.labels
    x = rows.x[:, 0] if rows.sigmoid else rows.x
    if (
        len(rows) < FEW
        or len(np.unique(labels)) < 2
        or not np.isin(labels, np.arange(max(2, rows.classes))).all()
        or np.abs(x, where=np.isfinite(x), out=np.zeros_like(x)).max() > MOST
    ):
        return
    kind = {"probabilities": "proba", "log_probabilities": "log_proba"}.get(rows.kind, "logits")
    if not rows.sigmoid:  # those that were rounded sum to 1 only nearly, which calibrators refuse
        kind = "logits" if kind == "log_proba" else kind
        x = x / x.sum(axis=1, keepdims=True) if kind == "proba" else x
    gain = cross_validated_gain(TemperatureScaling(kind), x, labels.astype(np.int64), interval=CONFIDENCE)
    learned = gain.calibrated_log_loss < 0.9 * rows.entropy
    if learned and gain.is_beyond_chance and gain.gain > max(WORTH * gain.log_loss, 0.005):
        scaling = TemperatureScaling(kind)
        scaling.fit(x, labels.astype(np.int64))
        T = scaling.temperature_
        sure = "too sure of themselves" if T > 1 else "too careful"
        yield Finding(
            "temperature",
            f"The predictions are {sure}: one temperature would lower the loss on rows that it was not fitted to.",
            {
                "loss_as_called": gain.log_loss,
                "loss_with_the_temperature": gain.calibrated_log_loss,
                "temperature": float(T),
            },
            f"logits / {T:.3g}  # fitted to rows that the model was not trained on: crossentropy calibrate",
            cost=gain.gain,
        )
