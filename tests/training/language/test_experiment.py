import numpy as np
import pytest
import torch

from crossentropy.training.errors import InputError
from crossentropy.training.language.baselines import score_unigram, score_xz
from crossentropy.training.language.experiment import prepare, train
from crossentropy.training.language.scores import cut_windows
from crossentropy.training.language.tokenizer import token_sizes

SENTENCE = "the cat sat on the mat, and the cat did\n"


def weights(run):
    return torch.cat([weight.flatten() for weight in run.model.state_dict().values()])


def test_the_same_seed_gives_the_same_bits_and_leaves_the_random_state(tiny, tmp_path, bottles_run):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again = train(prepare(tiny(), tmp_path))
    assert torch.equal(torch.get_rng_state(), state)
    assert again.history == bottles_run.history
    assert again.sample == bottles_run.sample
    assert torch.equal(weights(again), weights(bottles_run))


def test_another_seed_gives_another_run(tiny, tmp_path, bottles_run):
    assert train(prepare(tiny(seed=1), tmp_path)).history != bottles_run.history


def test_without_the_logits_in_memory_the_loss_curve_is_the_same(tiny, tmp_path):
    linear, materialized = (
        train(prepare(tiny(logits=logits, steps=40), tmp_path / logits)).history
        for logits in ("linear", "materialized")
    )
    np.testing.assert_allclose(linear.losses, materialized.losses, atol=1e-5, rtol=0)
    for ours, theirs in zip(linear.evaluations, materialized.evaluations, strict=True):
        assert ours.score.nats_per_token == pytest.approx(theirs.score.nats_per_token, abs=1e-5)


def test_the_held_out_text_is_evaluated_at_every_checkpoint_and_the_end(tiny, tmp_path):
    run = train(prepare(tiny(steps=5, checkpoint_every=2), tmp_path))
    assert [evaluation.step for evaluation in run.history.evaluations] == [2, 4, 5]
    assert run.score == run.history.evaluations[-1].score
    assert len(run.history.losses) == 5


def test_the_first_loss_is_that_of_equal_chances(bottles_run):
    assert bottles_run.history.losses[0] == pytest.approx(np.log(bottles_run.shape.vocabulary), abs=0.1)


def test_the_held_out_text_says_nothing_to_the_model(tiny, tmp_path, text_file, bottles_run):
    lines = text_file.read_text().splitlines(keepends=True)
    other = tmp_path / "other.txt"
    other.write_text("".join([*lines[:-10], *(line[::-1].strip() + "\n" for line in lines[-10:])]))
    run = train(prepare(tiny(files=(str(other),)), tmp_path / "out"))
    assert run.history.losses == bottles_run.history.losses
    assert run.score != bottles_run.score


def test_the_baselines_are_of_all_texts(tiny, tmp_path, text_file):
    (tmp_path / "cat.txt").write_text(SENTENCE * 20)
    prepared = prepare(tiny(files=(str(text_file), str(tmp_path / "cat.txt"))), tmp_path)
    run = train(prepared)
    texts = prepared.texts
    assert texts.held_out[1] == SENTENCE * 2
    assert run.xz == score_xz("".join(texts.training), "".join(texts.held_out))
    tokens = [token for text in prepared.held_out for token in text[1:]]
    training = np.concatenate(prepared.training)
    windows = cut_windows(prepared.held_out, run.options.context)
    assert run.unigram == score_unigram(training, windows, token_sizes(run.tokenizer))
    assert run.score.tokens == len(tokens)
    assert run.score.bytes == len("".join(texts.held_out))


def test_a_vocabulary_that_the_text_does_not_support_is_said(tiny, tmp_path):
    (tmp_path / "cat.txt").write_text(SENTENCE * 20)
    prepared = prepare(tiny(files=(str(tmp_path / "cat.txt"),), vocabulary=1000), tmp_path)
    assert prepared.notices[0].startswith(f"The vocabulary has {prepared.tokenizer.get_vocab_size()} tokens")
    assert not prepare(tiny(), tmp_path).notices


def test_a_text_shorter_than_a_window_is_refused(tiny, tmp_path):
    with pytest.raises(InputError, match=r"too short: it has \d+ tokens, and a window has 10001"):
        prepare(tiny(context=10000), tmp_path)
