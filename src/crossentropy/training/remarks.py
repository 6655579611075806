"""What a user has to know about a finished run: it has not converged, is no better than the baseline, or exploded."""

from crossentropy.training.experiment import Run
from crossentropy.training.fit import best_epoch

EXPLOSION = 10  # times the first epoch's objective


def remarks(run: Run) -> list[str]:
    """List sentences about a finished run, each with what to do."""
    return [*_of_convergence(run), *_of_explosion(run), *_of_baseline(run)]


def _of_convergence(run: Run) -> list[str]:
    """Say if the last epoch that was allowed is the best."""
    best = best_epoch(run.history).epoch
    if best < run.options.epochs:
        return []
    return [
        f"The training has not converged: epoch {best}, the last that --epochs allows, is the best. Pass a larger "
        "--epochs."
    ]


def _of_explosion(run: Run) -> list[str]:
    """Say if the objective once was many times that of the first epoch."""
    first, worst = run.history[0].objective, max(run.history, key=lambda epoch: epoch.objective)
    if not worst.objective > EXPLOSION * max(first, 0) + 1:
        return []
    return [
        f"The training exploded: the mean loss of the training rows rose from {first:.4g} in epoch 1 to "
        f"{worst.objective:.4g} in epoch {worst.epoch}. Pass a smaller --learning-rate than "
        f"{run.options.learning_rate:g}."
    ]


def _of_baseline(run: Run) -> list[str]:
    """Say if the model is no better than always predicting the training frequencies."""
    excess = run.scores.nats - run.baseline.nats
    if excess < 0:
        return []
    return [
        f"The model is no better than the baseline on the held-out rows: its log loss is {excess:.4f} nats higher. The "
        "columns may say nothing of the label, the rows may be too few, or the loss may not aim at probabilities."
    ]
