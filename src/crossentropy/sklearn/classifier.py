"""A classifier for scikit-learn: a multilayer perceptron, trained with any loss of this package."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from crossentropy._loss_expressions.objective import Objective
from crossentropy._loss_expressions.parse import parse_loss
from crossentropy.sklearn._arguments import Table, class_counts, class_weights, in_words, read_table
from crossentropy.sklearn._network import build_network, choose_device, widths_of
from crossentropy.sklearn._parameters import check_parameters
from crossentropy.sklearn._prediction import PredictionMixin
from crossentropy.sklearn._rows import Rows, merge_repeated, stratified_share
from crossentropy.sklearn._selection import Selection
from crossentropy.sklearn._state import StateMixin
from crossentropy.sklearn._trainer import Epoch, Measures, Trainer

__all__ = ["CrossEntropyClassifier"]

#: rows from which on early stopping is the default
ROWS_FOR_STOPPING = 1000


class CrossEntropyClassifier(ClassifierMixin, PredictionMixin, StateMixin):
    """A multilayer perceptron that is trained by Adam with any loss of this package.

    Inputs should be standardized, as by `sklearn.preprocessing.StandardScaler`.

    Parameters
    ----------
    loss : str
        A loss by name, with keywords: ``"cross_entropy(label_smoothing=0.1)"``, ``"focal(gamma=2)"``,
        ``"generalized_cross_entropy"``. The command ``crossentropy losses`` lists them. Words such as
        ``class_weight=balanced`` and ``logit_bias=adjusted`` use the class counts of the training rows, which are
        sums of sample weights.
    hidden : tuple of int
        Widths of the hidden layers; ``()`` makes a linear model.
    dropout : float
        Share of the outputs of each hidden layer that a training step sets to 0.
    class_weight : None, "balanced" or dict
        Weights of the classes in the objective, by label, times the sample weights; ``"balanced"`` weighs a class in
        inverse proportion to its count. Classes that a dict leaves out have the weight 1. Probabilities are then those
        of a data set in which the classes have these weights.
    correct_weights : bool
        Whether the weights of the classes, those of the loss too, are taken out of the probabilities: ln w_c is
        subtracted from the score of class c, which is exact for cross-entropy. It may be set after `fit`.
    learning_rate, weight_decay : float
        Adam's step size and L2 penalty.
    batch_size : int
        Rows of a step.
    epochs : int
        Most passes over the training rows.
    early_stopping : bool or "auto"
        Whether rows that are not trained on choose the epoch: those given to `fit`, or else a share of each class.
        ``"auto"``: if `fit` was given such rows, or has at least 1000 rows. Without, the training rows choose.
    validation_fraction : float
        The share of each class.
    select : {"objective", "log_loss", "accuracy"}
        What chooses the epoch whose parameters are kept: the objective that is trained, with its weights, the log loss,
        or the accuracy. A robust loss needs the objective where labels are wrong: the log loss of wrong labels is least
        while the network has learned little.
    patience : int
        Training ends after so many epochs without an improvement.
    tol : float
        The least improvement that counts.
    warm_start : bool
        Whether `fit` goes on from the last epoch of an earlier `fit`, also of one that was interrupted, until `epochs`
        in all. With the same data the result is that of one `fit`.
    device : str
        A device of PyTorch, or ``"auto"``: CUDA if available, else the CPU.
    random_state : int, RandomState or None
        Decides the initial parameters, the order of the rows, the dropout and the validation rows.
    callback : callable, optional
        Called as ``callback(classifier, epoch)`` after each epoch of `fit`, with an `Epoch`. The classifier predicts
        with the parameters of the best epoch up to then, and `to_state` returns its state.

    Attributes
    ----------
    classes_ : ndarray (C,)
        The labels, sorted.
    class_weight_ : ndarray (C,)
        The weights of the classes in the objective, those of the loss included.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        If the inputs were a data frame.
    network_ : torch.nn.Sequential
        With the parameters of the best epoch, float32.
    history_ : list of Epoch
        The measures of every epoch.
    n_iter_ : int
        Number of epochs.
    best_epoch_ : int
        The epoch whose parameters are kept, counted from 1.
    converged_ : bool
        Whether the best epoch is not the last one.

    Notes
    -----
    Rows of sample weight 0 count as not given. In a batch, weights are relative to their mean over all training rows.
    If all training rows fit into one batch, rows of the same inputs and label are merged, so that a weight of k is the
    same as k repetitions, to the bit.

    The network has float32 parameters; predictions are computed in float64.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = CrossEntropyClassifier("focal(gamma=2)", hidden=(32,), learning_rate=0.01, random_state=0)
    >>> model = make_pipeline(StandardScaler(), classifier).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    >>> model.predict_proba(X[:2]).sum(axis=1)
    array([1., 1.])
    """

    def __init__(
        self,
        loss: str = "cross_entropy",
        hidden: Iterable[int] = (256, 128),
        *,
        dropout: float = 0.0,
        class_weight: str | Mapping[Any, float] | None = None,
        correct_weights: bool = False,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        batch_size: int = 64,
        epochs: int = 200,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        select: str = "objective",
        patience: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        callback: Callable[[CrossEntropyClassifier, Epoch], object] | None = None,
    ) -> None:
        self.loss = loss
        self.hidden = hidden
        self.dropout = dropout
        self.class_weight = class_weight
        self.correct_weights = correct_weights
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.select = select
        self.patience = patience
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.callback = callback

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> CrossEntropyClassifier:
        """Train on rows with labels.

        Parameters
        ----------
        X : array or data frame (rows, features)
            Finite numbers; they are rounded to float32.
        y : array (rows,)
            Labels: integers, strings or booleans.
        sample_weight : array (rows,), optional
            Not negative.
        X_val, y_val, sample_weight_val
            Rows that choose the epoch, in place of a share of `X`. In a `Pipeline`, ``transform_input=["X_val"]``
            transforms them as `X`.

        Returns
        -------
        CrossEntropyClassifier
            Itself.

        Raises
        ------
        ValueError
            If a parameter or an argument is wrong.
        DivergenceError
            If the loss is no longer finite.
        """
        check_parameters(self.get_params(deep=False))
        device = choose_device(self.device)
        goes_on = self.warm_start and hasattr(self, "classes_")
        table, classes = read_table(self, X, y, sample_weight, reset=not goes_on)
        if goes_on:
            self._check_going_on(classes)
        seed = self._trainer.seed if goes_on else self._draw_seed()
        table, held_out = self._hold_out(table, X_val, y_val, sample_weight_val, classes, seed)
        counts = class_counts(table[1], table[2], len(classes))
        objective = parse_loss(self.loss, torch.from_numpy(counts).to(device))
        if len(table[1]) <= self.batch_size and objective.averages_rows:
            table = merge_repeated(*table)
        of_class = class_weights(self.class_weight, classes, table[1], table[2])
        if goes_on:
            self._trainer = self._trainer.on(device)
            self.network_.to(device)
        else:
            self._start(classes, seed, device)
        objective = self._with_weights(objective, of_class)
        validation = None if held_out is None else Rows.of(*held_out, of_class, device)
        self._run_epochs(Rows.of(*table, of_class, device), validation, objective)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> CrossEntropyClassifier:
        """Pass once over rows with labels, going on from the parameters so far.

        Parameters
        ----------
        X, y
            As in `fit`.
        classes : array (C,), optional
            All labels that will come; needed in the first call.
        sample_weight : array (rows,), optional

        Returns
        -------
        CrossEntropyClassifier
            Itself.

        Raises
        ------
        ValueError
            If an argument is wrong, or the objective depends on class counts, which one part of the data does not tell.
        DivergenceError
            If the loss is no longer finite.
        """
        check_parameters(self.get_params(deep=False))
        objective = parse_loss(self.loss)
        if objective.uses_counts or self.class_weight == "balanced":
            raise ValueError(
                f"the loss {self.loss!r} with class_weight={self.class_weight!r} needs the counts of the classes in "
                "all of the data, which partial_fit does not see; call fit, or pass a loss without counts, and weights "
                "of classes as class_weight={label: weight, …}"
            )
        device = choose_device(self.device)
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        known = np.unique(classes) if first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes is {classes!r}; those of the first call were {in_words(known)}")
        table, _ = read_table(self, X, y, sample_weight, reset=first, classes=known)
        if first:
            self._start(known, self._draw_seed(), device)
        elif not hasattr(self, "_trainer"):  # made from a state without that of the optimizer
            self._trainer = Trainer(copy.deepcopy(self.network_), self._draw_seed(), self.n_iter_)
        of_class = class_weights(self.class_weight, known, table[1], table[2])
        objective = self._with_weights(objective, of_class)
        self._trainer = self._trainer.on(device)
        self._trainer.network.load_state_dict(self.network_.state_dict())
        rows = Rows.of(*table, of_class, device)
        measures = self._train_epoch(rows, objective)
        self.network_ = copy.deepcopy(self._trainer.network)
        self.history_.append(Epoch(self._trainer.epoch, *astuple(measures)))
        self.n_iter_ = self.best_epoch_ = self._trainer.epoch
        self.converged_ = False
        return self

    def _draw_seed(self) -> int:
        """Return the seed of the network, the batches and the validation rows."""
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _check_going_on(self, classes: np.ndarray) -> None:
        """Raise ValueError unless `fit` can go on from the last epoch."""
        if not hasattr(self, "_trainer"):
            raise ValueError(
                "warm_start is True, and the state that this classifier was made from does not hold what fit needs to "
                "go on; write it by to_state(resume=True)"
            )
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start is True, and the labels are {in_words(classes)}; those of the earlier fit were "
                f"{in_words(self.classes_)}"
            )
        hidden = widths_of(self.network_)[1:-1]
        if list(self.hidden) != hidden:
            raise ValueError(
                f"warm_start is True, and hidden is {self.hidden!r}; in the earlier fit it was {hidden}"
            )

    def _hold_out(
        self, table: Table, X_val: Any, y_val: Any, sample_weight_val: Any, classes: np.ndarray, seed: int
    ) -> tuple[Table, Table | None]:
        """Split into training rows and validation rows, if there are any."""
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together; pass both or none")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val is of the rows of X_val and y_val; pass these as well")
        if X_val is not None:
            if self.early_stopping is False:
                raise ValueError(
                    "early_stopping is False, and the rows of X_val would choose the epoch; pass early_stopping=True, "
                    "or no X_val"
                )
            names = "X_val", "y_val", "sample_weight_val"
            return table, read_table(self, X_val, y_val, sample_weight_val, names=names, classes=classes)[0]
        X, labels, weight = table
        enough = len(labels) >= ROWS_FOR_STOPPING
        if not (enough if self.early_stopping == "auto" else self.early_stopping):
            return table, None
        drawn = stratified_share(labels, self.validation_fraction, seed)
        if not drawn.any():
            raise ValueError(
                f"validation_fraction is {self.validation_fraction}, less than half a row of each of the "
                f"{len(classes)} classes; pass more, or early_stopping=False"
            )
        first, second = (
            (X[part], labels[part], None if weight is None else weight[part]) for part in (~drawn, drawn)
        )
        return first, second

    def _with_weights(self, objective: Objective, of_class: np.ndarray | None) -> Objective:
        """Keep the weights of the classes and the transform to probabilities; return the objective with the latter."""
        self._transform = objective.transform
        of_loss = 1.0 if objective.class_weight is None else np.asarray(objective.class_weight.cpu())
        self.class_weight_ = np.ones(len(self.classes_)) * of_loss * (1.0 if of_class is None else of_class)
        return replace(objective, transform=self._final_transform())

    def _start(self, classes: np.ndarray, seed: int, device: torch.device) -> None:
        """Make a new network, its optimizer and an empty history."""
        widths = [self.n_features_in_, *map(int, self.hidden), len(classes)]
        self._trainer = Trainer(build_network(widths, self.dropout, seed).to(device), seed)
        self.network_ = copy.deepcopy(self._trainer.network)
        self.classes_ = classes
        self.history_ = []
        self.n_iter_ = self.best_epoch_ = 0
        self.converged_ = False

    def _train_epoch(self, rows: Rows, objective: Objective) -> Measures:
        return self._trainer.train_epoch(
            rows, objective, self.batch_size, self.learning_rate, self.weight_decay
        )

    def _run_epochs(self, train: Rows, validation: Rows | None, objective: Objective) -> None:
        """Train until nothing has improved for a while, and keep the parameters of the best epoch."""
        selection = Selection(self.select, self.tol)
        for epoch in self.history_:
            selection.improves(epoch)
        while self.n_iter_ < self.epochs and selection.waited(self.n_iter_) < self.patience:
            measured = astuple(self._train_epoch(train, objective))
            if validation is not None:
                measured += astuple(self._trainer.measure(validation, objective))
            epoch = Epoch(self._trainer.epoch, *measured)
            self.history_.append(epoch)
            self.n_iter_ = epoch.epoch
            if selection.improves(epoch):
                self.best_epoch_ = epoch.epoch
                self.network_.load_state_dict(self._trainer.network.state_dict())
            self.converged_ = self.best_epoch_ < self.n_iter_
            if self.callback is not None:
                self.callback(self, epoch)
        if not self.converged_:
            rows = "training" if validation is None else "validation"
            warnings.warn(
                f"the last epoch, {self.n_iter_}, is the best one by the {self.select} of the {rows} rows: training "
                "may not have converged; raise epochs",
                ConvergenceWarning,
                stacklevel=3,
            )
