"""The claims of the gallery's pages that train networks on sequences, images and games."""

import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


# ------------------------------------------------------------------------------------------------ plot_sequences


def test_no_shift_and_counted_padding_report_less_than_the_loss_that_is_meant(page):
    results = {
        name: (reported[-1], right[-1]) for name, (reported, right, _) in page("sequences").results.items()
    }
    assert results["right"][0] == results["right"][1]
    assert results["no shift"][0] < 0.05
    assert results["no shift"][1] > results["right"][1] + 3
    assert results["padding counts"][0] < results["padding counts"][1] - 0.5


def test_a_mean_of_means_is_another_number_and_a_normalizer_mends_it(page):
    p = page("sequences")
    logits, targets = p.table[p.tokens][:, :-1].reshape(-1, p.classes), p.tokens[:, 1:].reshape(-1)
    truth = torch.nn.functional.cross_entropy(logits.double(), targets, ignore_index=0).item()
    assert p.whole == pytest.approx(truth, rel=1e-6)
    assert p.summed == pytest.approx(truth, rel=1e-6)
    assert abs(p.of_means - truth) > 1e-3


# ------------------------------------------------------------------------------------------------------ plot_ctc


def test_ctc_is_the_sum_over_all_paths(page):
    p = page("ctc")
    assert len(p.paths) == 28  # of 6 steps, abb needs a blank between the two b
    assert p.by_ctc == pytest.approx(p.by_paths, rel=1e-12)


def test_a_network_learns_to_spell_without_knowing_the_places(page):
    p = page("ctc")
    assert p.exact > 0.8
    assert p.placed > 0.95


# ----------------------------------------------------------------------------------------------- plot_linear_head


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self")
def test_the_memory_of_a_linear_head_does_not_grow_with_the_rows():
    # In a process of its own: memory that other tests have freed would serve a step without being counted.
    printed = subprocess.run(
        [sys.executable, EXAMPLES / "plot_linear_head.py"],
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    memory = defaultdict(list)
    for name, mebibytes in re.findall(r"^(\S.*?) +N = .* ([\d.]+) MiB$", printed, re.MULTILINE):
        memory[name].append(float(mebibytes))
    assert memory["stored logits"][-1] > 3 * memory["stored logits"][0]
    assert memory["crossentropy"][-1] < 1.5 * memory["crossentropy"][0] + 16  # MiB
    assert memory["crossentropy"][-1] < memory["stored logits"][-1] / 8


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self")
def test_the_gradients_of_both_ways_agree(page):
    p = page("linear_head")
    assert p.worst_difference < 1e-4
    for rows in p.ROWS:
        assert p.results["crossentropy", rows][0] == pytest.approx(
            p.results["stored logits", rows][0], rel=1e-5
        )


# ------------------------------------------------------------------------------------------------ plot_cnn_digits


def test_few_digits_own_half_of_the_loss(page):
    p = page("cnn_digits")
    assert p.result.accuracy > 0.94
    assert p.own_half < 0.05 * p.result.n
    assert p.result.log_loss == pytest.approx(p.losses.mean(), rel=1e-12)
    assert p.result.worst_rows[0]["row"] == p.losses.argmax()


# --------------------------------------------------------------------------------------------- plot_recurrent_text


def test_a_longer_reach_through_time_predicts_better(page):
    p = page("recurrent_text")
    assert p.test_bits[16] < p.test_bits[1] - 0.03
    assert p.test_bits[1] < p.single - 1


# ------------------------------------------------------------------------------------------- plot_transformer_text


@pytest.mark.full
def test_a_transformer_of_a_minute_beats_pairs_of_bytes(page):
    p = page("transformer_text")
    assert (
        p.bits_per_byte["transformer"]
        < p.bits_per_byte["pairs of bytes"]
        < p.bits_per_byte["single bytes"]
        < 8
    )
    assert len(p.text) == 164


# -------------------------------------------------------------------------------------------- plot_policy_gradient


def test_both_ways_balance_the_pole(page):
    pytest.importorskip("gymnasium")
    p = page("policy_gradient")
    assert p.lengths[0] < 40
    assert np.mean(p.lengths[-3:]) > 10 * p.lengths[0]
    assert p.held > 475


# ------------------------------------------------------------------------------------------------------- plot_gan


def test_the_saturating_loss_has_no_slope_where_the_discriminator_is_sure(page):
    p = page("gan")
    sure = 1 / (1 + math.exp(12))
    assert p.pull["saturating"][0] == pytest.approx(sure, rel=1e-9)
    assert p.pull["not saturating"][0] == pytest.approx(1 - sure, rel=1e-9)


def test_only_the_other_loss_reaches_the_real_numbers(page):
    games = page("gan").games
    assert games["not saturating"][0][-1, 0] == pytest.approx(4.0, abs=0.5)
    assert games["saturating"][0][-1, 0] < 2


# ---------------------------------------------------------------------------------------------- plot_distillation


def test_a_teachers_probabilities_are_worth_more_than_labels(page):
    results = {name: accuracy for name, (accuracy, _) in page("distillation").results.items()}
    assert results["teacher on 50 images"] > results["50 labels"] + 0.03
    assert results["teacher's best class, all"] > results["teacher on 50 images"] + 0.05


# -------------------------------------------------------------------------------------------- plot_focal_detection


def test_empty_cells_own_the_loss_at_first_unless_the_bias_is_that_of_the_prior(page):
    p = page("focal_detection")
    yes, no = -p.share * math.log(p.share), -(1 - p.share) * math.log1p(-p.share)
    assert p.owned["cross-entropy", "bias 0"] == pytest.approx(1 - p.share, rel=1e-5)
    assert p.owned["cross-entropy", "bias of the prior"] == pytest.approx(no / (yes + no), rel=1e-4)
    assert p.owned["focal", "bias of the prior"] < 1e-4


def test_the_bias_of_the_prior_saves_the_first_steps_with_either_loss(page):
    precision = {key: values for key, (values, *_) in page("focal_detection").runs.items()}
    assert min(values[-1] for values in precision.values()) > 0.9
    for loss in ("cross-entropy", "focal"):
        assert precision[loss, "bias of the prior"][1] > precision[loss, "bias 0"][1] + 0.3


# -------------------------------------------------------------------------------------------- plot_training_curves


def test_the_loss_says_which_knob_to_turn(page):
    runs = {key: (trained[-1], held[-1]) for key, (trained, held, _) in page("training_curves").runs.items()}
    assert runs["learning_rate", 0.0003][0] > 1.5  # too slow
    assert runs["learning_rate", 1.0][1] > math.log(10) - 0.05  # nothing learnt
    assert runs["weight_decay", 0.0][0] < runs["weight_decay", 3.0][0]
    assert runs["weight_decay", 3.0][1] < runs["weight_decay", 0.0][1]
    for knob, small, large in (("depth", 1, 4), ("width", 16, 256)):
        assert runs[knob, large][0] < runs[knob, small][0]
        assert runs[knob, large][1] > runs[knob, small][1]
