"""`log_loss`: labels that are names, distributions, one-hot or in scikit-learn's order, and advice that works."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import crossentropy as ce
from advice import message_of, typed
from frameworks import each_framework
from sampling import sampled

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.5, 0.4, 0.1]])
Y = np.array([0, 2, 2, 1])
ANIMALS = np.array(["bird", "cat", "dog"])
ROWS = -np.log(P[np.arange(4), Y])
BINARY, SIGNS = np.array([0.9, 0.2, 0.6]), np.array([1, -1, -1])


def all_of(found, expected):
    np.testing.assert_allclose(np.asarray(found, dtype=float), expected, rtol=1e-13)


# ------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "labels",
    [
        ANIMALS[Y].tolist(),
        ANIMALS[Y],
        ANIMALS[Y].astype(object),
        ANIMALS[Y].astype("S4").astype(str),
    ],
    ids=["list", "str", "object", "fixed width"],
)
def test_classes_say_which_column_a_name_is(labels):
    all_of(ce.log_loss(P, labels, classes=["bird", "cat", "dog"], reduction="none"), ROWS)


def test_the_order_of_classes_is_that_of_the_columns_and_not_of_the_alphabet():
    order = [2, 0, 1]
    all_of(ce.log_loss(P[:, order], ANIMALS[Y], classes=ANIMALS[order], reduction="none"), ROWS)
    swapped = ce.log_loss(P[:, order], ANIMALS[Y], classes=np.unique(ANIMALS), reduction="none")
    assert not np.allclose(swapped, ROWS)


@pytest.mark.parametrize("columns", [[3, 7, -5], [10, 20, 255], np.array([9, 1, 4]), range(5, 8)])
@each_framework
def test_classes_may_be_any_integers(fw, columns):
    labels = np.asarray(columns)[Y]
    found = ce.log_loss(fw.own(P), fw.own(labels), classes=columns, reduction="none")
    all_of(fw.numpy(found), ROWS)


@pytest.mark.parametrize("columns", [(False, True), (-1, 1), ("ham", "spam"), (0.0, 2.5), (None, "yes")])
def test_two_classes_of_one_dimensional_probabilities_are_negative_and_positive(columns):
    labels = [columns[i] for i in (1, 0, 0)]
    expected = -np.log([0.9, 0.8, 0.4])
    all_of(ce.log_loss(BINARY, labels, classes=columns, reduction="none"), expected)


def test_integers_of_64_bits_are_told_apart():
    labels = np.array([2**63, 2**64 - 1, 2**64 - 1, 1], dtype=np.uint64)
    all_of(ce.log_loss(P, labels, classes=[2**63, 1, 2**64 - 1], reduction="none"), ROWS)
    with pytest.raises(ValueError, match=r"label 18446744073709551615 at row 1 is not among"):
        ce.log_loss(P, labels, classes=[2**63, 1, -1])


def test_columns_of_a_scikit_learn_model_are_its_classes():
    linear_model = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), ANIMALS[rng.integers(0, 3, size=60)]
    model = linear_model.LogisticRegression().fit(x, y)
    p = model.predict_proba(x)
    all_of(ce.log_loss(p, y, classes=model.classes_), metrics.log_loss(y, p, labels=model.classes_))
    seen = y != "cat"
    expected = metrics.log_loss(y[seen], p[seen], labels=model.classes_)
    all_of(ce.log_loss(p[seen], y[seen], classes=model.classes_), expected)


def test_an_ignored_name_is_left_out():
    labels = ANIMALS[Y].astype(object)
    labels[1] = "unknown"
    found = ce.log_loss(P, labels, classes=ANIMALS, ignore_index="unknown")
    all_of(found, np.delete(ROWS, 1).mean())
    numbers = np.array([10, -1, 30, 20])
    all_of(ce.log_loss(P, numbers, classes=[10, 20, 30], ignore_index=-1), np.delete(ROWS, 1).mean())


def test_names_without_classes_are_refused_and_the_classes_of_the_message_work():
    message = message_of(TypeError, "ce.log_loss(P, y)", ce=ce, P=P, y=ANIMALS[Y])
    assert "'bird'" in message
    assert "astype" not in message
    classes = typed(message, r"classes=(numpy\.unique\(labels\))", numpy=np, labels=ANIMALS[Y])
    all_of(ce.log_loss(P, ANIMALS[Y], classes=classes, reduction="none"), ROWS)
    message = message_of(TypeError, "ce.log_loss(p, ['no', 'yes', 'no'])", ce=ce, p=BINARY)
    classes = typed(message, r"classes=(\(negative, positive\))", negative="no", positive="yes")
    all_of(
        ce.log_loss(BINARY, ["no", "yes", "no"], classes=classes, reduction="none"), -np.log([0.1, 0.2, 0.4])
    )


def test_a_name_that_is_no_class_is_refused_with_its_row_and_what_to_write():
    labels = ["bird", "horse", "dog", "cat"]
    call = "ce.log_loss(P, labels, classes=['bird', 'cat', 'dog'])"
    message = message_of(ValueError, call, ce=ce, P=P, labels=labels)
    assert "label 'horse' at row 1 is not among classes ['bird', 'cat', 'dog']" in message
    ignored = typed(message, "ignore_index=('horse')")
    found = ce.log_loss(P, labels, classes=ANIMALS, ignore_index=ignored, reduction="none")
    all_of(found, np.where([True, False, True, True], ROWS, 0))
    rows = ce.log_loss(P, labels, classes=ANIMALS, validate="none", reduction="none")
    assert np.isnan(rows).tolist() == [False, True, False, False]


@each_framework
def test_an_integer_that_is_no_class_is_refused_with_its_row(fw):
    with pytest.raises(ValueError, match=r"label 5 at row 2 is not among classes \[1, 2, 3\]"):
        ce.log_loss(fw.own(P), fw.own(np.array([1, 2, 5, 3])), classes=[1, 2, 3])


@pytest.mark.parametrize(
    ("classes", "error", "words"),
    [
        (["bird", "cat"], ValueError, r"classes names 2, .* have 3 \(3 columns\)"),
        (["bird", "cat", "cat"], ValueError, "names 'cat' twice"),
        ("cat", TypeError, "pass a list"),
        ({"bird", "cat", "dog"}, TypeError, "pass a list"),
        (3, TypeError, "pass a list"),
    ],
)
def test_classes_are_each_column_once(classes, error, words):
    with pytest.raises(error, match=words):
        ce.log_loss(P, ANIMALS[Y], classes=classes)


def test_classes_of_names_beside_a_tensor_of_integers_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(
        TypeError, match=r"classes are \['bird', 'cat', 'dog'\], but labels have dtype torch.int64"
    ):
        ce.log_loss(torch.tensor(P), torch.tensor(Y), classes=["bird", "cat", "dog"])


def test_names_go_with_tensors():
    torch = pytest.importorskip("torch")
    all_of(ce.log_loss(torch.tensor(P), ANIMALS[Y], classes=ANIMALS, reduction="none"), ROWS)


@pytest.mark.parametrize("p", [BINARY, np.stack([1 - BINARY, BINARY], axis=1)], ids=["binary", "two columns"])
def test_minus_one_and_one_are_two_classes_and_none_to_ignore(p):
    message = message_of(ValueError, "ce.log_loss(p, y)", ce=ce, p=p, y=SIGNS)
    assert "ignore_index" not in message
    classes = typed(message, r"classes=(\(-1, 1\))")
    all_of(ce.log_loss(p, SIGNS, classes=classes, reduction="none"), -np.log([0.9, 0.8, 0.4]))


def test_labels_that_count_from_one_or_are_to_be_ignored_hear_of_it():
    message = message_of(ValueError, "ce.log_loss(P, y)", ce=ce, P=P, y=Y + 1)
    all_of(ce.log_loss(P, typed(message, "labels - 1", labels=Y + 1), reduction="none"), ROWS)
    padded = np.array([0, -100, 2, 1])
    message = message_of(ValueError, "ce.log_loss(P, y)", ce=ce, P=P, y=padded)
    ignored = typed(message, "ignore_index=(-100)")
    all_of(ce.log_loss(P, padded, ignore_index=ignored), np.delete(ROWS, 1).mean())
    message = message_of(ValueError, "ce.log_loss(P, y)", ce=ce, P=P, y=np.array([0, 7, 9, 9]))
    assert "logits" not in message
    assert "classes=[...]" in message


# ---------------------------------------------------------------------------------------------- single columns


@pytest.mark.parametrize("labels", [np.array([1, 0, 0]), np.array([[1], [0], [0]]), np.array([0, 0, 0])])
def test_one_column_of_probabilities_hears_of_probabilities(labels):
    message = message_of(ValueError, "ce.log_loss(p, y)", ce=ce, p=BINARY[:, None], y=labels)
    for word in ("logit", "axis"):
        assert word not in message
    p = typed(message, r"pass (probabilities\[:, 0\])", probabilities=BINARY[:, None])
    all_of(
        ce.log_loss(p, labels.reshape(-1)),
        -np.log(np.where(labels.reshape(-1) == 1, BINARY, 1 - BINARY)).mean(),
    )


def test_the_only_class_there_is_costs_nothing():
    assert ce.log_loss(np.ones((3, 1)), np.zeros(3, dtype=int)) == 0


def test_labels_in_a_column_are_told_to_lose_it():
    message = message_of(ValueError, "ce.log_loss(P, y)", ce=ce, P=P, y=Y[:, None])
    all_of(ce.log_loss(P, typed(message, r"labels\[\.\.\., 0\]", labels=Y[:, None]), reduction="none"), ROWS)


# ----------------------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize("p", [0.99, np.float64(0.99), np.array(0.99)])
def test_a_single_prediction_is_a_row_of_its_own(p):
    all_of(ce.log_loss(p, 1), -math.log(0.99))
    all_of(ce.log_loss(p, np.array(0)), -math.log1p(-0.99))
    all_of(ce.log_loss(p, "no", classes=("yes", "no")), -math.log(0.99))
    assert ce.log_loss(p, 1, reduction="none").shape == ()
    with pytest.raises(ValueError, match="label 2 at the only row"):
        ce.log_loss(p, 2)
    with pytest.raises(ValueError, match=r"probability of the only row is 1\.5"):
        ce.log_loss(1.5, 1)


def test_a_tensor_of_no_dimension_is_a_row_too():
    torch = pytest.importorskip("torch")
    p = torch.tensor(0.99, dtype=torch.float64, requires_grad=True)
    loss = ce.log_loss(p, torch.tensor(1))
    loss.backward()
    all_of(p.grad, -1 / 0.99)


def test_one_row_of_classes_is_told_to_be_a_row():
    message = message_of(ValueError, "ce.log_loss(p, 2)", ce=ce, p=P[0])
    p = typed(message, r"probabilities\[None, :\]", probabilities=P[0])
    all_of(ce.log_loss(p, [2]), -math.log(0.1))


# --------------------------------------------------------------------------------------- one-hot and soft labels

SOFT = np.random.default_rng(5).dirichlet(np.ones(3), size=4)


@each_framework
def test_soft_labels_cost_their_cross_entropy(fw):
    expected = -(SOFT * np.log(P)).sum(axis=1)
    all_of(fw.numpy(ce.log_loss(fw.own(P), fw.own(SOFT), reduction="none")), expected)
    logs = ce.log_loss(log_probabilities=fw.own(np.log(P)), labels=fw.own(SOFT))
    all_of(fw.numpy(logs), expected.mean())
    target = ce.targets.Probabilities(fw.own(3 * SOFT), normalized=False)
    all_of(fw.numpy(ce.log_loss(fw.own(P), target, reduction="sum")), 3 * expected.sum())
    w, c = np.array([1.0, 0.0, 2.0, 0.5]), np.array([0.5, 2.0, 3.0])
    weighted = ce.log_loss(fw.own(P), fw.own(SOFT), sample_weight=fw.own(w), class_weight=fw.own(c))
    terms, masses = -(SOFT * c * np.log(P)).sum(axis=1), (SOFT * c).sum(axis=1)
    all_of(fw.numpy(weighted), (w * terms).sum() / (w * masses).sum())


def test_soft_labels_agree_with_softmax_cross_entropy():
    logits = np.random.default_rng(6).normal(size=(4, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    all_of(ce.log_loss(p, SOFT, reduction="none"), ce.softmax_cross_entropy(logits, SOFT, reduction="none"))


def test_no_mass_on_an_impossible_class_costs_nothing():
    p, t = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert ce.log_loss(p, t, reduction="none").tolist() == [0.0, np.inf, np.log(2)]


@pytest.mark.parametrize("dtype", [int, bool])
def test_one_hot_integers_are_told_to_be_one_hot_and_floats_are_distributions(dtype):
    hot = np.eye(3, dtype=dtype)[Y]
    message = message_of(TypeError, "ce.log_loss(P, hot)", ce=ce, P=P, hot=hot)
    target = typed(message, r"crossentropy\.targets\.OneHot\(labels\)", crossentropy=ce, labels=hot)
    all_of(ce.log_loss(P, target, reduction="none"), ROWS)
    all_of(ce.log_loss(P, hot.astype(float), reduction="none"), ROWS)


def test_one_hot_labels_have_the_loss_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    all_of(
        ce.log_loss(P, ce.targets.OneHot(np.eye(3, dtype=int)[Y])),
        metrics.log_loss(np.eye(3, dtype=int)[Y], P),
    )


@each_framework
def test_soft_labels_of_two_classes_are_the_probability_of_label_one(fw):
    t = np.array([1.0, 0.25, 0.0])
    expected = -(t * np.log(BINARY) + (1 - t) * np.log1p(-BINARY))
    all_of(fw.numpy(ce.log_loss(fw.own(BINARY), fw.own(t), reduction="none")), expected)
    weighted = ce.log_loss(fw.own(BINARY), fw.own(t), class_weight=fw.own(np.array([2.0, 3.0])))
    terms = -(3 * t * np.log(BINARY) + 2 * (1 - t) * np.log1p(-BINARY))
    all_of(fw.numpy(weighted), terms.sum() / (3 * t + 2 * (1 - t)).sum())


def test_soft_labels_that_are_no_distribution_are_refused():
    with pytest.raises(ValueError, match=r"row 1 in the labels sums to 1\.8.*binary_log_loss"):
        ce.log_loss(P, np.where(np.arange(4)[:, None] == 1, 1.8 * SOFT, SOFT))
    with pytest.raises(ValueError, match=r"labels\[0\] is -1\.0.*in classes"):
        ce.log_loss(BINARY, np.array([-1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="ignore_index=1 names a label"):
        ce.log_loss(P, SOFT, ignore_index=1)
    with pytest.raises(ValueError, match="classes names labels"):
        ce.log_loss(P, ce.targets.OneHot(np.eye(3, dtype=int)[Y]), classes=ANIMALS)
    with pytest.raises(TypeError, match="LabelSet"):
        ce.log_loss(P, ce.targets.LabelSet(np.eye(3, dtype=bool)[Y]))


@pytest.mark.parametrize("fill", [np.nan, -1.0, 9.0])
def test_soft_rows_of_weight_zero_count_nothing_whatever_they_hold(fill):
    p, t, w = P.copy(), SOFT.copy(), np.array([1.0, 0.0, 2.0, 1.0])
    p[1], t[1] = fill, fill
    expected = (np.delete(-(SOFT * np.log(P)).sum(axis=1), 1) * [1, 2, 1]).sum() / 4
    all_of(ce.log_loss(p, t, sample_weight=w), expected)


@sampled({"binary": [False, True], "in_logs": [False, True]})
def test_soft_labels_have_a_gradient_by_predictions_and_labels(binary, in_logs):
    torch = pytest.importorskip("torch")
    p, t = (BINARY, np.array([1.0, 0.25, 0.0])) if binary else (P, SOFT)
    x = torch.tensor(np.log(p) if in_logs else p, requires_grad=True)
    t = torch.tensor(t, requires_grad=True)
    name = "log_probabilities" if in_logs else "probabilities"

    def loss(x, t):
        return ce.log_loss(**{name: x}, labels=t, validate="none")

    assert torch.autograd.gradcheck(loss, (x, t))
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    all_of(compiled(x, t).detach(), loss(x, t).detach())


def test_jax_differentiates_and_compiles_names_and_soft_labels():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    p = jnp.asarray(P, dtype="float32")

    def soft(p):
        return ce.log_loss(p, jnp.asarray(SOFT, dtype="float32"))

    def named(p, y):
        return ce.log_loss(p, y, classes=(5, 3, 9))

    np.testing.assert_allclose(jax.jit(jax.grad(soft))(p), -SOFT / P / 4, rtol=1e-5)
    y = jnp.asarray(np.array([5, 3, 9])[Y])
    slopes = np.where(np.eye(3)[Y] > 0, -1 / P / 4, 0)
    np.testing.assert_allclose(jax.jit(jax.grad(named))(p, y), slopes, rtol=1e-5)


# -------------------------------------------------------------------------------------------- labels of the wrong kind


def test_floating_indices_are_told_to_be_integers_and_fractions_are_not():
    message = message_of(TypeError, "ce.log_loss(P, y)", ce=ce, P=P, y=Y.astype(float))
    all_of(
        ce.log_loss(P, typed(message, r"labels\.astype\(int\)", labels=Y.astype(float)), reduction="none"),
        ROWS,
    )
    assert "astype" not in message_of(TypeError, "ce.log_loss(P, y)", ce=ce, P=P, y=Y + 0.5)


PAIRS = {
    "classes": (Y, P),
    "list": (Y.tolist(), P.tolist()),
    "one-hot": (np.eye(3, dtype=int)[Y], P),
    "one-hot floats": (np.eye(3)[Y], P),
    "floats": (Y.astype(float), P),
    "binary": (np.array([1, 0, 0]), BINARY),
    "binary bools": (np.array([True, False, False]), BINARY),
    "binary floats": (np.array([1.0, 0.0, 0.0]), BINARY),
    "binary names": (["yes", "no", "no"], BINARY),
    "names": (ANIMALS[Y], P),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_order_of_scikit_learn_is_recognized_and_never_answered_with_a_cast(pair):
    y, p = PAIRS[pair]
    message = message_of((TypeError, ValueError), "ce.log_loss(y, p)", ce=ce, y=y, p=p)
    assert "scikit-learn's order is reversed" in message
    assert "astype" not in message
    assert "write log_loss(p, y)" in message
    if pair in ("classes", "list", "binary", "binary bools", "binary floats", "one-hot floats"):
        assert np.isfinite(typed(message, r"write (log_loss\(p, y\))", log_loss=ce.log_loss, p=p, y=y))


def test_the_order_of_scikit_learn_is_recognized_in_tensors():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="order is reversed"):
        ce.log_loss(torch.tensor(Y), torch.tensor(P))


# ------------------------------------------------------------------------------------------- a score of nothing


@pytest.mark.parametrize(
    ("p", "labels", "options"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=int), {}),
        (np.zeros(0), np.zeros(0, dtype=int), {}),
        (np.zeros((0, 3)), np.zeros((0, 3)), {}),
        (P, np.full(4, -1), {"ignore_index": -1}),
        (P, Y, {"sample_weight": np.zeros(4)}),
        (P, SOFT, {"sample_weight": np.zeros(4)}),
        (P, Y, {"class_weight": np.zeros(3)}),
    ],
    ids=[
        "no rows",
        "no binary rows",
        "no soft rows",
        "ignored",
        "weights 0",
        "soft weights 0",
        "class weights 0",
    ],
)
@each_framework
def test_a_score_of_nothing_is_nan_with_a_warning(fw, p, labels, options):
    options = {name: fw.own(value) for name, value in options.items()}
    p, labels = fw.own(p), fw.own(labels)
    with pytest.warns(UserWarning, match="log_loss has nothing to average") as caught:
        assert np.isnan(fw.numpy(ce.log_loss(p, labels, **options)))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fw.numpy(ce.log_loss(p, labels, empty="zero", **options)) == 0
    with pytest.raises(ValueError, match="nothing to average"):
        ce.log_loss(p, labels, empty="raise", **options)


# ------------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("dtype", ["str", "object", "category"])
def test_columns_of_a_frame_are_taken(dtype):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(P, columns=ANIMALS)
    labels = pandas.Series(ANIMALS[Y]).astype(dtype)
    all_of(ce.log_loss(frame, labels, classes=frame.columns, reduction="none"), ROWS)
    with pytest.raises(TypeError, match="labels has dtype object, names such as"):
        ce.log_loss(frame, labels)
    labels[1] = None
    with pytest.raises(ValueError, match=r"labels has missing values|label (None|nan) at row 1 is not among"):
        ce.log_loss(frame, labels, classes=frame.columns)


def test_masked_names_are_refused_with_what_to_pass():
    labels = np.ma.masked_array(ANIMALS[Y], mask=[False, True, False, False])
    message = message_of(TypeError, "ce.log_loss(P, y, classes=c)", ce=ce, P=P, y=labels, c=ANIMALS)
    weight = typed(message, r"sample_weight=(~numpy\.ma\.getmaskarray\(labels\))", numpy=np, labels=labels)
    values = typed(message, r"pass (labels\.data)", labels=labels)
    all_of(ce.log_loss(P, values, classes=ANIMALS, sample_weight=weight), np.delete(ROWS, 1).mean())


def test_objects_that_are_numbers_are_told_to_be_numbers():
    message = message_of(TypeError, "ce.log_loss(P, y)", ce=ce, P=P, y=Y.astype(object))
    all_of(
        ce.log_loss(P, typed(message, r"labels\.astype\(int\)", labels=Y.astype(object)), reduction="none"),
        ROWS,
    )
    all_of(ce.log_loss(P, Y.astype(object), classes=[0, 1, 2], reduction="none"), ROWS)
