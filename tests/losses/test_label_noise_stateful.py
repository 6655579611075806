"""Online label smoothing and early-learning regularization: what is remembered, when, and of whom."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from crossentropy.losses.label_noise_stateful import EarlyLearningRegularization, OnlineLabelSmoothing
from losses.any_library import libraries

lib = libraries("numpy", "torch")
every = libraries("numpy", "torch", "jax")
autodiff = libraries("torch")
each_autodiff = libraries("torch", "jax")


def rows(n=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.normal(size=(n, classes)), rng.integers(0, classes, size=n)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# -------------------------------------------------------------------------------- online label smoothing


def test_the_first_epoch_is_label_smoothing_by_half(lib):
    z, y = rows()
    found = OnlineLabelSmoothing(4).loss(lib.array(z), lib.array(y))
    plain = ce.softmax_cross_entropy(z, y, label_smoothing=0.5)
    assert lib.owns(found)
    np.testing.assert_allclose(lib.numpy(found), plain, rtol=1e-14)


def test_the_next_epochs_labels_are_the_mean_predictions_of_rows_that_were_right(every):
    """Two batches, one wrong row; before the epoch ends nothing changes."""
    z, y = rows(40)
    p, right = softmax(z), z.argmax(axis=1) == y
    S = np.array([p[right & (y == c)].mean(axis=0) for c in range(4)])
    smoothing = OnlineLabelSmoothing(4, label_smoothing=0.3)
    before = smoothing.loss(every.array(z), every.array(y))
    for part in (slice(0, 25), slice(25, 40)):
        smoothing.update(every.array(z[part]), every.array(y[part]))
    np.testing.assert_array_equal(smoothing.loss(every.array(z), every.array(y)), before)
    smoothing.next_epoch()
    np.testing.assert_allclose(every.numpy(smoothing.state_dict()["soft_labels"]), S, rtol=1e-13)
    q = 0.7 * np.eye(4)[y] + 0.3 * S[y]
    found = smoothing.loss(every.array(z), every.array(y), reduction="none")
    np.testing.assert_allclose(every.numpy(found), -np.sum(q * np.log(p), axis=1), rtol=1e-13)
    smoothing.next_epoch()
    np.testing.assert_allclose(every.numpy(smoothing.state_dict()["soft_labels"]), S, rtol=1e-13)


def test_a_class_that_was_never_right_keeps_its_soft_label(lib):
    """ankandrew/online-label-smoothing-pt and its copies: a row of zeros, so half of its loss is gone."""
    smoothing = OnlineLabelSmoothing(3)
    z = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.1, 0.3]]))
    smoothing.update(lib.array(z), lib.array([0, 2]))
    smoothing.next_epoch()
    S = lib.numpy(smoothing.state_dict()["soft_labels"])
    np.testing.assert_allclose(S, [[0.7, 0.2, 0.1], [1 / 3] * 3, [1 / 3] * 3], rtol=1e-14)


def test_ignored_and_nan_rows_are_not_remembered(lib):
    """Also where the ignored label is a class, and its logits are the largest."""
    z = np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, np.nan, 0], [0, 1.0, 5.0], [np.nan, 0, 0]])
    for ignored, kept in [(0, [1, 3]), (2, [0, 1])]:
        smoothing = OnlineLabelSmoothing(3)
        y = np.array([0, 1, 1 if ignored == 0 else 0, 2, 1])
        smoothing.update(lib.array(z), lib.array(y), ignore_index=ignored)
        expected = np.zeros((3, 3))
        expected[y[kept]] = softmax(z[kept])
        np.testing.assert_allclose(lib.numpy(smoothing.state_dict()["sums"]), expected, rtol=1e-14)


def test_of_equal_logits_the_first_is_what_the_model_says(lib):
    smoothing = OnlineLabelSmoothing(2)
    smoothing.update(lib.array(np.zeros((2, 2))), lib.array([0, 1]))
    np.testing.assert_array_equal(lib.numpy(smoothing.state_dict()["sums"]), [[0.5, 0.5], [0, 0]])


def test_nothing_is_differentiated_through_what_is_remembered():
    torch = pytest.importorskip("torch")
    z, y = (torch.from_numpy(x) for x in rows())
    smoothing = OnlineLabelSmoothing(4)
    smoothing.update(z.requires_grad_(), y)
    assert not smoothing.state_dict()["sums"].requires_grad


def test_online_label_smoothing_has_a_gradient_in_numpy_and_takes_options():
    z, y = rows()
    y[1] = -1
    smoothing = OnlineLabelSmoothing(4, label_smoothing=0.4)
    smoothing.update(*rows(40, seed=1))
    smoothing.next_epoch()
    q = 0.6 * np.eye(4)[y] + 0.4 * smoothing.state_dict()["soft_labels"][y]
    value, gradient = ce.loss_and_gradient(smoothing.loss, z, y, ignore_index=-1, temperature=2.0)
    keep = (y != -1)[:, None]
    np.testing.assert_allclose(gradient, np.where(keep, (softmax(z / 2) - q) / 10, 0), rtol=1e-12)
    losses = -np.sum(q * np.log(softmax(z / 2)), axis=1)
    assert value == pytest.approx(losses[y != -1].mean(), rel=1e-13)


def test_a_state_moves_from_one_library_to_another():
    torch = pytest.importorskip("torch")
    z, y = rows(20)
    smoothing = OnlineLabelSmoothing(4)
    smoothing.update(z[:10], y[:10])
    smoothing.update(torch.from_numpy(z[10:]), torch.from_numpy(y[10:]))
    whole = OnlineLabelSmoothing(4)
    whole.update(z, y)
    np.testing.assert_allclose(smoothing.state_dict()["sums"].numpy(), whole.state_dict()["sums"], rtol=1e-14)
    restored = OnlineLabelSmoothing(4)
    restored.load_state_dict(smoothing.state_dict())
    for each in (smoothing, restored, whole):
        each.next_epoch()
    expected = float(whole.loss(z, y))
    assert float(smoothing.loss(torch.from_numpy(z), torch.from_numpy(y))) == pytest.approx(
        expected, rel=1e-14
    )
    assert float(restored.loss(z, y)) == pytest.approx(expected, rel=1e-14)


def test_jax_may_compile_the_loss_and_not_the_update():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        z, y = (jax.numpy.asarray(x) for x in rows())
        smoothing = OnlineLabelSmoothing(4)
        compiled = jax.jit(smoothing.loss)(z, y)
        assert float(compiled) == pytest.approx(float(smoothing.loss(z, y)), rel=1e-14)
        with pytest.raises(
            TypeError, match=r"OnlineLabelSmoothing.update is called in a function that is compiled"
        ):
            jax.jit(smoothing.update)(z, y)


def test_online_label_smoothing_says_what_does_not_fit():
    smoothing = OnlineLabelSmoothing(4)
    z, y = rows(2)
    with pytest.raises(ValueError, match="logits have 3 classes, but this object was made for 4"):
        smoothing.loss(z[:, :3], y)
    with pytest.raises(TypeError, match="OnlineLabelSmoothing has one label in every row"):
        smoothing.update(z, np.full((2, 4), 0.25))
    with pytest.raises(ValueError, match=r"label 9 at row 1 is outside \[0, 4\)"):
        smoothing.update(z, np.array([0, 9]))
    with pytest.raises(ValueError, match=r"label 9 at row 1 is outside \[0, 4\)"):
        smoothing.loss(z, np.array([0, 9]))
    with pytest.raises(ValueError, match=r"the state has \['sums'\]; it needs \['soft_labels', 'sums'\]"):
        smoothing.load_state_dict({"sums": np.zeros((4, 4))})
    with pytest.raises(
        ValueError, match=r"sums has shape \(3, 3\) in the state, but this object has \(4, 4\)"
    ):
        smoothing.load_state_dict({"soft_labels": np.zeros((4, 4)), "sums": np.zeros((3, 3))})
    with pytest.raises(ValueError, match=r"label_smoothing is 1\.5"):
        OnlineLabelSmoothing(4, label_smoothing=1.5)


# ---------------------------------------------------------------------------- early-learning regularization


class PapersCode:
    """shengliu66/ELR, `loss.py`, in NumPy; the inner product has the plain p, as the paper writes it."""

    def __init__(self, rows, classes, strength, momentum):
        self.target = np.zeros((rows, classes))
        self.strength, self.momentum = strength, momentum

    def losses(self, z, y, index):
        p = softmax(z)
        clamped = np.clip(p, 1e-4, 1 - 1e-4)
        clamped = clamped / clamped.sum(axis=1, keepdims=True)
        self.target[index] = self.momentum * self.target[index] + (1 - self.momentum) * clamped
        agreement = np.sum(self.target[index] * p, axis=1)
        return -np.log(p[np.arange(len(y)), y]) + self.strength * np.log(1 - agreement)


def test_three_epochs_are_those_of_the_papers_code(every):
    rng = np.random.default_rng(5)
    z, y = rows(8)
    ours = EarlyLearningRegularization(8, 4, strength=7.0, momentum=0.6)
    theirs = PapersCode(8, 4, 7.0, 0.6)
    for _ in range(3):
        for index in np.split(rng.permutation(8), 2):
            z = z + rng.normal(size=z.shape)
            found = ours.loss(*(every.array(x) for x in (z[index], y[index], index)), reduction="none")
            np.testing.assert_allclose(
                every.numpy(found), theirs.losses(z[index], y[index], index), rtol=1e-12
            )
    np.testing.assert_allclose(every.numpy(ours.state_dict()["targets"]), theirs.target, rtol=1e-13)


def test_the_gradient_holds_the_targets_constant(each_autodiff):
    """p − e_y + λ p (⟨t, p⟩ − t)/(1 − ⟨t, p⟩)."""
    lib = each_autodiff
    z, y = rows()
    index = np.arange(6)
    ours, theirs = EarlyLearningRegularization(6, 4), PapersCode(6, 4, 3.0, 0.7)
    loss = lambda z: ours.loss(z, lib.array(y), lib.array(index), reduction="sum")  # noqa: E731
    gradient = lib.gradient(loss, z, compiled=False)
    theirs.losses(z, y, index)
    p, t = softmax(z), theirs.target
    agreement = np.sum(t * p, axis=1, keepdims=True)
    expected = p - np.eye(4)[y] + 3 * p * (agreement - t) / (1 - agreement)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11)
    np.testing.assert_allclose(lib.numpy(ours.state_dict()["targets"]), t, rtol=1e-13)


def test_rows_that_count_nothing_leave_their_targets_and_have_no_gradient(autodiff):
    z, y = rows(4)
    y[1], z[1], z[2] = -1, np.nan, np.nan
    weights = autodiff.array([1.0, 1.0, 0.0, 3.0])
    ours = EarlyLearningRegularization(4, 4)
    gradient = autodiff.gradient(
        lambda z: ours.loss(
            z, autodiff.array(y), autodiff.array(np.arange(4)), ignore_index=-1, sample_weight=weights
        ),
        z,
    )
    theirs = PapersCode(4, 4, 3.0, 0.7)
    theirs.losses(z[[0, 3]], y[[0, 3]], np.array([0, 3]))
    np.testing.assert_allclose(autodiff.numpy(ours.state_dict()["targets"]), theirs.target, rtol=1e-13)
    assert (gradient[[1, 2]] == 0).all()
    assert np.isfinite(gradient).all()


def test_a_nan_row_is_nan_but_is_not_remembered(lib):
    z, y = rows(2)
    z[1] = np.nan
    ours = EarlyLearningRegularization(2, 4)
    losses = ours.loss(lib.array(z), lib.array(y), [0, 1], reduction="none")
    np.testing.assert_array_equal(np.isnan(lib.numpy(losses)), [False, True])
    assert (lib.numpy(ours.state_dict()["targets"])[1] == 0).all()


def test_of_a_row_that_is_there_twice_the_last_counts(lib):
    z, y = rows(3)
    ours = EarlyLearningRegularization(9, 4)
    ours.loss(lib.array(z), lib.array(y), [5, 2, 5])
    t = lib.numpy(ours.state_dict()["targets"])
    expected = 0.3 * np.clip(softmax(z), 1e-4, 1 - 1e-4)
    np.testing.assert_allclose(t[[2, 5]], expected[[1, 2]], rtol=1e-3)
    assert (np.delete(t, [2, 5], axis=0) == 0).all()


def test_weights_and_means_are_those_of_cross_entropy(lib):
    z, y = rows()
    w, omega = np.array([1.0, 2.0, 0.5, 3.0]), np.linspace(0.5, 2, 6)
    losses = PapersCode(6, 4, 3.0, 0.7).losses(z, y, np.arange(6))
    whole = omega * w[y]
    options = {"class_weight": lib.array(w), "sample_weight": lib.array(omega)}
    for normalizer, N in [("weight", whole.sum()), ("count", 6), (2.5, 2.5)]:
        ours = EarlyLearningRegularization(6, 4)
        found = ours.loss(lib.array(z), lib.array(y), np.arange(6).tolist(), normalizer=normalizer, **options)
        assert float(found) == pytest.approx(np.sum(whole * losses) / N, rel=1e-12)


def test_without_an_update_the_state_stays(lib):
    z, y = (lib.array(x) for x in rows())
    ours = EarlyLearningRegularization(6, 4)
    index = lib.array(np.arange(6))
    assert float(ours.loss(z, y, index, update=False)) == pytest.approx(
        float(ce.softmax_cross_entropy(z, y)), rel=1e-14
    )
    first = float(ours.loss(z, y, index))
    assert float(ours.loss(z, y, index, update=False)) == first
    assert float(ours.loss(z, y, index)) < first


def test_the_state_takes_no_more_memory_than_the_logits_precision(lib):
    z, y = rows()
    ours = EarlyLearningRegularization(6, 4)
    ours.loss(lib.array(z, "float16"), lib.array(y), np.arange(6).tolist())
    assert str(ours.state_dict()["targets"].dtype).endswith("float32")


def test_a_state_is_copied_out_and_in():
    z, y = rows()
    ours, other = EarlyLearningRegularization(6, 4), EarlyLearningRegularization(6, 4)
    np.testing.assert_array_equal(ours.state_dict()["targets"], np.zeros((6, 4)))
    ours.loss(z, y, np.arange(6))
    state = ours.state_dict()
    other.load_state_dict(state)
    kept = state["targets"].copy()
    assert float(ours.loss(z, y, np.arange(6))) == float(other.loss(z, y, np.arange(6)))
    np.testing.assert_array_equal(state["targets"], kept)
    with pytest.raises(
        ValueError, match=r"targets has shape \(5, 4\) in the state, but this object has \(6, 4\)"
    ):
        ours.load_state_dict({"targets": np.zeros((5, 4))})


def test_a_traced_function_may_read_the_state_and_not_write_it():
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    z, y = rows()
    ours = EarlyLearningRegularization(6, 4)
    ours.loss(z, y, np.arange(6))
    expected = float(ours.loss(z, y, np.arange(6), update=False))
    with jax.enable_x64(True):
        arrays = [jax.numpy.asarray(x) for x in (z, y, np.arange(6))]
        compiled = jax.jit(lambda *arrays: ours.loss(*arrays, update=False))
        assert float(compiled(*arrays)) == pytest.approx(expected, rel=1e-13)
        with pytest.raises(TypeError, match="compiled or transformed, which cannot change a state"):
            jax.jit(ours.loss)(*arrays)
    tensors = [torch.from_numpy(x) for x in (z, y, np.arange(6))]
    with pytest.raises(TypeError, match="compiled or transformed, which cannot change a state"):
        torch.func.grad(ours.loss)(*tensors)
    assert float(ours.loss(*tensors, update=False)) == pytest.approx(expected, rel=1e-13)


def test_early_learning_regularization_says_what_does_not_fit():
    ours = EarlyLearningRegularization(6, 4)
    z, y = rows(2)
    with pytest.raises(ValueError, match=r"index 6 at row 1 is outside \[0, 6\)"):
        ours.loss(z, y, [0, 6])
    with pytest.raises(
        ValueError, match=r"index has shape \(3,\); pass one place for each row, shape \(2,\)"
    ):
        ours.loss(z, y, [0, 1, 2])
    with pytest.raises(TypeError, match="index has dtype float64"):
        ours.loss(z, y, np.zeros(2))
    with pytest.raises(ValueError, match="logits have 3 classes, but this object was made for 4"):
        ours.loss(z[:, :3], y, [0, 1])
    with pytest.raises(TypeError, match=r"EarlyLearningRegularization\.loss has no argument link"):
        ours.loss(z, y, [0, 1], link=ce.links.Focal())
    for settings in ({"momentum": 1.0}, {"strength": -1.0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            EarlyLearningRegularization(6, 4, **settings)
