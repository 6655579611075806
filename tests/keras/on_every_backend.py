"""The face for Keras on the backend of this process; `test_backends.py` runs it on each."""

from __future__ import annotations

import sys
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import crossentropy.keras as ck
from advice import message_of, typed
from crossentropy import links
from sampling import sampled

IMPORTS_TORCH = "torch" in sys.modules
BACKEND = keras.config.backend()
RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(5, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2])
HOT = np.eye(4, dtype=np.int64)[LABELS]
YES_NO = (RNG.random((5, 4)) < 0.5).astype(np.int64)
E = np.exp(LOGITS.astype(np.float64))
P = E / E.sum(-1, keepdims=True)
Q = E / (1 + E)
CROSS_ENTROPY = -np.log(P[range(5), LABELS])
BINARY = -(YES_NO * np.log(Q) + (1 - YES_NO) * np.log(1 - Q))
BINARY_FOCAL = -(YES_NO * (1 - Q) ** 2 * np.log(Q) + (1 - YES_NO) * Q**2 * np.log(1 - Q))
NAMES = [name for name in ck.__all__ if name[0].isupper() and name != "CrossEntropyLoss"]
needs_fit = pytest.mark.skipif(BACKEND == "numpy", reason="NumPy does not train")
needs_print = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch's compiled programs say nothing")


def numpy(x):
    x = ops.convert_to_tensor(x)
    x = ops.cast(x, "float32") if "float16" in str(x.dtype) else x
    return np.asarray(ops.convert_to_numpy(x), dtype=np.float64)


def several(function, *arrays):
    """Several values of arrays; in JAX compiled at once, which takes less time than operation by operation."""
    if BACKEND == "jax":
        import jax

        function = jax.jit(function)
    return [numpy(x) for x in function(*map(ops.convert_to_tensor, arrays))]


def gradient(function, x):
    """By the backend's own differentiation."""
    if BACKEND == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(lambda x: function(x).sum()))(jax.numpy.asarray(x)))
    if BACKEND == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(function(x).sum(), x)[0].numpy()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(function(x))
        return tape.gradient(value, x).numpy()
    return pytest.skip("NumPy differentiates nothing")


def compiled(function, *arguments):
    """The function in a compiled program, or as it is where the backend has none."""
    arguments = [ops.convert_to_tensor(x) for x in arguments]
    if BACKEND == "jax":
        import jax

        return jax.jit(function)(*arguments)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)(*arguments)
    if BACKEND == "torch":
        import torch

        return torch.compile(function, fullgraph=True, backend="eager")(*arguments)
    return pytest.skip("NumPy compiles nothing")


def classifier(activation=None, units=4, **compile_options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation=activation)])
    model.compile("sgd", **compile_options)
    return model


# ---------------------------------------------------------------------------------------------- values

FUNCTIONS = [
    ("sparse_categorical_crossentropy", LABELS, P, LOGITS, CROSS_ENTROPY, {}),
    ("categorical_crossentropy", HOT, P, LOGITS, CROSS_ENTROPY, {}),
    (
        "categorical_crossentropy",
        2.0 * HOT + 0.5,
        P,
        LOGITS,
        -((2.0 * HOT + 0.5) * np.log(P)).sum(-1),
        {},
    ),
    (
        "categorical_crossentropy",
        HOT,
        P,
        LOGITS,
        -((0.8 * HOT + 0.05) * np.log(P)).sum(-1),
        {"label_smoothing": 0.2},
    ),
    (
        "categorical_focal_crossentropy",
        HOT,
        P,
        LOGITS,
        0.25 * (1 - np.exp(-CROSS_ENTROPY)) ** 2 * CROSS_ENTROPY,
        {},
    ),
    (
        "categorical_generalized_cross_entropy",
        LABELS,
        P,
        LOGITS,
        (1 - np.exp(-0.4 * CROSS_ENTROPY)) / 0.4,
        {"q": 0.4},
    ),
    (
        "sparse_categorical_crossentropy",
        LABELS,
        P,
        LOGITS,
        np.array([1.0, 2, 3, 4])[LABELS] * CROSS_ENTROPY,
        {"class_weight": [1.0, 2.0, 3.0, 4.0]},
    ),
    ("binary_crossentropy", YES_NO, Q, LOGITS, BINARY.mean(-1), {}),
    (
        "binary_crossentropy",
        YES_NO,
        Q,
        LOGITS,
        -((0.8 * YES_NO + 0.1) * np.log(Q) + (0.9 - 0.8 * YES_NO) * np.log(1 - Q)).mean(-1),
        {"label_smoothing": 0.2},
    ),
    ("binary_focal_crossentropy", YES_NO, Q, LOGITS, BINARY_FOCAL.mean(-1), {}),
    (
        "binary_focal_crossentropy",
        YES_NO,
        Q,
        LOGITS,
        (np.where(YES_NO, 0.3, 0.7) * BINARY_FOCAL).mean(-1),
        {"apply_class_balancing": True, "alpha": 0.3},
    ),
]
each_function = pytest.mark.parametrize(
    ("name", "y", "p", "z", "truth", "options"), FUNCTIONS, ids=[row[0] for row in FUNCTIONS]
)


@each_function
def test_a_function_has_the_value_of_its_formula_from_probabilities_and_from_logits(
    name, y, p, z, truth, options
):
    of_probabilities, of_logits = several(
        lambda p, z: [
            getattr(ck, name)(y, p, **options),
            getattr(ck, name)(y, z, from_logits=True, **options),
        ],
        p.astype(np.float32),
        z,
    )
    np.testing.assert_allclose(of_probabilities, truth, rtol=2e-5)
    np.testing.assert_allclose(of_logits, truth, rtol=2e-6)


@each_function
def test_the_gradient_by_the_logits_is_the_derivative(name, y, p, z, truth, options):
    function = getattr(ck, name)
    found = gradient(lambda x: function(y, x, from_logits=True, **options), z)
    h = 0.05
    steps = np.array([h, -h, 2 * h, -2 * h]).reshape(4, 1, 1, 1)
    moved = z.astype(np.float64) + steps * np.eye(4).reshape(
        1, 4, 1, 4
    )  # each row by each step along each class
    labels = np.concatenate([y] * 16)
    (values,) = several(
        lambda z: [function(labels, z, from_logits=True, **options)], moved.reshape(-1, 4).astype(np.float64)
    )
    up, down, far_up, far_down = values.reshape(4, 4, 5)
    expected = (8 * (up - down) - (far_up - far_down)) / (12 * h)
    np.testing.assert_allclose(found, expected.T, rtol=1e-3, atol=5e-5)


def test_kl_divergence_is_that_of_the_formula():
    found = numpy(ck.kl_divergence(P[::-1].astype(np.float32), P.astype(np.float32)))
    np.testing.assert_allclose(found, (P[::-1] * np.log(P[::-1] / P)).sum(-1), rtol=2e-5, atol=1e-6)


def test_the_classes_may_be_along_any_axis():
    z = np.moveaxis(LOGITS.reshape(5, 1, 4).repeat(2, 1), -1, 1)
    found = ck.sparse_categorical_crossentropy(LABELS[:, None].repeat(2, 1), z, from_logits=True, axis=1)
    np.testing.assert_allclose(numpy(found), CROSS_ENTROPY[:, None].repeat(2, 1), rtol=1e-6)


def test_a_confident_row_keeps_its_digits():
    found = ck.SparseCategoricalCrossentropy(from_logits=True)([0], [[40.0, 0.0]])
    np.testing.assert_allclose(numpy(found), np.exp(-40.0), rtol=1e-5)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_an_impossible_answer_costs_what_the_fuzz_factor_says(p):
    found = ck.binary_crossentropy([[1.0 - p]], [[p]])
    np.testing.assert_allclose(numpy(found), -np.log(keras.config.epsilon()), rtol=1e-6)


# ------------------------------------------------------------------------------------------ reductions


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("sum_over_batch_size", (np.arange(5) * CROSS_ENTROPY).sum() / 5),
        ("mean", (np.arange(5) * CROSS_ENTROPY).sum() / 5),
        ("mean_with_sample_weight", (np.arange(5) * CROSS_ENTROPY).sum() / 10),
        ("sum", (np.arange(5) * CROSS_ENTROPY).sum()),
        (None, np.arange(5) * CROSS_ENTROPY),
        ("none", np.arange(5) * CROSS_ENTROPY),
    ],
)
def test_reductions_are_those_of_keras(reduction, expected):
    loss = ck.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    np.testing.assert_allclose(numpy(loss(LABELS, LOGITS, np.arange(5))), expected, rtol=1e-6)


def test_a_mean_is_over_the_rows_that_are_not_of_the_ignored_class():
    loss = ck.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)
    np.testing.assert_allclose(numpy(loss(LABELS, LOGITS)), CROSS_ENTROPY[LABELS != 1].mean(), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_any_loss_has_the_mean_over_the_rows_that_are_not_ignored(reduction):
    y = np.where(np.arange(5) < 2, -1, LABELS)
    loss = ck.CrossEntropyLoss("focal_loss", gamma=0.0, ignore_index=-1, reduction=reduction)
    expected = CROSS_ENTROPY[2:].sum() if reduction == "sum" else CROSS_ENTROPY[2:].mean()
    for labels in y, y[:, None]:
        np.testing.assert_allclose(numpy(loss(labels, LOGITS)), expected, rtol=1e-6)


def test_the_mean_of_generalized_cross_entropy_is_over_the_rows_that_are_not_ignored():
    loss = ck.CategoricalGeneralizedCrossEntropy(q=1.0, ignore_class=-1)
    kept = 1 - P[range(2, 5), LABELS[2:]]
    found = loss(np.where(np.arange(5) < 2, -1, LABELS), P.astype(np.float32))
    np.testing.assert_allclose(numpy(found), kept.mean(), rtol=1e-6)


def test_a_mean_is_over_the_steps_that_a_mask_keeps():
    from keras.src import backend

    z = ops.convert_to_tensor(LOGITS[None])
    backend.set_keras_mask(z, ops.convert_to_tensor(np.array([[True, True, False, True, False]])))
    found = ck.SparseCategoricalCrossentropy(from_logits=True)(LABELS[None], z)
    np.testing.assert_allclose(numpy(found), CROSS_ENTROPY[[0, 1, 3]].mean(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_labels_and_predictions_of_one_question_may_lack_an_axis(shape):
    y, z = YES_NO[:, 0].reshape(shape), LOGITS[:, :1]
    found = ck.BinaryCrossentropy(from_logits=True)(y, z)
    np.testing.assert_allclose(numpy(found), BINARY[:, 0].mean(), rtol=1e-6)


# ---------------------------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_no_label_is_rounded_in_a_narrow_dtype(dtype):
    label = 2049
    z = np.zeros((1, 3000), np.float32)
    z[0, label] = 30.0
    value = ck.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)([label], z)
    assert keras.backend.standardize_dtype(value.dtype) == dtype
    assert numpy(value) < 1e-6


def test_many_rows_are_added_up_in_float32():
    z = np.zeros((70_000, 2), np.float16)
    loss = ck.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    np.testing.assert_allclose(numpy(loss(np.zeros(70_000, np.int32), z)), np.log(2), rtol=1e-3)


def test_predictions_of_mixed_precision_give_a_float32_loss_of_their_values():
    z = ops.cast(LOGITS, "bfloat16")
    rounded = numpy(z)
    value = ck.SparseCategoricalCrossentropy(from_logits=True)(LABELS, z)
    truth = np.log(np.exp(rounded).sum(-1)) - rounded[range(5), LABELS]
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    np.testing.assert_allclose(numpy(value), truth.mean(), rtol=1e-6)


# ----------------------------------------------------------------------------------------- wrong input


SCORES = [[2, 1, -1], [0, 2, -2], [1, 1, -1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (ck.SparseCategoricalCrossentropy(), [0, 1, 0, 1]),
        (ck.CategoricalCrossentropy(), np.eye(3)[[0, 1, 0, 1]]),
        (ck.BinaryCrossentropy(), np.ones((4, 3))),
    ],
)
def test_logits_in_place_of_probabilities_are_refused_with_the_argument_to_pass(loss, y):
    with pytest.raises(ValueError, match=r"y_pred\[0, 0\] is 2, no probability.*pass from_logits=True"):
        loss(y, np.array(SCORES, np.float32))


def test_a_row_of_zeros_is_refused():
    with pytest.raises(ValueError, match="pass from_logits=True"):
        ck.SparseCategoricalCrossentropy()([0], np.zeros((1, 3), np.float32))


def test_a_nan_among_probabilities_makes_its_row_nan():
    p = P.astype(np.float32)
    p[1, 2] = np.nan
    found = numpy(ck.sparse_categorical_crossentropy(LABELS, p))
    assert np.isnan(found).tolist() == [False, True, False, False, False]


OTHERS = [
    (ck.CategoricalCrossentropy(), np.eye(3, dtype=np.float32)[[0, 1, 0, 1]]),
    (ck.BinaryCrossentropy(), np.ones((4, 3), np.float32)),
]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (ck.SparseCategoricalCrossentropy(), np.array([0, 1, 0, 1])),
        # PyTorch traces each for seconds.
        *(pytest.param(*other, marks=pytest.mark.full if BACKEND == "torch" else ()) for other in OTHERS),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_logits_in_place_of_probabilities_are_nan_in_a_compiled_program(loss, y):
    value = compiled(lambda y, p: loss(y, p), y, np.array(SCORES, np.float32))
    assert np.isnan(numpy(value))


@needs_fit
@needs_print
def test_a_compiled_step_says_why_it_fails():
    """TensorFlow's graph stops with the message; JAX warns, once."""
    model = classifier(loss=ck.SparseCategoricalCrossentropy(), jit_compile=BACKEND == "jax")
    model.layers[0].set_weights([np.full((3, 4), -1.0), np.zeros(4)])
    x, y = np.ones((8, 3)), np.arange(8) % 4
    if BACKEND == "tensorflow":
        with pytest.raises(Exception, match="pass from_logits=True"):
            model.fit(x, y, verbose=0)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        history = model.fit(x, y, epochs=2, verbose=0).history
    assert np.isnan(history["loss"]).all()
    assert sum("pass from_logits=True" in str(w.message) for w in caught) == 1


@pytest.mark.filterwarnings("default")
def test_probabilities_in_place_of_logits_are_a_warning():
    with pytest.warns(UserWarning, match="probabilities already"):
        ck.SparseCategoricalCrossentropy(from_logits=True)(LABELS, P.astype(np.float32))


@pytest.mark.skipif(BACKEND in ("numpy", "jax"), reason="the tensor does not know where it comes from")
@pytest.mark.parametrize(("loss", "activation"), [("Sparse", "softmax"), ("Binary", "sigmoid")])
def test_a_model_that_ends_in_an_activation_is_a_warning_where_logits_are_declared(loss, activation):
    if loss == "Sparse":
        model = classifier(activation, loss=ck.SparseCategoricalCrossentropy(from_logits=True))
    else:
        model = classifier(activation, units=1, loss=ck.BinaryCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="comes from a softmax or sigmoid, but from_logits=True"):
        model.fit(np.ones((8, 3)), np.arange(8) % 2, verbose=0)


def test_a_label_outside_the_classes_is_refused_in_the_words_of_keras():
    with pytest.raises(ValueError, match=r"label 4 at row 1 is outside \[0, 4\).*y_pred"):
        ck.sparse_categorical_crossentropy([0, 4, 1, 1, 2], LOGITS, from_logits=True)
    with pytest.raises(ValueError, match=r"label 4 at row 1 is outside \[0, 4\)"):
        ck.sparse_categorical_crossentropy([0, 4, 1, 1, 2], P.astype(np.float32))


@sampled({"from_logits": [True, False], "label": [4, -1, -100]})
def test_a_label_outside_the_classes_is_nan_in_a_compiled_program(from_logits, label):
    def loss(y, x):
        return ck.sparse_categorical_crossentropy(y, x, from_logits=from_logits)

    y, x = np.array([0, label, 1, 1, 2]), LOGITS if from_logits else P.astype(np.float32)
    if BACKEND == "torch" and from_logits:  # whose kernels read labels, compiled or not
        with pytest.raises(ValueError, match=f"label {label} at row 1"):
            compiled(loss, y, x)
        return
    value = compiled(loss, y, x)
    assert np.isnan(numpy(value)).tolist() == [False, True, False, False, False]


def test_an_option_of_logits_is_refused_beside_probabilities():
    with pytest.raises(ValueError, match="temperature is for scores before the softmax"):
        ck.SparseCategoricalCrossentropy(temperature=2.0)(LABELS, P.astype(np.float32))


def test_an_unknown_option_is_refused_when_the_loss_is_made():
    with pytest.raises(TypeError, match="SparseCategoricalCrossentropy has no argument smoothing"):
        ck.SparseCategoricalCrossentropy(smoothing=0.1)
    with pytest.raises(
        TypeError, match=r"kl_divergence has no argument axis\. Its arguments are y_true, y_pred$"
    ):
        ck.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]], axis=-1)
    with pytest.raises(
        TypeError, match=r"binary_crossentropy has no argument weight.*pass class_weight=weight"
    ):
        ck.binary_crossentropy([[1.0]], [[0.5]], weight=2.0)
    with pytest.raises(TypeError, match="focal_loss has no argument alpha"):
        ck.CrossEntropyLoss("focal_loss", alpha=0.1)
    with pytest.raises(ValueError, match="'entropy', which is no function of logits and labels"):
        ck.CrossEntropyLoss("entropy")


@pytest.mark.parametrize("name", ["BinaryCrossentropy", "CategoricalCrossentropy"])
def test_labels_of_another_shape_are_refused(name):
    with pytest.raises(
        ValueError, match=r"y_true has shape \(3, 1\) and y_pred \(3, 4\); they must have the same"
    ):
        getattr(ck, name)()(np.ones((3, 1)), np.full((3, 4), 0.25, np.float32))


# ------------------------------------------------------------------------------------------ any loss


def test_cross_entropy_loss_takes_a_link_and_options():
    loss = ck.CrossEntropyLoss(link=links.Focal(gamma=2.0), z_loss=0.1)
    truth = (1 - np.exp(-CROSS_ENTROPY)) ** 2 * CROSS_ENTROPY + 0.1 * np.log(E.sum(-1)) ** 2
    np.testing.assert_allclose(numpy(loss(LABELS[:, None], LOGITS)), truth.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("target", "y", "truth"),
    [
        ("OneHot", HOT, CROSS_ENTROPY),
        ("masses", HOT * 2, 2 * CROSS_ENTROPY),
        ("Probabilities", HOT.astype(np.float32), CROSS_ENTROPY),
        ("LabelSet", HOT + HOT[::-1] > 0, -np.log((P * (HOT + HOT[::-1] > 0)).sum(-1))),
    ],
)
def test_cross_entropy_loss_takes_labels_of_every_form(target, y, truth):
    loss = ck.CrossEntropyLoss(target=target, reduction=None)
    np.testing.assert_allclose(numpy(loss(y, LOGITS)), truth, rtol=1e-6)
    revived = ck.CrossEntropyLoss.from_config(loss.get_config())
    np.testing.assert_array_equal(numpy(revived(y, LOGITS)), numpy(loss(y, LOGITS)))


@pytest.mark.parametrize(
    ("y_true", "advice", "truth"),
    [
        (HOT.astype(int), 'target="OneHot"', CROSS_ENTROPY),
        (HOT * 2.0, 'target="masses"', 2 * CROSS_ENTROPY),
    ],
)
def test_labels_whose_form_is_to_be_declared_are_refused_with_the_declaration(y_true, advice, truth):
    with pytest.raises((TypeError, ValueError), match=f"make the loss with {advice}"):
        ck.CrossEntropyLoss()(y_true, LOGITS)
    loss = eval(f"ck.CrossEntropyLoss({advice})")
    np.testing.assert_allclose(numpy(loss(y_true, LOGITS)), truth.mean(), rtol=1e-6)


def test_class_indices_that_are_floats_are_refused_with_a_cast_of_any_backend():
    names = {"loss": ck.CrossEntropyLoss(), "y_true": LABELS.astype(np.float32), "z": LOGITS}
    said = message_of(TypeError, "loss(y_true, z)", **names)
    y_true = typed(said, r'keras\.ops\.cast\(y_true, "int32"\)', keras=keras, **names)
    np.testing.assert_allclose(numpy(ck.CrossEntropyLoss()(y_true, LOGITS)), CROSS_ENTROPY.mean(), rtol=1e-6)


def test_a_weight_of_the_focal_loss_may_be_a_number_of_any_library_and_is_named_in_errors():
    y, p = HOT.astype(np.float32), P.astype(np.float32)
    expected = numpy(ck.CategoricalFocalCrossentropy(alpha=0.5)(y, p))
    for alpha in np.float32(0.5), np.asarray(0.5), keras.ops.convert_to_tensor(0.5):
        np.testing.assert_array_equal(numpy(ck.CategoricalFocalCrossentropy(alpha=alpha)(y, p)), expected)
    with pytest.raises(ValueError, match=r"alpha has shape \(2,\); pass one number for each of the"):
        ck.CategoricalFocalCrossentropy(alpha=[0.5, 0.5])(y, p)


def test_cross_entropy_loss_is_any_loss_of_logits_and_labels():
    loss = ck.CrossEntropyLoss("poly_loss", epsilon=2.0)
    truth = CROSS_ENTROPY + 2 * (1 - np.exp(-CROSS_ENTROPY))
    np.testing.assert_allclose(numpy(loss(LABELS, LOGITS)), truth.mean(), rtol=1e-6)
    sigmoid = ck.CrossEntropyLoss("sigmoid_cross_entropy", pos_weight=2.0)
    truth = -(2 * YES_NO * np.log(Q) + (1 - YES_NO) * np.log(1 - Q))
    np.testing.assert_allclose(numpy(sigmoid(YES_NO, LOGITS)), truth.mean(), rtol=1e-6)


# --------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_holds_every_argument(name):
    import inspect

    kind = getattr(ck, name)
    given = {"from_logits": True, "axis": 1, "label_smoothing": 0.1, "ignore_class": 2, "alpha": [0.1, 0.2]}
    given |= {"gamma": 3.0, "q": 0.2, "apply_class_balancing": True}
    given |= {"reduction": "sum", "name": "mine", "dtype": "bfloat16"}
    names = [p for p in inspect.signature(kind).parameters if p != "options"]
    loss = kind(**{name: given[name] for name in names})
    config = loss.get_config()
    assert config == {name: given[name] for name in names}
    assert kind.from_config(config).get_config() == config


def test_links_and_arrays_survive_a_configuration():
    mixed = links.SymmetricCrossEntropy(0.5, 1.0)
    loss = ck.CrossEntropyLoss(link=mixed, class_weight=np.array([1.0, 2.0, 3.0, 4.0], np.float32))
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert revived.arguments["link"] == mixed
    np.testing.assert_array_equal(numpy(revived(LABELS, LOGITS)), numpy(loss(LABELS, LOGITS)))


def test_a_link_of_functions_has_no_configuration():
    link = links.Custom(lambda D: np.logaddexp(0, D), lambda D: np.ones_like(D))
    with pytest.raises(TypeError, match=r"link\.loss is a function, which a configuration cannot hold"):
        ck.CrossEntropyLoss(link=link).get_config()


@needs_fit
def test_a_model_is_saved_and_loaded_with_its_loss(tmp_path):
    loss = ck.SparseCategoricalCrossentropy(from_logits=True, link=links.Focal(1.5), z_loss=0.01)
    model = classifier(loss=loss)
    x, y = RNG.normal(size=(8, 3)).astype(np.float32), np.arange(8) % 4
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == loss.get_config()
    np.testing.assert_allclose(loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6)


# -------------------------------------------------------------------------------------------- training


@needs_fit
@pytest.mark.parametrize("jit", [False, True])
def test_fit_and_evaluate_agree_with_the_loss_of_what_is_predicted(jit):
    if jit != (BACKEND == "jax") and BACKEND != "tensorflow":
        pytest.skip("takes long, and shows nothing that other tests do not show")
    loss = ck.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model = classifier(loss=loss, jit_compile=jit)
    x, y = RNG.normal(size=(11, 3)).astype(np.float32), np.arange(11) % 4  # the last batch is smaller
    first = model.evaluate(x, y, batch_size=4, verbose=0)
    np.testing.assert_allclose(first, float(loss(y, model.predict(x, verbose=0))), rtol=1e-5)
    history = model.fit(x, y, batch_size=4, epochs=5, verbose=0).history
    assert model.evaluate(x, y, batch_size=4, verbose=0) < first
    assert len(history["loss"]) == 5


@needs_fit
def test_a_mask_of_an_embedding_leaves_steps_out_of_training():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((4,), dtype="int32")
    states = keras.layers.Embedding(6, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(5)(states))
    loss = ck.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss=loss)
    x = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    y = np.array([[1, 2, 0, 0], [3, 4, 4, 0]])
    z = numpy(model.predict(x, verbose=0))
    rows = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, y[..., None], -1)[..., 0]
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), rows[x != 0].mean(), rtol=1e-5)


def test_importing_the_face_imports_pytorch_for_no_other_backend():
    assert (BACKEND == "torch") == IMPORTS_TORCH
