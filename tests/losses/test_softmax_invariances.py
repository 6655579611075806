"""What cannot change the loss: shifts of a row, the order of classes and rows, the company a row keeps."""

import numpy as np
import pytest

import crossentropy as ce
import oracle
import ulps
from frameworks import TORCH, each_dtype, each_framework
from sampling import full

OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"class_weight": np.linspace(0.5, 2.0, 33)},
    {"entropy_bonus": 0.2, "temperature": 2.0},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "+".join(o) or "plain")


def batch(rows=9, classes=33, scale=5.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, classes)) * scale, rng.integers(0, classes, size=rows)


@each_option
@pytest.mark.parametrize("classes", [2, 33, *full([1000]), 5000])
@each_dtype
def test_every_row_of_the_gradient_sums_to_zero(fw, dtype, classes, options):
    z, labels = batch(rows=5, classes=classes, seed=classes)
    z[:3, labels[:3]] += 30.0  # confident rows
    if "class_weight" in options:
        options = {"class_weight": np.linspace(0.5, 2.0, classes)}
    logits = fw.array(z, dtype)
    _, gradient = fw.loss_and_gradient(logits, labels, reduction="sum", **options)
    eps = 2.0 ** (1 - ulps.FORMATS[dtype][0])
    below = ulps.unit(0.0, dtype) * classes if dtype == "float16" else 0.0  # entries under its range
    for i, row in enumerate(gradient):
        magnitudes = np.abs(row).sum() + magnitude_of_terms(fw.numpy(logits)[i], options)
        assert abs(sum_exactly(row)) <= 2 * eps * magnitudes + below


def magnitude_of_terms(z, options):
    """Σ|terms| of a row of the gradient where terms of either sign meet in an entry."""
    if "label_smoothing" in options:
        return 2.0  # Σ p + Σ q
    if "entropy_bonus" not in options:
        return 0.0
    u = z / options["temperature"]
    log_p = u - u.max() - np.log(np.exp(u - u.max()).sum())
    entropy = -(np.exp(log_p) * log_p).sum()
    return options["entropy_bonus"] / options["temperature"] * 2 * entropy


def sum_exactly(values):
    return float(oracle.ctx.fsum(oracle.numbers(values)))


@each_option
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_framework
def test_a_shift_of_every_row_changes_no_bit(fw, dtype, options):
    z, labels = batch()
    z = np.round(z * 8) / 8  # sums with the shifts below are exact in float32
    shift = np.array([0, 1, -1, 512, -512, 4096, 65536, -65536, 524288])[:, None]
    plain = fw.loss_and_gradient(fw.array(z, dtype), labels, reduction="none", **options)
    moved = fw.loss_and_gradient(fw.array(z + shift, dtype), labels, reduction="none", **options)
    np.testing.assert_array_equal(moved[0], plain[0])
    np.testing.assert_array_equal(moved[1], plain[1])


@pytest.mark.parametrize("classes", [10, 33, 1000])
@each_framework
def test_the_order_of_classes_does_not_matter(fw, classes):
    z, labels = batch(classes=classes)
    order = np.random.default_rng(1).permutation(classes)
    weights, prior = np.linspace(0.5, 2.0, classes), np.full(classes, 1 / classes)
    prior[0] += 0.25 / classes
    prior[1] -= 0.25 / classes

    def solve(z, labels, weights, prior):
        return fw.loss_and_gradient(
            z, labels, class_weight=weights, smoothing_prior=prior, label_smoothing=0.1, reduction="none"
        )

    losses, gradient = solve(z, labels, weights, prior)
    permuted, permuted_gradient = solve(z[:, order], np.argsort(order)[labels], weights[order], prior[order])
    np.testing.assert_allclose(permuted, losses, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(permuted_gradient, gradient[:, order], rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("classes", [2, 10, 33, 1000])
@pytest.mark.parametrize("rows", [2, 9, 70])
@each_dtype
def test_a_row_has_the_same_bits_alone_and_in_any_place_of_a_batch(fw, dtype, rows, classes):
    z, labels = batch(rows, classes)
    order = np.random.default_rng(1).permutation(rows)
    losses, gradient = fw.loss_and_gradient(fw.array(z, dtype), labels, reduction="none")
    moved, moved_gradient = fw.loss_and_gradient(fw.array(z[order], dtype), labels[order], reduction="none")
    np.testing.assert_array_equal(moved, losses[order])
    np.testing.assert_array_equal(moved_gradient, gradient[order])
    for i in (0, rows - 1):
        alone, alone_gradient = fw.loss_and_gradient(
            fw.array(z[i : i + 1], dtype), labels[i : i + 1], reduction="none"
        )
        np.testing.assert_array_equal(alone, losses[i : i + 1])
        np.testing.assert_array_equal(alone_gradient, gradient[i : i + 1])


@each_framework
def test_the_same_call_twice_gives_the_same_bits(fw):
    z, labels = batch(rows=130, classes=257)
    first = fw.loss_and_gradient(z, labels, label_smoothing=0.1)
    again = fw.loss_and_gradient(z, labels, label_smoothing=0.1)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("link", [None, ce.links.Focal(2.0)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_number_of_threads_changes_no_bit(dtype, link):
    torch = pytest.importorskip("torch")
    z, labels = batch(rows=3001, classes=33)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            logits = TORCH.array(z, dtype)
            results.append(TORCH.loss_and_gradient(logits, labels, link=link))
    finally:
        torch.set_num_threads(before)
    for value, gradient in results[1:]:
        np.testing.assert_array_equal(value, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])


@each_framework
def test_a_number_as_normalizer_makes_batches_add_up_to_the_whole(fw):
    z, labels = batch(rows=10)
    whole = fw.loss(z, labels)
    parts = sum(fw.loss(z[s], labels[s], normalizer=10) for s in (slice(0, 3), slice(3, 10)))
    np.testing.assert_allclose(parts, whole, rtol=1e-15)


@each_framework
def test_one_hot_probabilities_and_single_sparse_labels_and_sets_are_labels(fw):
    z, labels = batch(rows=5, classes=7)
    one_hot = np.eye(7)[labels]
    expected = fw.loss_and_gradient(z, labels)
    for target in (
        fw.target("OneHot", one_hot.astype(np.int64)),
        fw.target("OneHot", one_hot.astype(bool)),
        fw.target("Probabilities", one_hot),
        fw.own(one_hot),
        fw.target("Sparse", labels[:, None], np.ones((5, 1))),
        fw.target("LabelSet", one_hot.astype(bool)),
    ):
        value, gradient = fw.loss_and_gradient(z, target)
        np.testing.assert_allclose(value, expected[0], rtol=1e-14)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-16)


@each_framework
def test_label_indices_with_class_weights_and_their_one_hot_have_the_same_mean(fw):
    z, labels = batch(rows=5, classes=3)
    weights = np.array([1.0, 10.0, 1.0])
    for epsilon in (0.0, 0.1):
        index = fw.loss(z, labels, class_weight=weights, label_smoothing=epsilon)
        dense = fw.loss(z, np.eye(3)[labels], class_weight=weights, label_smoothing=epsilon)
        np.testing.assert_allclose(dense, index, rtol=1e-14)
