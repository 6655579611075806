"""Logits whose classes may lie on axis 1 as well as on the last, and an axis that nobody passed."""

import warnings
from inspect import signature

import numpy as np
import pytest

import crossentropy as ce

LOSSES = [ce.softmax_cross_entropy, ce.target_statistics]
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((2, 4, 4, 4)).astype(np.float32)
LABELS = RNG.integers(0, 4, (2, 4, 4))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy", "array_api_strict"])
@pytest.mark.parametrize("rank", [3, 4])
def test_a_default_axis_warns_where_axis_1_fits_too(loss, library, rank):
    xp = pytest.importorskip(library)
    logits, labels = (IMAGES, LABELS) if rank == 4 else (IMAGES[0], LABELS[0])
    with pytest.warns(UserWarning, match=r"Pass axis=-1 .* or axis=1") as caught:
        loss(xp.asarray(logits), xp.asarray(labels))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("loss", LOSSES)
def test_each_calling_line_warns_once(loss):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            loss(IMAGES, LABELS)
        loss(IMAGES, LABELS)
    assert len(caught) == 2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("logits", "labels", "options"),
    [
        (IMAGES, LABELS, {"axis": -1}),
        (IMAGES, LABELS, {"axis": 1}),
        (IMAGES, LABELS, {"axis": 3}),
        (IMAGES[0, 0], LABELS[0, 0], {}),  # classes on axis 1, which is the last
        (IMAGES[:, :, :, :3], LABELS % 3, {}),  # the last alone has a label a row
        (IMAGES[:, :3].swapaxes(1, 3), LABELS % 3, {}),
        (IMAGES, ce.targets.Probabilities(np.full(IMAGES.shape, 0.25)), {}),
    ],
)
def test_an_axis_that_was_passed_or_is_the_only_one_warns_of_nothing(loss, logits, labels, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(logits, labels, **options)


def test_pytorchs_face_has_its_axis_from_pytorch():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ce.torch.cross_entropy(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))


def test_sequences_have_their_classes_on_the_last_axis_and_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ce.losses.sequence_cross_entropy(IMAGES[0], LABELS[0])
        ce.losses.sequence_log_prob(IMAGES[0], LABELS[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_signature_shows_the_axis_as_a_number(loss):
    assert "axis: int = -1" in str(signature(loss))
    assert loss(IMAGES[0, 0], LABELS[0, 0]) is not None


def test_a_compiled_loss_takes_the_default_axis_without_a_break():
    torch = pytest.importorskip("torch")
    loss = torch.compile(lambda z, y: ce.softmax_cross_entropy(z, y), backend="eager", fullgraph=True)
    z, y = torch.from_numpy(IMAGES), torch.from_numpy(LABELS)
    torch.testing.assert_close(loss(z, y), ce.softmax_cross_entropy(z, y, axis=-1))
