"""What a user has to know about a finished run, each in a sentence with what to do."""

import math

from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.training.experiment import Run
from crossentropy.training.measures import described

EXPLOSION = 10  # times the first epoch's objective, or the log loss of equal probabilities
MOST_WEIGHTS = 6  # that are listed


def selection(run: Run) -> str:
    """Say which epoch was kept, and why that one."""
    return (
        f"The model is that of epoch {run.best.epoch} of {len(run.history)}, where the {described(run.options.select)} "
        f"(--select {run.options.select})."
    )


def remarks(run: Run) -> list[str]:
    """List sentences about a finished run."""
    return [*_of_weights(run), *_of_convergence(run), *_of_explosion(run), *_of_baseline(run)]


def _of_weights(run: Run) -> list[str]:
    """Say what the weights of classes do to the probabilities."""
    if run.other_scores is None:
        nothing = "--correct-weights has no effect, because all classes have the same weight in the loss."
        return [nothing] if run.options.correct_weights else []
    of_class = dict(zip(run.model.classes, run.model.classifier.class_weight_.tolist(), strict=True))
    if len(of_class) <= MOST_WEIGHTS:
        weights = ", ".join(f"{value} {weight:.4g}" for value, weight in of_class.items())
    else:
        weights = f"from {min(of_class.values()):.4g} to {max(of_class.values()):.4g}"
    if run.options.correct_weights:
        return [
            f"The classes have weights in the loss ({weights}), and --correct-weights has taken them out of the "
            "probabilities: the logarithm of a class's weight was subtracted from its score. With the weights, the log "
            f"loss is {run.other_scores.nats:.4f} nats and the balanced accuracy "
            f"{run.other_scores.balanced_accuracy:.2%}."
        ]
    return [
        f"The classes have weights in the loss ({weights}), so the probabilities are those of data in which each class "
        "is as frequent as its weight makes it, and the log loss is not to be compared with the baseline's. With the "
        "weights taken out of the probabilities (--correct-weights), the log loss is "
        f"{run.other_scores.nats:.4f} nats and the balanced accuracy {run.other_scores.balanced_accuracy:.2%}."
    ]


def _of_convergence(run: Run) -> list[str]:
    """Say if the last epoch is the best, because no more were allowed or the user stopped the training."""
    if run.stopped:
        return [f"The training was stopped after epoch {len(run.history)}; --resume goes on with it."]
    if run.converged:
        return []
    return [
        f"The training has not converged: epoch {run.best.epoch}, the last that --epochs allows, is the best. Pass a "
        "larger --epochs, with --resume to go on from here."
    ]


def _of_explosion(run: Run) -> list[str]:
    """Say if the objective once was many times that of the first epoch, or the log loss that of equal probabilities."""
    first, worst = run.history[0].objective, max(run.history, key=lambda epoch: epoch.objective)
    uniform, surprised = (
        math.log(len(run.model.classes)),
        max(run.history, key=lambda epoch: epoch.log_loss),
    )
    if worst.objective > EXPLOSION * max(first, 0) + 1:
        how = (
            f"the mean loss of the training rows rose from {first:.4g} in epoch 1 to {worst.objective:.4g} in epoch "
            f"{worst.epoch}"
        )
    elif parse_loss(run.options.loss).about_probabilities and surprised.log_loss > EXPLOSION * uniform + 1:
        how = (
            f"the log loss of the training rows was {surprised.log_loss:.4g} nats in epoch {surprised.epoch}, and it "
            f"is {uniform:.4g} nats if every class has the same probability"
        )
    else:
        return []
    return [
        f"The training exploded: {how}. Pass a smaller --learning-rate than {run.options.learning_rate:g}."
    ]


def _of_baseline(run: Run) -> list[str]:
    """Say if the model is no better than always predicting the training frequencies.

    If classes have weights, the probabilities without them are compared.
    """
    weighted = run.other_scores is not None and not run.options.correct_weights
    scores = run.other_scores if weighted and run.other_scores else run.scores
    excess = scores.nats - run.baseline.nats
    if excess < 0:
        return []
    taken_out = ", with the weights taken out," if weighted else ""
    return [
        f"The model is no better than the baseline on the held-out rows: its log loss{taken_out} is {excess:.4g} nats "
        "higher. The columns may say nothing of the label, the rows may be too few, or the loss may not aim at "
        "probabilities."
    ]
