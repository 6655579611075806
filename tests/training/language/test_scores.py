import math

import numpy as np
import pytest
import torch

from crossentropy.evaluation import language_score
from crossentropy.training.errors import InputError
from crossentropy.training.language.loss import token_loss
from crossentropy.training.language.model import Shape, build_transformer
from crossentropy.training.language.options import LOGITS
from crossentropy.training.language.scores import NO_LABEL, cut_windows, score_text, score_windows

SIZES = np.arange(9)  # bytes of each token
TEXTS = [np.array([0, 1, 2, 3, 4, 5, 6]), np.array([0, 7, 8])]


@pytest.fixture
def model():
    return build_transformer(Shape(vocabulary=9, context=4, layers=1, width=8, heads=2), seed=0)


def test_windows_ask_for_every_token_of_every_text_once():
    windows = cut_windows(TEXTS, 4)
    assert windows.inputs.tolist() == [[0, 1, 2, 3], [4, 5, 0, 0], [0, 7, 0, 0]]
    assert windows.labels.tolist() == [[1, 2, 3, 4], [5, 6, -1, -1], [7, 8, -1, -1]]
    assert cut_windows([np.arange(5)], 4).labels.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("logits", LOGITS)
def test_a_model_of_equal_chances_needs_the_logarithm_of_the_vocabulary(model, logits):
    torch.nn.init.zeros_(model.weight)
    score = score_text(model, cut_windows(TEXTS, 4), SIZES, batch=2, logits=logits)
    assert score.nats_per_token == pytest.approx(math.log(9), rel=1e-6)
    assert score.bits_per_byte == pytest.approx(8 * math.log2(9) / SIZES[1:].sum(), rel=1e-6)


@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_score_is_the_cross_entropy_of_the_windows_without_dropout(model, batch, logits):
    torch.nn.init.normal_(model.weight)
    windows = cut_windows(TEXTS, 4)
    model.train()
    score = score_text(model, windows, SIZES, batch, logits)
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


def test_errors_are_by_window():
    log_probs, labels = np.array([[-1.0, -3.0], [-2.0, 0.5]]), np.array([[1, 2], [4, NO_LABEL]])
    score = score_windows(log_probs, labels, SIZES)
    truth = language_score(log_probs=[[-1.0, -3.0], [-2.0]], bytes=[3, 4])
    assert score.bits_per_byte_interval == truth.bits_per_byte_interval
    assert (score.documents, score.windows) == (None, 2)
    assert (score.context, score.stride, score.prefix) == (2, 2, "<|endoftext|>")


def test_a_loss_that_is_no_number_is_said_to_be_of_a_training_that_diverged(model):
    torch.nn.init.constant_(model.weight, math.nan)
    with pytest.raises(InputError, match="The training diverged"):
        score_text(model, cut_windows(TEXTS, 4), SIZES, 2, "materialized")
