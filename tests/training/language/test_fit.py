import numpy as np
import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.fit import draw_batch, learning_rate

TOKENS = np.arange(100, 140)


def test_the_step_size_rises_in_a_line_and_falls_in_a_cosine_to_a_tenth(tiny):
    options = tiny(steps=101, learning_rate=2.0)
    rates = [learning_rate(step, options) for step in range(101)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 5)
    np.testing.assert_allclose(rates[10:], 0.2 + 0.9 * (1 + np.cos(np.linspace(0, np.pi, 91))))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_runs_have_a_step_size_too(tiny, steps):
    assert all(0 < learning_rate(step, tiny(steps=steps)) <= tiny().learning_rate for step in range(steps))


def test_labels_are_the_tokens_that_come_next(tiny):
    inputs, labels = draw_batch(TOKENS, 0, tiny())
    assert inputs.shape == labels.shape == (4, 16)
    assert torch.equal(labels, inputs + 1)


def test_a_batch_depends_on_the_seed_and_the_step_alone(tiny):
    first = draw_batch(TOKENS, 3, tiny())[0]
    np.random.default_rng().random()
    assert torch.equal(draw_batch(TOKENS, 3, tiny())[0], first)
    assert not torch.equal(draw_batch(TOKENS, 4, tiny())[0], first)
    assert not torch.equal(draw_batch(TOKENS, 3, tiny(seed=1))[0], first)


def test_windows_begin_anywhere_and_reach_the_last_token(tiny):
    starts = {int(start) for step in range(100) for start in draw_batch(TOKENS, step, tiny())[0][:, 0]}
    assert starts == set(range(100, 124))  # 124 … 139 is a window of inputs without a label at its end


def test_a_text_of_one_window_can_be_trained_on(tiny):
    assert torch.equal(draw_batch(TOKENS[:17], 0, tiny())[1][0], torch.arange(101, 117))


def test_a_loss_that_is_no_longer_finite_ends_training(tiny, tmp_path):
    with pytest.raises(InputError, match=r"diverged.*--learning-rate"):
        train(prepare(tiny(learning_rate=1e38, steps=40), tmp_path))


def test_a_model_learns_what_repeats(tiny, tmp_path):
    run = train(prepare(tiny(steps=150, checkpoint_every=50, width=32, learning_rate=0.01), tmp_path))
    assert run.score.bits_per_byte < run.unigram.bits_per_byte / 2
