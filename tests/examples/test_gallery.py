"""The claims of the gallery's pages: each number against another way to it, or within the bounds of its claim."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")


# ------------------------------------------------------------------------------------ plot_price_of_confidence


def test_being_sure_and_wrong_costs_as_much_as_1375_rows_at_99_percent(page):
    price = page("price_of_confidence").price
    assert round(price[4] / price[1]) == 1375
    assert price[4] == pytest.approx(-math.log(1e-6), rel=1e-12)


def test_the_pull_is_one_half_at_a_margin_of_0_and_never_above_1(page):
    p = page("price_of_confidence")
    assert p.pull[p.margin == 0] == pytest.approx(0.5, abs=1e-15)
    assert p.pull.max() < 1
    np.testing.assert_allclose(p.pull, 1 / (1 + np.exp(p.margin)), rtol=1e-12)


def test_usual_formulas_lose_all_digits_of_float32_at_a_margin_of_17_and_ours_none(page):
    p = page("price_of_confidence")
    assert p.zero_from == {"log of the softmax": 17, "torch.nn.functional": 17, "crossentropy": None}
    assert p.digits["crossentropy"].min() > 6.8


# ----------------------------------------------------------------------------------------- plot_code_at_the_bound


def test_an_arithmetic_code_is_within_a_bit_of_the_cross_entropy_of_the_whole_text(page):
    p = page("code_at_the_bound")
    for name, bound in p.bound.items():
        excess = (p.arithmetic[name] - bound) * len(p.text)
        assert -1e-6 <= excess <= 1 + 1e-6, name


def test_every_message_decodes_to_the_text(page):
    p = page("code_at_the_bound")
    assert set(p.decoded.values()) == {p.text}


def test_a_wrong_distribution_costs_its_divergence(page):
    p = page("code_at_the_bound")
    frequencies = p.p[p.p > 0]
    entropy = -(frequencies * np.log2(frequencies)).sum()
    for name, penalty in p.penalty.items():
        assert p.bound[name] - entropy == pytest.approx(penalty, abs=1e-9), name


def test_huffmans_code_is_less_than_a_bit_above_the_entropy_and_a_prefix_code(page):
    p = page("code_at_the_bound")
    assert p.entropy <= p.huffman["the text's own letters"] < p.entropy + 1
    for model in p.one_for_all.values():
        assert (0.5 ** p.huffman_lengths(model)).sum() == pytest.approx(1.0, abs=1e-12)  # Kraft


def test_pairs_of_letters_need_fewer_bits_than_the_entropy_of_letters(page):
    p = page("code_at_the_bound")
    assert p.arithmetic["pairs of letters, other pages"] < p.entropy - 0.5


# ---------------------------------------------------------------------------------- plot_backpropagation_by_hand


def test_gradients_by_hand_are_those_of_differences(page):
    p = page("backpropagation_by_hand")
    assert p.logit_error < 1e-15
    assert p.gradient_error < 1e-6


def test_the_perceptron_in_numpy_starts_at_ln_10_and_reads_digits(page):
    p = page("backpropagation_by_hand")
    assert p.batch_loss[0] == pytest.approx(math.log(10), abs=0.05)
    assert p.accuracy > 0.95


# -------------------------------------------------------------------------------------------- plot_squared_error


def test_the_pull_of_squared_error_vanishes_where_the_model_is_sure_and_wrong(page):
    pull = page("squared_error").pull
    wrong = 1 / (1 + math.exp(-12))
    assert pull["squared error"][0] == pytest.approx(4 * wrong**2 * (1 - wrong), rel=1e-9)
    assert pull["cross-entropy"][0] == pytest.approx(wrong, rel=1e-12)


def test_squared_error_does_not_leave_a_bad_start_and_cross_entropy_does(page):
    curves = page("squared_error").curves
    assert curves["squared error"][-1] < 0.2
    assert curves["cross-entropy"][-1] > 0.9


def test_squared_error_gives_up_far_outliers(page):
    right = page("squared_error").right
    assert right["squared error"] > right["cross-entropy"] + 0.04
    assert right["squared error"] > right["hinge"] + 0.04


def test_hinge_keeps_more_accuracy_under_random_labels(page):
    noisy = page("squared_error").noisy
    assert noisy["hinge"][-1] > noisy["cross-entropy"][-1] + 0.04
    assert noisy["squared error"].max() > noisy["hinge"].max()  # stopped early


# --------------------------------------------------------------------------------------------- plot_noisy_labels


def test_bounded_losses_win_under_wrong_labels(page):
    accuracy = page("noisy_labels").accuracy
    for rate in (1, 2):
        for robust in ("generalized, q = 0.7", "symmetric", "forward correction"):
            assert accuracy[robust][rate] > accuracy["cross-entropy"][rate] + 0.05


def test_mean_absolute_error_loses_on_clean_labels(page):
    p = page("noisy_labels")
    assert p.accuracy["mean absolute error"][0] < p.accuracy["cross-entropy"][0] - 0.03
    assert p.early["mean absolute error"] < p.early["cross-entropy"] - 0.05
    assert p.log_loss["mean absolute error"][0] > 5 * p.log_loss["cross-entropy"][0]


# --------------------------------------------------------------------------------------------- plot_rare_classes


def test_remedies_raise_the_recall_and_the_log_loss(page):
    table = page("rare_classes").table
    for remedy in ("balanced weights", "logit adjustment"):
        assert table[remedy]["recall"] > table["plain"]["recall"] + 0.15
        assert table[remedy]["log loss"] > 2 * table["plain"]["log loss"]
        assert table[remedy]["mean p"] > 3 * table["plain"]["mean p"]


def test_a_lower_threshold_of_the_plain_model_finds_as_many(page):
    p = page("rare_classes")
    assert p.moved_recall > p.table["balanced weights"]["recall"] - 0.03
    assert p.table["plain"]["mean p"] == pytest.approx(p.test_y.mean(), rel=0.2)


def test_weights_spoil_the_order_of_the_rows_and_logit_adjustment_can_be_undone(page):
    p = page("rare_classes")
    assert p.table["balanced weights"]["AP"] < p.table["plain"]["AP"] - 0.05
    assert p.table["logit adjustment"]["AP"] > p.table["plain"]["AP"] - 0.05
    assert p.undone < 1.2 * p.table["plain"]["log loss"]


# ------------------------------------------------------------------------------------------- plot_label_smoothing


def test_a_little_smoothing_helps_and_much_makes_the_network_too_modest(page):
    p = page("label_smoothing")
    assert p.scores[0.1].log_loss < p.scores[0.0].log_loss - 0.3
    assert p.confidence[0.0] > p.scores[0.0].accuracy + 0.05
    assert p.confidence[0.5] < p.scores[0.5].accuracy - 0.2
    assert p.scores[0.5].ece > 2 * p.scores[0.0].ece


def test_a_temperature_repairs_the_log_loss_of_none_and_of_much_smoothing(page):
    p = page("label_smoothing")
    assert p.tempered[0.0].log_loss < p.scores[0.0].log_loss - 0.3
    assert p.tempered[0.5].log_loss < p.scores[0.5].log_loss - 0.15
    assert p.tempered[0.5].log_loss < p.tempered[0.0].log_loss


# -------------------------------------------------------------------------------------- plot_numbers_that_disagree


def test_each_tools_number_is_the_rest_and_three_times_its_clip(page):
    p = page("numbers_that_disagree")
    rest = p.without["crossentropy"] * (len(p.p) - 3)
    clips = {
        "scikit-learn, float64": -math.log(2.0**-52),
        "scikit-learn, float32": -math.log(2.0**-23),
        "Kaggle and Spark, 1e-15": -math.log(1e-15),
        "Keras, 1e-7": -math.log(1e-7),
        "torch.nn.BCELoss": 100.0,
    }
    for name, clip in clips.items():
        assert p.scores[name] == pytest.approx((rest + 3 * clip) / len(p.p), rel=1e-6), name


def test_this_package_returns_infinity_and_names_the_rows(page):
    p = page("numbers_that_disagree")
    assert p.scores["crossentropy"] == math.inf
    assert sorted(row["row"] for row in p.result.worst_rows[:3]) == [17, 4242, 9001]
    assert math.isfinite(p.mixed_loss)
