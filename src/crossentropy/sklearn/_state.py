"""A fitted classifier as plain values and tensors, which can be stored without code, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from crossentropy._loss_expressions.objective import LogitTransform
from crossentropy._versions import Self
from crossentropy.sklearn._network import network_of_state
from crossentropy.sklearn._trainer import Epoch, Trainer

__all__ = ["StateMixin"]

FORMAT = 1
PLAIN = (bool, int, float, str)


class StateMixin(BaseEstimator):
    """The state of a classifier as plain values and tensors, and its pickle."""

    classes_: np.ndarray
    class_weight_: np.ndarray
    network_: nn.Sequential
    history_: list[Epoch]
    n_iter_: int
    best_epoch_: int
    converged_: bool
    dropout: float
    _transform: LogitTransform
    _trainer: Trainer

    def to_state(self, *, resume: bool = False) -> dict[str, Any]:
        """Return the fitted classifier as plain values and tensors.

        ``torch.save`` writes it, and ``torch.load(path, weights_only=True)`` reads it without executing anything. All
        but ``state["network"]``, a dict of tensors, can be written as JSON.

        Parameters
        ----------
        resume : bool
            Whether the state also has what `fit` with ``warm_start=True`` needs to go on: the parameters of the last
            epoch and the optimizer's moments, three times the size of the network.

        Returns
        -------
        dict
            For `from_state`. The callback is left out, and a `RandomState` becomes None.

        Raises
        ------
        TypeError
            If a label is no number, string or boolean.
        """
        check_is_fitted(self)
        return _write_state(self, resume)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], **parameters: Any) -> Self:
        """Make a fitted classifier from the state of another.

        Parameters
        ----------
        state : dict
            As `to_state` returns it.
        **parameters
            Parameters of the constructor that are to differ from those of the state, such as `device`.

        Returns
        -------
        CrossEntropyClassifier
            It predicts on the CPU; `fit` moves it.

        Raises
        ------
        ValueError
            If the state cannot be read.
        """
        classifier = cls(**(_parameters_of(state) | parameters))
        _read_state(classifier, state)
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        if "network_" in state:
            state["network_"] = _on_cpu(self.network_)
        if "_trainer" in state:
            state["_trainer"] = self._trainer.state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = network_of_state(state["network_"], self.dropout)
        if "_trainer" in state:
            self._trainer = Trainer.of_state(state["_trainer"], self.dropout, torch.device("cpu"))


def _write_state(classifier: StateMixin, resume: bool) -> dict[str, Any]:
    """Collect the state of a fitted classifier."""
    parameters = classifier.get_params(deep=False)
    del parameters["callback"]
    parameters["hidden"] = [int(width) for width in parameters["hidden"]]
    if isinstance(parameters["class_weight"], dict):
        # JSON has no keys but strings
        parameters["class_weight"] = [[_plain(c), float(w)] for c, w in parameters["class_weight"].items()]
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    names = getattr(classifier, "feature_names_in_", None)
    state: dict[str, Any] = {
        "format": FORMAT,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "classes": _plain(classifier.classes_),
        "classes_dtype": classifier.classes_.dtype.str,
        "class_weight": _plain(classifier.class_weight_),
        "features": classifier.n_features_in_,
        "feature_names": None if names is None else _plain(names),
        "temperature": float(classifier._transform.temperature),
        "softcap": _plain(classifier._transform.softcap),
        "history": [asdict(epoch) for epoch in classifier.history_],
        "best_epoch": classifier.best_epoch_,
        "converged": classifier.converged_,
        "network": _on_cpu(classifier.network_),
    }
    if resume:
        state["training"] = classifier._trainer.state()
    return state


def _read_state(classifier: StateMixin, state: Mapping[str, Any]) -> None:
    """Give a new classifier the fitted attributes of a state."""
    classifier.classes_ = np.array(state["classes"], dtype=np.dtype(state["classes_dtype"]))
    classifier.class_weight_ = np.array(state["class_weight"])
    classifier.n_features_in_ = state["features"]
    if state["feature_names"] is not None:
        classifier.feature_names_in_ = np.array(state["feature_names"], dtype=object)
    classifier._transform = LogitTransform(state["temperature"], state["softcap"])
    classifier.history_ = [Epoch(**epoch) for epoch in state["history"]]
    classifier.n_iter_ = len(classifier.history_)
    classifier.best_epoch_ = state["best_epoch"]
    classifier.converged_ = state["converged"]
    classifier.network_ = network_of_state(state["network"], classifier.dropout)
    if "training" in state:
        classifier._trainer = Trainer.of_state(state["training"], classifier.dropout, torch.device("cpu"))


def _parameters_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the constructor that a state holds.

    Raises
    ------
    ValueError
        If it is the state of no classifier, or a later version has written it.
    """
    if not isinstance(state, Mapping) or not isinstance(state.get("format"), int):
        raise ValueError("the state was not written by CrossEntropyClassifier.to_state")
    if state["format"] != FORMAT:
        raise ValueError(
            f"the state has format {state['format']}, and this version of crossentropy reads format {FORMAT}; "
            "install the version that wrote it"
        )
    parameters = dict(state["parameters"])
    parameters["hidden"] = tuple(parameters["hidden"])
    if isinstance(parameters["class_weight"], list):
        parameters["class_weight"] = dict(parameters["class_weight"])
    return parameters


def _on_cpu(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters by name, as tensors on the CPU."""
    return {name: value.cpu() for name, value in network.state_dict().items()}


def _plain(value: Any) -> Any:
    """Convert to the types of JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, PLAIN):
        return value
    raise TypeError(
        f"{value!r} is of type {type(value).__name__}; a state holds numbers, strings and booleans only"
    )
