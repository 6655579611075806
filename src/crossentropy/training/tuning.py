"""The search of options by the validation rows."""

import math
from collections.abc import Callable
from dataclasses import replace

import optuna

from crossentropy._loss_expressions.settings import free_settings, with_settings
from crossentropy.training.errors import DivergedError, InputError
from crossentropy.training.fit import fit_classifier, make_classifier
from crossentropy.training.measures import badness, common_measure
from crossentropy.training.options import Options
from crossentropy.training.prepare import Prepared
from crossentropy.training.threads import cpu_threads
from crossentropy.training.trials import Trial, Tuning

MOST_LAYERS = 3
#: drawn before the estimator learns from them; Optuna's 10 would be most of a small number of trials
RANDOM_TRIALS = 5


# as in `train`, which repeats the best trial
@cpu_threads(1)
def tune(
    prepared: Prepared,
    options: Options,
    trials: int,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    on_notice: Callable[[str], None] = lambda notice: None,
) -> Tuning:
    """Search learning rate, hidden layers, weight decay, dropout and the settings that the loss leaves at defaults.

    The first trial has the given options, so the best one is no worse on the validation rows. The others are drawn by
    the tree-structured Parzen estimator of Bergstra et al. (NeurIPS 2011). The held-out rows have no part in it. Ctrl-C
    ends the search; the trial in which it is pressed does not count.

    Parameters
    ----------
    prepared : Prepared
    options : Options
    trials : int
        How many trainings there are, at least one.
    on_trial : callable, optional
        Called with each `Trial` when it ends.
    on_notice : callable, optional
        Called with a sentence if the user stops the search.

    Raises
    ------
    InputError
        If no trial was finished without divergence.
    """
    own = free_settings(options.loss)
    changed = with_settings(options.loss, {name: limits.low for name, limits in own.items()})
    measure = common_measure(options.select, [options.loss, changed])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # NumPy's old generator, which Optuna draws by, takes 32 bits
    sampler = optuna.samplers.TPESampler(seed=options.seed % 2**32, n_startup_trials=RANDOM_TRIALS)
    study = optuna.create_study(sampler=sampler)
    done: list[tuple[tuple[float, float], Trial]] = []
    while len(done) < trials:
        drawn = study.ask() if done else None
        candidate = options if drawn is None else _draw(drawn, options)
        classifier = make_classifier(candidate, prepared.dataset.classes)
        try:
            if fit_classifier(classifier, prepared, lambda epoch: None, on_notice):
                break
            best = classifier.history_[classifier.best_epoch_ - 1]
            order, value, epoch = badness(best, measure), getattr(best, f"validation_{measure}"), best.epoch
        except DivergedError:
            order, value, epoch = (math.inf, math.inf), math.nan, 0
        trial = Trial(candidate, value, epoch, len(classifier.history_))
        done.append((order, trial))
        on_trial(trial)
        if drawn is not None:
            study.tell(drawn, order[0])
    finished = [pair for pair in done if not math.isnan(pair[1].value)]
    if not finished:
        why = "was finished" if not done else "converged; pass a smaller --learning-rate"
        raise InputError(f"--tune: no trial {why}.")
    return Tuning(measure, [trial for _, trial in done], min(finished, key=lambda pair: pair[0])[1])


def _draw(trial: optuna.trial.Trial, options: Options) -> Options:
    """Choose the options of a trial, rounded so that they can be written down and passed again."""
    settings = {
        name: _rounded(trial.suggest_float(name, limits.low, limits.high, log=limits.logarithmic))
        for name, limits in free_settings(options.loss).items()
    }
    layers = trial.suggest_int("layers", 0, MOST_LAYERS)
    width = 2 ** trial.suggest_int("log2_width", 4, 9)
    return replace(
        options,
        loss=with_settings(options.loss, settings),
        learning_rate=_rounded(trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True)),
        # each layer half as wide as the one before it, as the default ones are
        hidden=tuple(width >> i for i in range(layers)),
        weight_decay=_rounded(trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)),
        dropout=trial.suggest_float("dropout", 0, 0.5, step=0.05),
    )


def _rounded(x: float) -> float:
    return float(f"{x:.3g}")
