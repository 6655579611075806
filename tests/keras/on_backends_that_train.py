"""`doctor.watch_keras` on the backend of this process, which can train; `test_backends.py` runs it on each."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

import crossentropy.keras as ck
from crossentropy import doctor
from crossentropy.links import Focal
from sampling import full

BACKENDS = ["tensorflow", "jax", "torch"]
BACKEND = keras.config.backend()
C, WIDTH, ROWS = 4, 8, 256
L = keras.losses


def data(noise=1.0):
    r = np.random.default_rng(0)
    x = r.normal(size=(ROWS, WIDTH)).astype("float32")
    scores = 2 * x @ r.normal(size=(WIDTH, C)) + noise * r.normal(size=(ROWS, C))
    return x, scores.argmax(1)


def net(last=None, units=C, first="relu"):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((WIDTH,)), keras.layers.Dense(16, first), keras.layers.Dense(units, last)]
    )


def fit(loss, y=None, model=None, *, x=None, epochs=5, steps=40, watched=True):
    of_data = data()
    x, y = of_data[0] if x is None else x, of_data[1] if y is None else y
    model = net() if model is None else model
    model.compile(keras.optimizers.Adam(0.01), loss)
    callback = doctor.watch_keras(x, y, steps=steps)
    model.fit(x, y, batch_size=32, epochs=epochs, callbacks=[callback] if watched else [], verbose=0)
    return callback.report


def each(trainings):
    """The trainings by name: each on one of the backends, the first on every one, and all on all in the full suite."""
    own = BACKENDS.index(BACKEND)
    return pytest.mark.parametrize(
        "name",
        [x for i, name in enumerate(trainings) for x in ([name] if i % 3 == own or not i else full([name]))],
    )


def names(report):
    return [finding.name for finding in report]


HOT = np.eye(C, dtype="float32")
SPARSE = L.SparseCategoricalCrossentropy(from_logits=True)
HEALTHY = {
    "sparse": lambda y: fit(SPARSE, y),
    "ours": lambda y: fit(ck.SparseCategoricalCrossentropy(from_logits=True), y),
    "focal": lambda y: fit(ck.CrossEntropyLoss(link=Focal(2.0)), y),
    "smoothed": lambda y: fit(L.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), HOT[y]),
    "a softmax and its name": lambda y: fit("categorical_crossentropy", HOT[y], net("softmax")),
    "yes or no": lambda y: fit("binary_crossentropy", (y == 1).astype("float32"), net("sigmoid", 1)),
    "questions": lambda y: fit(L.BinaryCrossentropy(from_logits=True), HOT[y]),
    "left out": lambda y: fit(
        ck.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1), np.where(y == 0, -1, y)
    ),
}


def huge():
    model = net()
    model.layers[-1].set_weights([20 * w for w in model.layers[-1].get_weights()])
    return model


def dead():
    model = net()
    weights, biases = model.layers[0].get_weights()
    model.layers[0].set_weights([weights, biases - 100])
    return model


PLANTED = {
    "softmax_twice": lambda y: fit(SPARSE, y, net("softmax")),
    "sigmoid_twice": lambda y: fit(L.BinaryCrossentropy(from_logits=True), HOT[y], net("sigmoid")),
    "logits_as_probabilities": lambda y: fit(L.SparseCategoricalCrossentropy(), y),
    "unnormalized_probabilities": lambda y: fit("sparse_categorical_crossentropy", y, net("sigmoid")),
    "initial_loss": lambda y: fit(SPARSE, y, huge()),
    "dead_gradients": lambda y: fit(SPARSE, y, dead()),
    "not_learned": lambda y: fit(
        SPARSE, np.random.default_rng(1).permuted(y), x=np.ones((ROWS, WIDTH), "float32"), epochs=10
    ),
}


@each(HEALTHY)
def test_nothing_is_found_in_a_good_training(name):
    report = HEALTHY[name](data()[1])
    assert (names(report), report.looked_at[-27:]) == ([], "rows, 3 times in 40 batches")


@each(PLANTED)
def test_a_planted_fault_is_named_first(name):
    assert names(PLANTED[name](data()[1]))[:1] == [name]


def test_labels_from_one_are_named_before_the_loss_is_called():
    x, y = data()
    callback = doctor.watch_keras(x, y + 1)
    model = net()
    model.compile("sgd", SPARSE)
    callback.set_model(model)
    callback.on_train_begin()
    assert names(callback.report)[0] == "labels_from_one"
    assert callback.report[0].instead == "model.fit(x, y - 1)"


def test_numbers_that_are_not_finite_have_the_number_of_batches():
    class Broken(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 5:
                self.model.layers[-1].bias.assign([np.nan] * C)

    x, y = data()
    model, callback = net(), doctor.watch_keras(x, y, steps=8)
    model.compile("sgd", SPARSE)
    model.fit(x, y, batch_size=32, callbacks=[Broken(), callback], verbose=0)
    assert names(callback.report) == ["not_finite"]
    assert callback.report[0].evidence["batches_before"] == 8


def test_a_watched_training_is_the_same_to_the_bit():
    def weights(watched):
        model = keras.Sequential([*net().layers[:1], keras.layers.Dropout(0.5), keras.layers.Dense(C)])
        fit(SPARSE, model=model, epochs=2, watched=watched)
        return model.get_weights()

    for bare, watched in zip(weights(False), weights(True), strict=True):
        np.testing.assert_array_equal(bare, watched)


def test_a_training_that_ends_early_is_looked_at_at_its_end():
    report = fit(SPARSE, epochs=1, steps=100)
    assert report.looked_at == "256 rows, 2 times in 8 batches"
    assert any("8 batches are too few" in line for line in report.unseen)


def test_a_loss_of_another_kind_is_not_judged_and_named():
    report = fit("mean_squared_error", HOT[data()[1]])
    assert names(report) == []
    assert any("MeanSquaredError" in line for line in report.unseen)


def test_steps_are_checked():
    with pytest.raises(ValueError, match="steps is 0; pass the number of batches to watch"):
        doctor.watch_keras(*data(), steps=0)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch is the backend")
def test_pytorch_is_not_imported():
    fit(SPARSE, epochs=1)
    assert "torch" not in sys.modules
