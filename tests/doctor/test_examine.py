"""Each fault that shows in predictions is named first, and right predictions are left in peace."""

import numpy as np
import pytest

from crossentropy import doctor
from crossentropy.doctor.finding import FAULTS
from doctor_data import drawn, drawn_answers, healthy_files, sentences, softmax

HEALTHY = list(healthy_files())
Z, Y = drawn()
P = softmax(Z)
ANSWERS = drawn_answers(6)


def marked(y, share, mark):
    return np.where(np.random.default_rng(0).random(y.shape) < share, mark, y)


def spoiled(x, value):
    x = x.copy()
    x[17, 2] = value
    return x


PADDED = sentences(padding=0)
SQUARE = drawn(9, shape=(60, 9), scale=4)
PLANTED = {
    "softmax twice": ("softmax_twice", (P, Y), {}),
    "softmax twice, float32": ("softmax_twice", (P.astype(np.float32), Y), {}),
    "softmax twice, float16": ("softmax_twice", (P.astype(np.float16), Y), {}),
    "softmax twice of one-hot floats": ("softmax_twice", (P, np.eye(7)[Y]), {}),
    "sigmoid twice": ("sigmoid_twice", (1 / (1 + np.exp(-ANSWERS[0])), ANSWERS[1]), {}),
    "log-probabilities as logits": ("log_probabilities_as_logits", (np.log(P), Y), {}),
    "logits as probabilities": ("logits_as_probabilities", (None, Y), {"probabilities": Z}),
    "logits as probabilities of a yes": (
        "logits_as_probabilities",
        (None, ANSWERS[1]),
        {"probabilities": ANSWERS[0]},
    ),
    "logits as log-probabilities": ("logits_as_log_probabilities", (None, Y), {"log_probabilities": Z}),
    "probabilities as logarithms": (
        "probabilities_as_log_probabilities",
        (None, Y),
        {"log_probabilities": P},
    ),
    "logarithms as probabilities": (
        "log_probabilities_as_probabilities",
        (None, Y),
        {"probabilities": np.log(P)},
    ),
    "percentages": ("percentages", (None, Y), {"probabilities": 100 * P}),
    "shares that were not divided by their sum": (
        "unnormalized_probabilities",
        (None, Y),
        {"probabilities": 3 * P},
    ),
    "sigmoids of classes": (
        "unnormalized_probabilities",
        (None, Y),
        {"probabilities": 1 / (1 + np.exp(-Z))},
    ),
    "softmax over rows": ("class_axis", (softmax(Z, 0), Y), {}),
    "log-softmax over rows": ("class_axis", (np.log(softmax(Z, 0)), Y), {}),
    "classes on axis 1": (
        "class_axis",
        (np.moveaxis(drawn(5, shape=(40, 9))[0], -1, 1), drawn(5, shape=(40, 9))[1]),
        {},
    ),
    "classes on the last axis, of two that fit": ("class_axis", SQUARE, {"axis": 1}),
    "labels from one": ("labels_from_one", (Z, Y + 1), {}),
    "answers from one": ("labels_from_one", (ANSWERS[0], ANSWERS[1] + 1), {}),
    "labels −1 and 1": ("labels_plus_minus_one", (ANSWERS[0], 2 * ANSWERS[1] - 1), {}),
    "labels permuted": ("labels_permuted", (Z, np.asarray([3, 0, 6, 2, 5, 1, 4])[Y]), {}),
    "two labels exchanged": ("labels_permuted", (Z, np.asarray([0, 1, 3, 2, 4, 5, 6])[Y]), {}),
    "labels shifted": ("labels_permuted", (Z, (Y + 1) % 7), {}),
    "labels of probabilities permuted": (
        "labels_permuted",
        (None, np.asarray([3, 0, 6, 2, 5, 1, 4])[Y]),
        {"probabilities": P},
    ),
    "yes and no exchanged": ("labels_permuted", (ANSWERS[0][:, 0], 1 - ANSWERS[1][:, 0]), {}),
    "questions permuted": ("labels_permuted", (ANSWERS[0], ANSWERS[1][:, [1, 2, 0, 5, 3, 4]]), {}),
    "integer one-hot": ("integer_one_hot", (Z, np.eye(7, dtype=np.int64)[Y]), {}),
    "padding": ("padding_as_class", PADDED, {}),
    "padding in one axis": ("padding_as_class", (PADDED[0].reshape(-1, 20), PADDED[1].reshape(-1)), {}),
    "ignore_index not used": ("ignore_index_unused", (Z, Y), {"ignore_index": -1}),
    "ignore_index hides a class": ("ignore_index_hides", (Z, marked(Y, 0.7, 3)), {"ignore_index": 3}),
    "ignore_index hides nearly all": (
        "ignore_index_hides",
        (Z, marked(Y, 0.98, -100)),
        {"ignore_index": -100},
    ),
    "ignore_index forgotten": ("ignore_index_missing", (Z, marked(Y, 0.2, 255)), {}),
    "a label too many": ("label_outside", (Z, marked(Y, 0.1, 12)), {}),
    "NaN": ("not_finite", (spoiled(Z, np.nan), Y), {}),
    "infinity": ("not_finite", (spoiled(Z, np.inf), Y), {}),
    "saturated": ("saturated", (300 * Z, Y), {}),
    "a probability of 0": ("zero_probability", (None, Y), {"probabilities": np.eye(7)[(Y + (Y == 0)) % 7]}),
    "nothing learned": (
        "not_learned",
        (0.05 * np.random.default_rng(5).normal(size=Z.shape) + np.log(np.bincount(Y) / len(Y)) + 3, Y),
        {},
    ),
    "too sure": ("temperature", (4 * Z, Y), {}),
    "too careful": ("temperature", (Z / 4, Y), {}),
    "a yes too sure": ("temperature", (4 * ANSWERS[0][:, 0], ANSWERS[1][:, 0]), {}),
}


def test_there_are_at_least_thirty_healthy_files():
    assert len(HEALTHY) >= 30


@pytest.mark.parametrize(("name", "arrays", "options"), HEALTHY, ids=[name for name, *_ in HEALTHY])
def test_nothing_is_found_where_nothing_is_wrong(name, arrays, options):
    report = doctor.examine(*arrays, **options)
    assert [finding.name for finding in report] == []
    assert "Nothing was found" in str(report)
    assert report.unseen


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_first(name):
    fault, arrays, options = PLANTED[name]
    report = doctor.examine(*arrays, **options)
    assert report[0].name == fault
    assert report[0].evidence
    assert report[0].instead


def test_the_floor_and_the_cost_of_a_second_softmax():
    finding = doctor.examine(P, Y)[0]
    assert finding.evidence["floor_of_the_loss"] == pytest.approx(np.log(np.e + 6) - 1, rel=1e-12)
    right = -np.log(P[np.arange(len(Y)), Y]).mean()
    twice = -np.log(softmax(P)[np.arange(len(Y)), Y]).mean()
    assert finding.evidence["loss_as_called"] == pytest.approx(twice, rel=1e-12)
    assert finding.cost == pytest.approx(twice - right, rel=1e-9)


def test_the_line_to_write_for_permuted_labels_puts_them_in_order():
    order = np.asarray([3, 0, 6, 2, 5, 1, 4])
    finding = doctor.examine(Z, order[Y])[0]
    namespace = {"numpy": np, "labels": order[Y]}
    exec(finding.instead, namespace)
    np.testing.assert_array_equal(namespace["labels"], Y)
    permuted = -np.log(P[np.arange(len(Y)), order[Y]])
    right = -np.log(P[np.arange(len(Y)), Y])
    assert finding.cost == pytest.approx((permuted - right).mean(), rel=1e-9)


def test_the_cost_of_a_temperature_is_what_another_temperature_saves():
    finding = doctor.examine(4 * Z, Y)[0]
    assert finding.evidence["temperature"] == pytest.approx(4, rel=0.15)
    losses = [-np.log(softmax(k * Z)[np.arange(len(Y)), Y]).mean() for k in (4, 1)]
    assert finding.cost == pytest.approx(losses[0] - losses[1], rel=0.05)


def test_predictions_too_sure_by_the_factor_at_which_their_loss_is_the_entropy_did_learn():
    H = -np.log(np.bincount(Y) / len(Y))[Y].mean()

    def loss(factor):
        return -np.log(softmax(factor * Z)[np.arange(len(Y)), Y]).mean()

    factors = np.linspace(1, 20, 2000)
    factor = factors[np.argmin([abs(loss(k) - H) for k in factors])]
    assert loss(factor) == pytest.approx(H, rel=1e-3)
    assert [finding.name for finding in doctor.examine(factor * Z, Y)] == ["temperature"]


def test_the_first_row_that_is_not_finite_is_named_among_all_rows():
    x = Z.copy()
    x[40:, 1] = np.nan
    labels = marked(Y, 0.1, -100)
    labels[40:42] = -100, 3
    evidence = doctor.examine(x, labels, ignore_index=-100)[0].evidence
    assert (evidence["first_row"], evidence["its_column"]) == (41, 1)


def test_findings_are_in_the_order_of_their_severity_and_say_what_they_cost():
    report = doctor.examine(spoiled(4 * Z, np.nan), Y, ignore_index=-1)
    names = [finding.name for finding in report]
    assert names == ["not_finite", "ignore_index_unused", "temperature"]
    assert [FAULTS.index(name) for name in names] == sorted(FAULTS.index(name) for name in names)
    assert "cost: " in str(report)
    assert [f["name"] for f in report.to_dict()["findings"]] == names


def test_a_report_is_a_page_that_asks_for_nothing():
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    report = doctor.examine(P, Y)
    page = report.to_html()
    assert "softmax twice" in page
    assert "default-src 'none'" in page
    assert "softmax twice" in report._repr_html_()


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    assert not doctor.examine(torch.tensor(Z, requires_grad=True), torch.tensor(Y))
    assert doctor.examine(torch.tensor(P).bfloat16(), torch.tensor(Y))[0].name == "softmax_twice"


def test_log_probabilities_that_were_rounded_are_looked_at():
    torch = pytest.importorskip("torch")
    log_p = torch.log_softmax(torch.tensor(Z), -1)
    for rounded in (log_p.bfloat16(), log_p.half(), log_p + 1e-4):
        assert not doctor.examine(log_probabilities=rounded, labels=Y)


def test_scores_that_no_calibrator_takes_are_looked_at():
    assert doctor.examine(1e200 * Z, Y)[0].name == "saturated"
    assert doctor.examine(1e200 * Z[:, 0], Z[:, 0] > 0)[0].name == "saturated"


def test_an_infinite_loss_is_found_of_classes_and_of_questions():
    certain = np.eye(7)[Y]
    assert not doctor.examine(probabilities=certain, labels=Y)
    finding = doctor.examine(probabilities=certain, labels=np.where(np.arange(len(Y)) == 5, (Y + 1) % 7, Y))[
        0
    ]
    assert (finding.name, finding.evidence["first_row"]) == ("zero_probability", 5)
    yes = (Y > 3).astype(float)
    assert not doctor.examine(probabilities=yes, labels=yes)
    finding = doctor.examine(probabilities=yes, labels=np.where(np.arange(len(Y)) == 5, 1 - yes, yes))[0]
    assert (finding.name, finding.evidence["first_row"]) == ("zero_probability", 5)


def test_log_probabilities_of_questions_above_zero_are_logits():
    report = doctor.examine(log_probabilities=Z[:, 0], labels=(Z[:, 0] > 0).astype(int))
    assert [finding.name for finding in report] == ["logits_as_log_probabilities"]


def test_half_precision_is_found_where_it_changes_the_loss_by_more_than_a_thousandth():
    torch = pytest.importorskip("torch")
    seen = set()
    for seed in range(6):
        z, y = (torch.tensor(a) for a in drawn(scale=1.0, seed=seed))
        rounded = z.bfloat16()
        exact = torch.nn.functional.cross_entropy(rounded.double(), y)
        error = abs(float(exact.bfloat16() / exact) - 1)
        found = "half_precision" in [finding.name for finding in doctor.examine(rounded, y)]
        if not 0.9e-3 < error < 1.1e-3:
            assert found == (error > 1e-3)
            seen.add(found)
    assert seen == {False, True}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((Z,), {}, "pass one of logits.* and labels; passed: logits"),
        ((Z, Y), {"probabilities": P}, "passed: logits and probabilities and labels"),
        ((Z, Y[:5]), {}, r"labels have shape \(5,\) and logits \(1500, 7\).* of shape \(1500,\)"),
        ((Z, Y), {"ignore_index": "x"}, "ignore_index is 'x'; pass an integer"),
        ((Z, Y), {"axis": 2}, r"axis is 2, and logits have shape \(1500, 7\)"),
        ((Z, Y + 0.5), {}, "labels are floating"),
        ((Z, ["a"]), {}, "labels has dtype <U1"),
        ((np.zeros((0, 3)), np.zeros(0, int)), {}, r"logits have shape \(0, 3\)"),
    ],
)
def test_an_error_says_what_to_pass(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        doctor.examine(*arguments, **options)
