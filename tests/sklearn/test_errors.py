"""Wrong parameters and arguments: the error names them and says what to pass."""

import numpy as np
import pytest

from advice import message_of, typed
from crossentropy._loss_expressions.errors import LossExpressionError
from crossentropy.losses import focal_loss
from crossentropy.sklearn import CrossEntropyClassifier

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 3


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"learning_rate": 0}, "learning_rate is 0; it must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a number above 0"),
        ({"weight_decay": -1}, "weight_decay is -1; it must be a number of at least 0"),
        ({"tol": -1e-3}, "tol is -0.001; it must be a number of at least 0"),
        ({"dropout": 1.0}, r"dropout is 1.0; it must be a share of at least 0 and below 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
        ({"batch_size": 1.5}, "batch_size is 1.5; it must be a whole number"),
        ({"epochs": True}, "epochs is True; it must be a whole number"),
        ({"patience": 0}, "patience is 0"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0; it must be a share between 0 and 1"),
        ({"hidden": 64}, r"hidden is 64; .* such as \(256, 128\), or \(\) for a linear model"),
        ({"hidden": "64,32"}, "hidden is '64,32'"),
        ({"hidden": None}, r"hidden is None; .* such as \(256, 128\)"),
        ({"hidden": 0.5}, "hidden is 0.5; it must be the widths"),
        (
            {"loss": focal_loss},
            r"loss is a function.*; it must be a loss by name, such as 'focal\(gamma=2\)'",
        ),
        ({"loss": None}, "loss is None; it must be a loss by name"),
        ({"random_state": -1}, "random_state is -1; it must be at least 0"),
        ({"device": None}, "device is None, .* pass 'cpu'"),
        (
            {"class_weight": np.ones(2)},
            r"class_weight is a numpy.ndarray .* or a dict from labels to weights",
        ),
        ({"class_weight": {0: -1.0}}, r"class_weight\[0\] is -1.0; it must be a number of at least 0"),
        ({"class_weight": {1: np.nan}}, r"class_weight\[1\] is nan; it must be a number"),
        ({"class_weight": {1: "2"}}, r"class_weight\[1\] is '2'; it must be a number"),
        ({"hidden": (8, 0)}, r"hidden is \(8, 0\)"),
        ({"select": "loss"}, "select is 'loss'; it must be one of 'objective', 'log_loss', 'accuracy'"),
        ({"early_stopping": "yes"}, "early_stopping is 'yes'; it must be True, False or 'auto'"),
        ({"class_weight": "heavy"}, "class_weight is 'heavy'; it must be None, 'balanced', or a dict"),
        ({"device": "abacus"}, "device is 'abacus', which PyTorch does not have here; pass 'cpu'"),
        (
            {"early_stopping": True, "validation_fraction": 0.01},
            "validation_fraction is 0.01, less than half a row",
        ),
    ],
)
def test_a_wrong_parameter_is_named_with_what_it_must_be(parameters, said):
    with pytest.raises((ValueError, TypeError), match=said):
        CrossEntropyClassifier(**parameters).fit(X, Y)


def test_a_loss_that_is_not_known_lists_those_that_are():
    with pytest.raises(LossExpressionError, match="generalized_cross_entropy"):
        CrossEntropyClassifier("hinge").fit(X, Y)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.ones(11), r"sample_weight has shape \(11,\); .* shape \(12,\)"),
        (np.r_[np.ones(5), -1, np.ones(6)], "sample_weight is -1.0 at row 5; .* not negative"),
        (np.r_[np.ones(5), np.nan, np.ones(6)], "sample_weight is nan at row 5"),
        (np.zeros(12), "sample_weight is zero for every row"),
    ],
)
def test_wrong_weights_are_refused(weight, said):
    with pytest.raises(ValueError, match=said):
        CrossEntropyClassifier().fit(X, Y, weight)


def test_a_validation_label_that_is_not_trained_on_is_named():
    with pytest.raises(ValueError, match="y_val has the label 7, which is none of the classes"):
        CrossEntropyClassifier().fit(X, Y, X_val=X[:2], y_val=[1, 7])


def test_validation_rows_need_their_labels_and_early_stopping():
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        CrossEntropyClassifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="sample_weight_val is of the rows of X_val and y_val"):
        CrossEntropyClassifier().fit(X, Y, sample_weight_val=np.ones(3))
    with pytest.raises(ValueError, match="early_stopping is False"):
        CrossEntropyClassifier(early_stopping=False).fit(X, Y, X_val=X, y_val=Y)


@pytest.mark.parametrize(
    "parameters",
    [
        {"class_weight": "balanced"},
        {"loss": "cross_entropy(logit_bias=adjusted)"},
        {"loss": "balanced_softmax_loss"},
    ],
)
def test_partial_fit_refuses_what_needs_the_counts_of_all_rows(parameters):
    with pytest.raises(
        ValueError, match=r"needs the counts of the classes in all .* call fit, or pass a loss"
    ):
        CrossEntropyClassifier(**parameters).partial_fit(X, Y, classes=[0, 1, 2])


def test_partial_fit_asks_for_the_classes_once():
    classifier = CrossEntropyClassifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(X, Y)
    classifier.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"classes is \[0, 1\]; those of the first call were"):
        classifier.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match="y has the label 5, which is none of the classes"):
        classifier.partial_fit(X, np.full(12, 5))


def test_a_warm_start_needs_the_same_labels_and_widths():
    classifier = CrossEntropyClassifier(epochs=30, tol=9.0, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="warm_start is True, and the labels are"):
        classifier.fit(X, Y + 1)
    with pytest.raises(ValueError, match=r"warm_start is True, and hidden is \(4,\); .* \[256, 128\]"):
        classifier.set_params(hidden=(4,)).fit(X, Y)


def test_a_class_weight_of_no_class_is_taken_if_every_class_has_one():
    classes = ", ".join(map(repr, np.unique(Y).tolist()))
    call = "CrossEntropyClassifier(epochs=1, class_weight={0: 2.0, 7: 3.0}).fit(X, Y)"
    names = {"CrossEntropyClassifier": CrossEntropyClassifier, "X": X, "Y": Y}
    said = message_of(ValueError, call, **names)
    assert f"the label 7, which is none of the classes {classes}" in said
    weights = typed(said, r"class_weight=(\{.*\})")
    classifier = CrossEntropyClassifier(epochs=1, class_weight=weights).fit(X, Y)
    np.testing.assert_array_equal(classifier.class_weight_, np.where(np.unique(Y) == 0, 2.0, 1.0))
