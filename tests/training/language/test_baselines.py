import lzma
import math

import numpy as np
import pytest

from crossentropy.training.language.baselines import score_unigram, score_xz
from crossentropy.training.language.scores import cut_windows


def test_the_unigram_coder_adds_one_to_the_training_counts():
    windows = cut_windows([np.array([0, 0, 2, 2])], context=2)
    score = score_unigram(np.array([0, 0, 1]), windows, sizes=np.array([1, 9, 2]))
    nats = -math.log(3 / 6) - 2 * math.log(1 / 6)
    assert score.nats == pytest.approx(nats, rel=1e-14)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / 5, rel=1e-14)
    assert (score.tokens, score.windows) == (3, 2)


def test_without_counts_the_unigram_coder_is_uniform():
    windows = cut_windows([np.arange(9) % 8], context=4)
    score = score_unigram(np.array([], dtype=np.int64), windows, sizes=np.ones(8, dtype=np.int64))
    assert score.bits_per_byte == pytest.approx(3, rel=1e-14)


def test_xz_is_what_the_held_out_text_adds_to_the_training_text_and_what_it_takes_alone():
    training = "".join(f"{i} green bottles hanging on the wall, and if {i % 7}\n" for i in range(60))
    held_out = "the wall is green and 7 hang on thé other\n"
    size = {
        text: len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        for text in (training, training + held_out, held_out)
    }
    score = score_xz(training, held_out)
    assert score.alone == 8 * size[held_out] / 43
    assert score.after_training == 8 * (size[training + held_out] - size[training]) / 43


def test_xz_knows_the_training_text():
    letters = np.random.default_rng(0).integers(97, 123, size=2000, dtype=np.uint8).tobytes().decode()
    score = score_xz(letters, letters)
    assert score.after_training < 0.2
    assert score.alone > math.log2(26)
