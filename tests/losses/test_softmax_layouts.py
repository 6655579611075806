"""Any class axis, any strides, any size: the layout of the logits is not part of the problem."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
import oracle
import oracle_rows
from frameworks import NUMPY, TORCH, each_framework

SIZES = [1, 2, 3, 10, 63, 64, 65, 127, 128, 129, 130, 1000, 4095, 4096, 4097, 8200]


def batch(rows, classes, seed=0):
    rng = np.random.default_rng((rows, classes, seed))
    return rng.normal(size=(rows, classes)) * 5, rng.integers(0, classes, size=rows)


# ----------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_every_size_around_a_change_of_path_is_right(fw, dtype, classes):
    eps = {"float64": 1e-15, "float32": 6e-7}[dtype]
    for rows in (1, 63, 64, 65, 130):
        z, labels = batch(rows, classes)
        logits = fw.array(z, dtype)
        truth, slope = oracle_rows.plain_float64(fw.numpy(logits), labels)
        losses, gradient = fw.loss_and_gradient(logits, labels, reduction="none")
        np.testing.assert_allclose(losses, truth, rtol=20 * eps, atol=20 * eps)
        np.testing.assert_allclose(gradient, slope, rtol=20 * eps, atol=2 * eps)
        np.testing.assert_allclose(fw.loss(logits, labels), truth.mean(), rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("classes", SIZES)
@each_framework
def test_every_size_is_right_with_dense_targets_smoothing_and_entropy(fw, classes):
    for rows in (1, 65):
        z, _ = batch(rows, classes)
        rng = np.random.default_rng(classes)
        t = rng.dirichlet(np.ones(classes), size=rows)
        shifted = z - z.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
        q = 0.9 * t + 0.1 / classes
        entropy = -(p * log_p).sum(axis=1, keepdims=True)
        truth = -(q * log_p).sum(axis=1) - 0.3 * entropy[:, 0]
        slope = p - q + 0.3 * p * (log_p + entropy)
        losses, gradient = fw.loss_and_gradient(
            z, t, label_smoothing=0.1, entropy_bonus=0.3, reduction="none"
        )
        np.testing.assert_allclose(losses, truth, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(gradient, slope, rtol=1e-11, atol=1e-14)


# --------------------------------------------------------------------------------------- axes, strides


def transposed(a):
    return np.asfortranarray(a)


def sliced(a):
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1] + 1), np.nan)
    wide[..., 1::2] = a
    return wide[..., 1::2]


def first_axis_sliced(a):
    tall = np.full((3 * a.shape[0], *a.shape[1:]), np.nan)
    tall[::3] = a
    return tall[::3]


def offset(a):
    """Contiguous rows that start at an odd element."""
    flat = np.full(a.size + 1, np.nan)
    flat[1:] = a.ravel()
    return flat[1:].reshape(a.shape)


def reversed_in_memory(a):
    return a[..., ::-1].copy()[..., ::-1]


def reversed_rows(a):
    return a[::-1].copy()[::-1]


POSITIVE = (transposed, sliced, first_axis_sliced, offset)
NEGATIVE = (reversed_in_memory, reversed_rows)  # PyTorch has no such strides
each_layout = pytest.mark.parametrize(
    ("fw", "layout"),
    [(fw, f) for fw in (NUMPY, TORCH) for f in POSITIVE] + [(NUMPY, f) for f in NEGATIVE],
    ids=lambda x: getattr(x, "__name__", repr(x)),
)


def as_framework(fw, array):
    """The array with its strides."""
    return array if fw.name == "numpy" else fw.torch.from_numpy(array)


@pytest.mark.parametrize("dense", [False, True], ids=["labels", "probabilities"])
@pytest.mark.parametrize("axis", [-1, 1, 0, 2])
@each_layout
def test_strides_do_not_change_the_result(fw, layout, axis, dense):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 5, 6)) * 3
    classes = z.shape[axis]
    t = np.moveaxis(rng.dirichlet(np.ones(classes), size=np.delete(z.shape, axis % 3)), -1, axis)
    labels = rng.integers(0, classes, size=np.delete(z.shape, axis % 3))
    rows = np.moveaxis(z, axis, -1).reshape(-1, classes)
    if dense:
        targets, target = oracle.dense_targets(np.moveaxis(t, axis, -1).reshape(-1, classes)), t
        target = as_framework(fw, layout(t))
    else:
        targets = oracle.index_targets(labels, classes)
        target = as_framework(fw, np.asfortranarray(labels))
    truth = oracle.solve(rows, targets, reduction="none")

    logits = as_framework(fw, layout(z))
    losses, gradient = fw.loss_and_gradient(logits, target, axis=axis, reduction="none")
    assert losses.shape == labels.shape
    np.testing.assert_allclose(losses.ravel(), truth.value, rtol=1e-13)
    got = np.moveaxis(gradient, axis, -1).reshape(-1, classes)
    np.testing.assert_allclose(got, truth.gradient, rtol=1e-12, atol=1e-16)


@each_framework
@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(data=st.data())
def test_any_permutation_slice_and_class_axis_of_any_shape(fw, data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = data.draw(st.permutations(range(len(shape))))
    steps = data.draw(st.lists(st.integers(1, 3), min_size=len(shape), max_size=len(shape)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    memory = np.full([n * step for n, step in zip(np.array(shape)[list(order)], steps, strict=True)], np.nan)
    z = memory[tuple(slice(None, None, step) for step in steps)].transpose(np.argsort(order))
    assert z.shape == shape
    z[...] = rng.normal(size=shape) * 3
    classes = shape[axis]
    batch_shape = np.moveaxis(z, axis, -1).shape[:-1]
    labels, weights = rng.integers(0, classes, size=batch_shape), rng.uniform(0.5, 2, size=batch_shape)
    rows = np.moveaxis(z, axis, -1).reshape(-1, classes)
    truth = oracle.solve(rows, oracle.index_targets(labels, classes), sample_weight=weights)
    value, gradient = fw.loss_and_gradient(
        as_framework(fw, z), np.asarray(labels), axis=axis, sample_weight=np.asarray(weights)
    )
    np.testing.assert_allclose(value, truth.value, rtol=1e-13, atol=1e-15)
    got = np.moveaxis(gradient, axis, -1).reshape(-1, classes)
    np.testing.assert_allclose(got, truth.gradient, rtol=1e-12, atol=1e-15)


@each_framework
def test_segmentation_with_class_axis_one_and_every_row_option(fw):
    rng = np.random.default_rng(1)
    z, labels = rng.normal(size=(2, 5, 3, 4)) * 3, rng.integers(0, 5, size=(2, 3, 4))
    labels[0, 0, :2] = 255
    weights, class_weight = rng.uniform(0.5, 2, size=labels.shape), rng.uniform(0.5, 2, size=5)
    options = {
        "label_smoothing": 0.1,
        "class_weight": class_weight,
        "z_loss": 0.01,
        "logit_bias": class_weight,
    }
    truth = oracle.solve(
        np.moveaxis(z, 1, -1).reshape(-1, 5),
        oracle.index_targets(labels, 5, 255),
        sample_weight=weights,
        **options,
    )
    value, gradient = fw.loss_and_gradient(
        z, labels, axis=1, ignore_index=255, sample_weight=weights, **options
    )
    np.testing.assert_allclose(value, truth.value, rtol=1e-13)
    np.testing.assert_allclose(
        np.moveaxis(gradient, 1, -1).reshape(-1, 5), truth.gradient, rtol=1e-12, atol=1e-16
    )


@each_framework
def test_a_single_row_without_batch_axes_takes_a_scalar_label(fw):
    z = np.array([1.0, 2.0, 0.5])
    value, gradient = fw.loss_and_gradient(z, np.array(1), reduction="none")
    truth = oracle.solve(z[None], oracle.index_targets([1], 3))
    assert value.shape == ()
    np.testing.assert_allclose(value, truth.value, rtol=1e-14)
    np.testing.assert_allclose(gradient, truth.gradient[0], rtol=1e-13)


@each_framework
def test_a_row_expanded_over_the_batch_is_read_in_place(fw):
    z, _ = batch(1, 7)
    labels = np.arange(7)
    logits = np.broadcast_to(z, (7, 7)) if fw.name == "numpy" else fw.own(z).expand(7, 7)
    truth = oracle.solve(np.repeat(z, 7, axis=0), oracle.index_targets(labels, 7), reduction="none")
    losses, gradient = fw.loss_and_gradient(logits, labels, reduction="none")
    np.testing.assert_allclose(losses, truth.value, rtol=1e-13)
    np.testing.assert_allclose(gradient, truth.gradient, rtol=1e-12, atol=1e-16)


@each_framework
def test_read_only_arrays_are_accepted_and_inputs_are_left_alone(fw):
    z, labels = batch(5, 7)
    before = z.copy(), labels.copy()
    if fw.name == "numpy":
        z.flags.writeable = labels.flags.writeable = False
    logits = z if fw.name == "numpy" else fw.torch.from_numpy(z)
    fw.loss_and_gradient(logits, labels, label_smoothing=0.1)
    np.testing.assert_array_equal(z, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_inplace_gives_the_same_value_and_gradient():
    torch = pytest.importorskip("torch")
    z, labels = (torch.from_numpy(a) for a in batch(65, 130))
    results = []
    for inplace in (False, True):
        leaf = z.clone().requires_grad_()
        value = ce.softmax_cross_entropy(leaf * 1.0, labels, inplace=inplace)
        value.backward()
        results.append((value.item(), leaf.grad))
    assert results[0][0] == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


# ------------------------------------------------------------------------------------- very large views


HUGE = """
    import math, resource, sys
    import numpy as np
    import crossentropy as ce

    rows, classes = 2**14 + 1, 2**17  # 2³¹ + 131072 elements over one row's memory
    if sys.argv[1] == "torch":
        import torch
        torch.set_num_threads(2)
        logits = torch.zeros(1, classes).expand(rows, classes)
        labels = torch.arange(rows) % classes
    else:
        logits = np.broadcast_to(np.zeros((1, classes), dtype=np.float32), (rows, classes))
        labels = np.arange(rows) % classes
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 2**30, 3 * 2**30))  # a copy of the logits would take 8 GiB
    losses = ce.softmax_cross_entropy(logits, labels, reduction="none")
    assert tuple(losses.shape) == (rows,)
    assert abs(losses - math.log(classes)).max() < 1e-6
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory the Linux way")
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_more_than_two_to_the_31_elements_are_read_without_a_copy(framework):
    """pytorch#111484, #85786, #190139: offsets of 32 bits give silent wrong values."""
    if framework == "torch":
        pytest.importorskip("torch")
    command = [sys.executable, "-c", textwrap.dedent(HUGE), framework]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("shape", [(17, 5, 0, 63), (0, 5, 3, 2), (3, 5, 2, 0)], ids=str)
def test_axes_of_no_length_among_others_with_gaps(shape):
    torch = pytest.importorskip("torch")
    logits = torch.zeros([2 * n for n in shape])[tuple(slice(None, None, 2) for _ in shape)].requires_grad_()
    labels = torch.zeros(shape[0], *shape[2:], dtype=torch.int64)
    assert logits.shape == shape
    value = ce.softmax_cross_entropy(logits, labels, axis=1, reduction="none")
    assert value.shape == labels.shape
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.shape == shape
