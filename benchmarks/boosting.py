"""Training with our objectives, beside the libraries' own: XGBoost, LightGBM and CatBoost.

OMP_NUM_THREADS=2 python benchmarks/boosting.py [--rows 100000] [--turns 5] [--threads 2] [--only REGEX]

Twenty rounds on 20 features, data sets made beforehand. Sides take turns in one process; a ratio is our time by that of
the library's own objective in the same turn, and the table has the median and the quartiles. Both wall time and the
processor's time are given: where other processes use the cores, the second is the steadier one. CatBoost calls an
objective of several classes for each row in Python, so it has a smaller data set.
"""

import argparse
import re
import warnings
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter, process_time

import catboost
import lightgbm
import numpy as np
import xgboost

from crossentropy.boosting import SigmoidObjective, SoftmaxObjective
from crossentropy.links import Focal
from machine import description
from table import grid

ROUNDS, FEATURES, GOAL = 20, 20, 1.3
CATBOOST_ROWS = 2000  # of several classes

Train = Callable[[], object]
Objective = SigmoidObjective | SoftmaxObjective


def table_of(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and noisy labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    scores = X @ rng.normal(size=(FEATURES, classes)) + 2 * rng.gumbel(size=(rows, classes))
    return X, scores.argmax(axis=1)


def of_xgboost(X: np.ndarray, y: np.ndarray, objective: Objective, threads: int) -> tuple[Train, Train]:
    """Training with XGBoost's own objective, and with ours."""
    own = objective.xgboost
    settings = {"nthread": threads, "verbosity": 0}
    data, params = xgboost.QuantileDMatrix(X, y, nthread=threads), own.params(y) | settings
    built_in = {
        name: value for name, value in params.items() if name in ("objective", "num_class", "nthread")
    }
    return (
        lambda: xgboost.train(built_in, data, ROUNDS),
        lambda: xgboost.train(params, data, ROUNDS, obj=own),
    )


def of_lightgbm(X: np.ndarray, y: np.ndarray, objective: Objective, threads: int) -> tuple[Train, Train]:
    """Training with LightGBM's own objective, and with ours."""
    built_in = {"objective": "binary", "num_threads": threads, "verbose": -1}
    if isinstance(objective, SoftmaxObjective):
        built_in |= {"objective": "multiclass", "num_class": int(y.max()) + 1}
    own = objective.lightgbm
    plain, started = (
        lightgbm.Dataset(X, y, init_score=start, params=built_in).construct()
        for start in (None, own.init_score(y))
    )
    return (
        lambda: lightgbm.train(built_in, plain, ROUNDS),
        lambda: lightgbm.train(built_in | {"objective": own}, started, ROUNDS),
    )


def of_catboost(X: np.ndarray, y: np.ndarray, objective: Objective, threads: int) -> tuple[Train, Train]:
    """Training with CatBoost's own objective, and with ours."""
    several = isinstance(objective, SoftmaxObjective)
    if several:
        X, y = X[:CATBOOST_ROWS], y[:CATBOOST_ROWS]
    own, pool = objective.catboost, catboost.Pool(X, y)
    settings = {
        "iterations": ROUNDS,
        "learning_rate": 0.3,
        "thread_count": threads,
        "verbose": 0,
        "allow_writing_files": False,
        "leaf_estimation_method": "Newton",
        "leaf_estimation_iterations": 1,
        "boosting_type": "Plain",
    }
    built_in = {**settings, "loss_function": "MultiClass" if several else "Logloss"}
    ours = {**settings, "loss_function": own, "eval_metric": own.loss}
    ours |= {"classes_count": int(y.max()) + 1} if several else {}
    return lambda: catboost.CatBoost(built_in).fit(pool), lambda: catboost.CatBoost(ours).fit(pool)


LIBRARIES = {"XGBoost": of_xgboost, "LightGBM": of_lightgbm, "CatBoost": of_catboost}


def cases(rows: int) -> dict[str, tuple[int, int, Objective]]:
    """Rows, classes and objective, by name."""
    return {
        "binary": (rows, 2, SigmoidObjective()),
        "binary, focal": (rows, 2, SigmoidObjective(link=Focal(2.0), hessian="positive")),
        "10 classes": (min(rows, 100_000), 10, SoftmaxObjective()),
        "10 classes, smoothed": (min(rows, 100_000), 10, SoftmaxObjective(label_smoothing=0.1)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", default="", help="a regular expression for the cases, as in 'XGBoost binary'"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="catboost")
    lines = []
    for name, (rows, classes, objective) in cases(options.rows).items():
        X, y = table_of(rows, classes)
        for library, make in LIBRARIES.items():
            if not re.search(options.only, f"{library} {name}"):
                continue
            lines.append(
                [f"{library}, {name}", *measured(*make(X, y, objective, options.threads), options.turns)]
            )
            print(*lines[-1], sep="  ", flush=True)
    print()
    for key, value in description().items():
        print(f"{key}: {value}")
    print()
    header = ["case", "own (s)", "wall", "quartiles", "processor", "quartiles"]
    print(grid(header, lines, left=1))
    print(f"Ratios to the library's own objective; the goal is at most {GOAL}.")


def measured(built_in: Train, ours: Train, turns: int) -> list[str]:
    """The time of the library's own objective, and the ratios of wall and processor's time."""
    times: dict[str, list[tuple[float, float]]] = {"own": [], "ours": []}
    for turn in range(turns + 1):  # the first is to warm up
        for side, train in (("own", built_in), ("ours", ours)):
            start = perf_counter(), process_time()
            train()
            taken = perf_counter() - start[0], process_time() - start[1]
            if turn:
                times[side].append(taken)
    cells = [f"{median(wall for wall, _ in times['own']):.2f}"]
    for clock in (0, 1):
        ratios = [b[clock] / a[clock] for a, b in zip(times["own"], times["ours"], strict=True)]
        low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else (ratios[0],) * 3
        cells += [f"{median(ratios):.2f}", f"{low:.2f}–{high:.2f}"]
    return cells


if __name__ == "__main__":
    main()
