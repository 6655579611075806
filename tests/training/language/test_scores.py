import math

import numpy as np
import pytest
import torch

from crossentropy.training.language.loss import token_loss
from crossentropy.training.language.model import Shape, build_transformer
from crossentropy.training.language.options import LOGITS
from crossentropy.training.language.scores import NO_LABEL, TextScore, cut_windows, score_text

TEXTS = [np.array([0, 1, 2, 3, 4, 5, 6]), np.array([0, 7, 8])]


@pytest.fixture
def model():
    return build_transformer(Shape(vocabulary=9, context=4, layers=1, width=8, heads=2), seed=0)


def test_bits_per_byte_are_the_bits_of_all_tokens_over_the_bytes():
    score = TextScore(nats=10 * math.log(8), tokens=10, bytes=40)
    assert score.nats_per_token == pytest.approx(math.log(8), rel=1e-15)
    assert score.bits_per_byte == pytest.approx(30 / 40, rel=1e-15)
    assert score.perplexity == pytest.approx(8, rel=1e-14)


def test_a_hopeless_model_has_infinite_perplexity():
    assert TextScore(1e4, 1, 1).perplexity == math.inf


def test_scores_of_no_text_are_nan():
    score = TextScore(0.0, 0, 0)
    assert np.isnan([score.nats_per_token, score.bits_per_byte, score.perplexity]).all()


def test_windows_ask_for_every_token_of_every_text_once():
    windows = cut_windows(TEXTS, 4)
    assert windows.inputs.tolist() == [[0, 1, 2, 3], [4, 5, 0, 0], [0, 7, 0, 0]]
    assert windows.labels.tolist() == [[1, 2, 3, 4], [5, 6, -1, -1], [7, 8, -1, -1]]
    assert windows.tokens == 8
    assert cut_windows([np.arange(5)], 4).labels.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("logits", LOGITS)
def test_a_model_of_equal_chances_needs_the_logarithm_of_the_vocabulary(model, logits):
    torch.nn.init.zeros_(model.weight)
    score = score_text(model, cut_windows(TEXTS, 4), 16, batch=2, logits=logits)
    assert score.nats_per_token == pytest.approx(math.log(9), rel=1e-6)
    assert score.bits_per_byte == pytest.approx(8 * math.log2(9) / 16, rel=1e-6)


@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_score_is_the_cross_entropy_of_the_windows_without_dropout(model, batch, logits):
    torch.nn.init.normal_(model.weight)
    windows = cut_windows(TEXTS, 4)
    model.train()
    score = score_text(model, windows, 16, batch, logits)
    with torch.no_grad():
        z = (model.eval()(windows.inputs) @ model.weight.T).double()
    truth = torch.nn.functional.cross_entropy(
        z.flatten(0, 1), windows.labels.flatten(), ignore_index=NO_LABEL, reduction="sum"
    )
    assert score.nats == pytest.approx(float(truth), rel=1e-5)


@pytest.mark.parametrize("logits", LOGITS)
def test_the_loss_and_its_gradients_are_those_of_the_logits(logits):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, 6, 2], [3, 3, 1]])
    truth = torch.nn.functional.cross_entropy((hidden @ weight.T).flatten(0, 1), labels.flatten())
    ours = token_loss(hidden, weight, labels, logits)
    torch.testing.assert_close(ours, truth)
    gradients = (torch.autograd.grad(loss, (hidden, weight)) for loss in (ours, truth))
    for of_ours, of_truth in zip(*gradients, strict=True):
        torch.testing.assert_close(of_ours, of_truth)
