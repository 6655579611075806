"""The code that an error tells its reader to write, written: the call succeeds, with the right value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import crossentropy as ce
from losses.catalogue import plain
from losses.catalogue.case import CLASSES, LABELS, ROWS, logits

Z = logits(3)
NAMES = {"numpy": np, "crossentropy": ce}
OF_LABELS = -plain.chosen(Z, LABELS)  # the cross-entropy of each row
WEIGHTS = np.array([0.5, 2.0, 1.25, 0.75])
WEIGHTED = np.sum(WEIGHTS[LABELS] * OF_LABELS) / np.sum(WEIGHTS[LABELS])
YES = np.array([1, 0, 1, 1, 0])
OF_YES = np.mean(np.log1p(np.exp(np.where(YES == 1, -Z[:, 0], Z[:, 0]))))


def advice(error: type[Exception], pattern: str, call: Callable[..., Any], *args: Any, **given: Any) -> str:
    """The code in an error's message, by a pattern with one group."""
    with pytest.raises(error) as caught:
        call(*args, **given)
    found = re.search(pattern, str(caught.value))
    assert found, str(caught.value)
    return found[1]


def written(code: str, **names: Any) -> Any:
    return eval(code, {**NAMES, **names})


# ------------------------------------------------------------------------------------------ class weights


@pytest.mark.parametrize(
    "loss", [ce.softmax_cross_entropy, ce.losses.behavior_cloning, ce.losses.hard_example_loss, ce.log_loss]
)
def test_a_dict_of_class_weights_is_answered_with_the_array(loss):
    own = {"keep": 1.0} if loss is ce.losses.hard_example_loss else {}
    class_weight = dict(enumerate(WEIGHTS))
    first = plain.softmax(Z, axis=-1) if loss is ce.log_loss else Z
    code = advice(
        TypeError,
        r"^class_weight is a dict; pass (.*\)\]?\)),",
        loss,
        first,
        LABELS,
        class_weight=class_weight,
        **own,
    )
    value = loss(first, LABELS, class_weight=written(code, class_weight=class_weight), **own)
    expected = np.mean(WEIGHTS[LABELS] * OF_LABELS) if own else WEIGHTED
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_class_weights_named_balanced_are_answered_with_the_code_that_makes_them():
    code = advice(
        TypeError, r"is 'balanced'; pass (\S+)", ce.losses.focal_loss, Z, LABELS, class_weight="balanced"
    )
    weights = written(code, labels=LABELS)
    counts = np.array([2, 1, 1, 1])
    np.testing.assert_allclose(weights, ROWS / (CLASSES * counts))
    assert ce.losses.focal_loss(Z, LABELS, class_weight=weights) > 0


def test_torch_s_name_of_class_weights_is_answered_with_ours():
    for name in ("weight", "alpha"):
        call = ce.losses.focal_loss
        code = advice(
            TypeError,
            rf"^focal_loss has no argument {name};.*pass (\S+)\. ",
            call,
            Z,
            LABELS,
            gamma=0.0,
            **{name: WEIGHTS},
        )
        given = written(f"dict({code})", **{name: WEIGHTS})
        np.testing.assert_allclose(call(Z, LABELS, gamma=0.0, **given), WEIGHTED, rtol=1e-12)


def test_question_weights_of_images_are_answered_with_the_axis():
    images, answers = logits(1, (2, 3, 4, 5)), np.ones((2, 3, 4, 5), dtype=int)
    for name in ("pos_weight", "class_weight"):
        given = {name: np.array([1.0, 2.0, 3.0])}
        code = advice(
            ValueError,
            rf"^{name} has shape \(3,\).*pass (axis=1)$",
            ce.sigmoid_cross_entropy,
            images,
            answers,
            **given,
        )
        rows = ce.sigmoid_cross_entropy(
            images, answers, **given, **written(f"dict({code})"), reduction="none"
        )
        expected = np.log1p(np.exp(-images)) * np.array([1.0, 2.0, 3.0])[:, None, None]
        np.testing.assert_allclose(rows, expected, rtol=1e-12)


# --------------------------------------------------------------------------------------- logits and labels


@pytest.mark.parametrize("labels", [YES, YES.astype(float), YES == 1])
def test_one_dimensional_logits_are_answered_with_the_sigmoid_loss(labels):
    for loss in (
        ce.softmax_cross_entropy,
        ce.losses.focal_loss,
        ce.losses.poly_loss,
        ce.losses.bi_tempered_loss,
    ):
        code = advice(
            (TypeError, ValueError), r"there is (crossentropy\.\S+ labels\))", loss, Z[:, 0], labels
        )
        np.testing.assert_allclose(written(code, logits=Z[:, 0], labels=labels), OF_YES, rtol=1e-12)


def test_one_logit_a_row_is_answered_with_the_sigmoid_loss():
    code = advice(
        ValueError, r"write (crossentropy\.\S+ 0\], labels\))", ce.softmax_cross_entropy, Z[:, :1], YES
    )
    np.testing.assert_allclose(written(code, logits=Z[:, :1], labels=YES), OF_YES, rtol=1e-12)
    column = YES[:, None]
    code = advice(
        TypeError, r"there is (crossentropy\.\S+ labels\))", ce.softmax_cross_entropy, Z[:, :1], column
    )
    np.testing.assert_allclose(written(code, logits=Z[:, :1], labels=column), OF_YES, rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "error", "pattern"),
    [
        (LABELS.astype(float), TypeError, r"(labels\.astype\(int\))"),
        (np.eye(CLASSES, dtype=int)[LABELS], TypeError, r"pass (crossentropy\.targets\.OneHot\(labels\))"),
        (LABELS + 1, ValueError, r"pass (labels - 1)$"),
        (LABELS[:, None], ValueError, r"pass (labels\[\.\.\., 0\])$"),
    ],
)
def test_labels_in_another_form_are_answered_with_the_form(labels, error, pattern):
    for loss in (ce.softmax_cross_entropy, ce.losses.behavior_cloning):
        names = {"labels": labels, "actions": labels}
        own = pattern if loss is ce.softmax_cross_entropy else pattern.replace("labels", "actions")
        right = written(advice(error, own, loss, Z, labels), **names)
        np.testing.assert_allclose(loss(Z, right), np.mean(OF_LABELS), rtol=1e-12)


def test_one_hot_actions_are_answered_with_their_indices():
    actions, advantages = np.eye(CLASSES, dtype=int)[LABELS], np.ones(ROWS)
    code = advice(
        ValueError, r"pass (actions\.argmax\(1\))", ce.losses.policy_gradient, Z, actions, advantages
    )
    value = ce.losses.policy_gradient(Z, written(code, actions=actions), advantages)
    np.testing.assert_allclose(value, np.mean(OF_LABELS), rtol=1e-12)


def test_labels_to_be_left_out_are_answered_with_the_option():
    labels = np.where(np.arange(ROWS) < 2, -100, LABELS)
    code = advice(ValueError, r"pass (ignore_index=-100)", ce.losses.tsallis_loss, Z, labels, t=1.0)
    value = ce.losses.tsallis_loss(Z, labels, t=1.0, **written(f"dict({code})"))
    np.testing.assert_allclose(value, np.mean(OF_LABELS[2:]), rtol=1e-12)


def test_labels_of_minus_one_and_one_are_answered_with_zero_and_one():
    signs = 2 * YES - 1
    for labels in (signs, signs.astype(float)):
        code = advice(ValueError, r"pass (\(labels \+ 1\) // 2)$", ce.sigmoid_cross_entropy, Z[:, 0], labels)
        right = written(code, labels=labels)
        np.testing.assert_allclose(ce.sigmoid_cross_entropy(Z[:, 0], right), OF_YES, rtol=1e-12)
    two = np.stack([np.zeros(ROWS), Z[:, 0]], axis=1)
    code = advice(ValueError, r"pass (\(labels \+ 1\) // 2)$", ce.softmax_cross_entropy, two, signs)
    np.testing.assert_allclose(ce.softmax_cross_entropy(two, written(code, labels=signs)), OF_YES, rtol=1e-12)


def test_images_of_classes_along_the_second_axis_are_answered_with_the_axis():
    images, labels = logits(2, (2, 3, 4, 5)), np.zeros((2, 4, 5), dtype=int)
    code = advice(ValueError, r"pass (axis=1)", ce.losses.focal_loss, images, labels, gamma=0.0)
    value = ce.losses.focal_loss(images, labels, gamma=0.0, **written(f"dict({code})"))
    np.testing.assert_allclose(value, -np.mean(plain.log_softmax(images, axis=1)[:, 0]), rtol=1e-12)


@pytest.mark.parametrize("loss", [ce.softmax_cross_entropy, ce.losses.arcface_loss, ce.losses.brier_loss])
def test_logits_and_labels_in_each_other_s_place_are_answered_with_that(loss):
    with pytest.raises(TypeError, match=r"labels float64; .* come first .* exchange the two"):
        loss(LABELS, np.tanh(Z))
    loss(np.tanh(Z), LABELS)
    with pytest.raises(TypeError, match="exchange the two"):
        ce.sigmoid_cross_entropy(YES, Z[:, 0])


def test_integer_logits_are_answered_with_floating_ones():
    whole = np.array([[3, 0], [1, 1]])
    code = advice(
        TypeError,
        r"^hidden have .*such as (hidden\.astype\(float\))",
        ce.linear_cross_entropy,
        whole,
        whole,
        [0, 1],
    )
    assert ce.linear_cross_entropy(written(code, hidden=whole), whole.astype(float), [0, 1]) > 0
    for loss in (ce.softmax_cross_entropy, ce.losses.hinge_loss):
        code = advice(TypeError, r"such as (logits\.astype\(float\))", loss, whole, np.array([0, 1]))
        assert loss(written(code, logits=whole), np.array([0, 1])) > 0


# ------------------------------------------------------------------------------------------------ options


def test_negative_weights_are_answered_with_the_normalizer():
    weights = np.array([1.0, -0.5, 1.0, 1.0, 1.0])
    code = advice(
        ValueError, r'pass (normalizer="count")', ce.softmax_cross_entropy, Z, LABELS, sample_weight=weights
    )
    value = ce.softmax_cross_entropy(Z, LABELS, sample_weight=weights, **written(f"dict({code})"))
    np.testing.assert_allclose(value, np.mean(weights * OF_LABELS), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("eps", 0.2, {"label_smoothing": 0.2}),
        ("label_smoothng", 0.2, {"label_smoothing": 0.2}),
        ("T", 2.0, {"temperature": 2.0}),
        ("dim", 1, {"axis": 1}),
        ("mask", np.array([1.0, 0.0, 1.0, 1.0, 1.0]), {"sample_weight": np.array([1.0, 0.0, 1.0, 1.0, 1.0])}),
    ],
)
def test_other_libraries_names_of_options_are_answered_with_ours(name, value, ours):
    code = advice(TypeError, r"pass (\S+)\. Its", ce.losses.poly_loss, Z, LABELS, **{name: value})
    given = written(f"dict({code})", **{name: value})
    assert given.keys() == ours.keys()
    np.testing.assert_array_equal(
        ce.losses.poly_loss(Z, LABELS, **given), ce.losses.poly_loss(Z, LABELS, **ours)
    )


def test_scikit_learn_s_names_of_arrays_are_answered_with_ours():
    call = ce.losses.taylor_cross_entropy
    code = advice(TypeError, r"pass (\S+)\. Its", call, Z, y_true=LABELS)
    value = call(Z, **written(f"dict({code})", y_true=LABELS))
    assert value == call(Z, LABELS)
    code = advice(TypeError, r"pass (\S+)\. Its", call, labels=LABELS, y_pred=Z)
    assert call(labels=LABELS, **written(f"dict({code})", y_pred=Z)) == value


def test_a_reason_of_its_own_for_an_option_that_a_loss_does_not_have_stays():
    with pytest.raises(TypeError, match="is the mean over the rows it keeps; leave reduction out"):
        ce.losses.hard_example_loss(Z, LABELS, keep=2, reduction="sum")


# ---------------------------------------------------------------------------------------------- frameworks


def test_a_module_where_its_matrix_belongs_is_answered_with_the_matrix():
    torch = pytest.importorskip("torch")
    hidden, labels = torch.from_numpy(logits(5, (ROWS, 3))), torch.from_numpy(LABELS)
    weight = torch.nn.Linear(3, CLASSES, bias=False, dtype=torch.float64)
    call = ce.linear_cross_entropy
    code = advice(
        TypeError,
        r"^weight is a torch.nn.modules.linear.Linear; pass its array, (\S+)$",
        call,
        hidden,
        weight,
        labels,
    )
    value = call(hidden, written(code, weight=weight), labels)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(weight(hidden), labels))


def test_a_ragged_tensor_of_tensorflow_is_answered_with_its_padded_one():
    def ragged(values: np.ndarray) -> Any:
        names = {"__module__": "tensorflow.python.ops.ragged", "to_tensor": lambda self: values}
        return type("RaggedTensor", (), names)()

    given = {"logits": ragged(Z), "labels": ragged(LABELS)}
    for name in ("logits", "labels"):
        pattern = rf"^{name} is a tensorflow.*, such as ({name}.to_tensor\(\))"
        given[name] = written(advice(TypeError, pattern, ce.softmax_cross_entropy, **given), **given)
    np.testing.assert_allclose(ce.softmax_cross_entropy(**given), np.mean(OF_LABELS), rtol=1e-12)


def test_floating_tensors_of_labels_are_answered_in_pytorch_s_words():
    torch = pytest.importorskip("torch")
    z, labels = torch.from_numpy(Z), torch.from_numpy(LABELS.astype(float))
    right = written(
        advice(TypeError, r"(labels\.long\(\))", ce.losses.focal_loss, z, labels, gamma=0.0), labels=labels
    )
    np.testing.assert_allclose(ce.losses.focal_loss(z, right, gamma=0.0), np.mean(OF_LABELS), rtol=1e-12)
    code = advice(TypeError, r"(logits\.float\(\))", ce.softmax_cross_entropy, right, right)
    assert written(code, logits=right).dtype == torch.float32


def test_arrays_of_two_libraries_are_answered_with_one():
    torch = pytest.importorskip("torch")
    weights = torch.from_numpy(WEIGHTS)
    code = advice(
        TypeError,
        r"class_weight.*(class_weight\.numpy\(force=True\))",
        ce.losses.focal_loss,
        Z,
        LABELS,
        class_weight=weights,
        gamma=0.0,
    )
    value = ce.losses.focal_loss(Z, LABELS, class_weight=written(code, class_weight=weights), gamma=0.0)
    np.testing.assert_allclose(value, WEIGHTED, rtol=1e-12)


def test_two_unrelated_classes_of_tensors_are_answered_with_the_plain_one():
    torch = pytest.importorskip("torch")
    one, other = (type(name, (torch.Tensor,), {}) for name in ("Image", "Labels"))
    z, labels = torch.from_numpy(Z).as_subclass(one), torch.from_numpy(LABELS).as_subclass(other)
    pattern = r"^logits is a \S+\.Image and labels a \S+\.Labels, .* plain tensor, (\S+)$"
    code = advice(TypeError, pattern, ce.losses.poly_loss, z, labels)
    right = written(code, labels=labels, torch=torch)
    assert float(ce.losses.poly_loss(z, right)) == pytest.approx(
        float(ce.losses.poly_loss(Z, LABELS)), rel=1e-12
    )


def test_a_number_that_jax_traces_is_answered_with_what_keeps_it_known():
    jax = pytest.importorskip("jax")

    def loss(z: Any, bound: float) -> Any:
        return ce.losses.generalized_cross_entropy(z, LABELS, q=0.5, truncation=bound)

    z = jax.numpy.asarray(Z)
    with pytest.raises(TypeError, match=r"^truncation is traced") as caught:
        jax.jit(loss)(z, 0.1)
    static = re.search(r"(static_argnames)='truncation'", str(caught.value))
    assert static
    value = jax.jit(loss, **{static[1]: "bound"})(z, 0.1)
    p = np.maximum(np.exp(-OF_LABELS), 0.1)
    np.testing.assert_allclose(value, np.mean((1 - p**0.5) / 0.5), rtol=1e-5)


def test_compiled_by_pytorch_errors_name_the_arguments_too():
    torch = pytest.importorskip("torch")
    compiled = torch.compile(ce.losses.focal_loss, fullgraph=True, backend="eager")
    z, labels = torch.from_numpy(Z), torch.from_numpy(LABELS)
    assert float(compiled(z, labels)) == pytest.approx(float(ce.losses.focal_loss(Z, LABELS)), rel=1e-12)
    with pytest.raises(TypeError, match="focal_loss has no argument alpha"):
        torch.compile(ce.losses.focal_loss, backend="eager")(z, labels, alpha=0.25)


def test_methods_name_their_arguments():
    smoothing = ce.losses.OnlineLabelSmoothing(CLASSES)
    with pytest.raises(
        TypeError, match=r"OnlineLabelSmoothing.loss has no argument weight; .* pass class_weight=weight"
    ):
        smoothing.loss(Z, LABELS, weight=WEIGHTS)
    with pytest.raises(TypeError, match="classes is '4'; pass an integer"):
        ce.losses.OnlineLabelSmoothing("4")


# -------------------------------------------------------------------------------------------- scales, temperatures


@pytest.mark.parametrize("own", ["scale", "temperature"])
def test_a_scale_is_answered_with_the_temperature_and_the_other_way_round(own):
    """Both ways the code in the message gives the loss that was meant: cosines are multiplied or divided."""
    other = {"scale": "temperature", "temperature": "scale"}[own]
    loss = ce.losses.clip_loss if own == "scale" else ce.losses.info_nce
    first, second = logits(8), logits(9)
    code = advice(TypeError, rf"pass {own}=([^.;]+)\.", loss, first, second, **{other: 0.25})
    value = loss(first, second, **{own: written(code, **{other: 0.25})})
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second)]
    products = unit[0] @ unit[1].T * {"scale": 4, "temperature": 0.25}[own]
    rows = -np.diag(products - np.log(np.exp(products).sum(1, keepdims=True)))
    columns = -np.diag(products - np.log(np.exp(products).sum(0, keepdims=True)))
    expected = (rows + columns).mean() / 2 if own == "scale" else rows.mean()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
