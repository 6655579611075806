"""The native sums of distributions: rows of any length, at any place, on any number of threads."""

import mpmath
import numpy as np
import pytest

from crossentropy._statistics.cpu import memory
from crossentropy._statistics.cpu.distributions import QUANTITIES, distribution_sums, kernel_memory
from crossentropy.information import cross_entropy, entropy, js_divergence, kl_divergence, mutual_information

LENGTHS = [1, 2, 3, 7, 31, 33, 63, 64, 65, 128, 1000]
UNITS = 8 * 2.0**-52


def drawn(rows, classes, seed=0):
    r = np.random.default_rng(seed)
    p, q = r.dirichlet(np.full(classes, 0.3), rows), r.dirichlet(np.full(classes, 0.3), rows)
    p[r.random(p.shape) < 0.1] = 0.0
    p[:, 0] += 1e-3
    return p / p.sum(-1, keepdims=True), np.maximum(q, 1e-300) / np.maximum(q, 1e-300).sum(-1, keepdims=True)


def truth(quantity, p, q):
    p, q = ([mpmath.mpf(float(x)) for x in row] for row in (p, q))

    def kl(p, q):
        return mpmath.fsum((x * mpmath.log(x / y) if x else 0) - x + y for x, y in zip(p, q, strict=True))

    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    return {
        "entropy": lambda: -mpmath.fsum(x * mpmath.log(x) for x in p if x),
        "cross_entropy": lambda: -mpmath.fsum(x * mpmath.log(y) for x, y in zip(p, q, strict=True) if x),
        "divergence": lambda: kl(p, q),
        "jensen_shannon": lambda: kl(p, m) + kl(q, m),
    }[quantity]()


@pytest.mark.parametrize("classes", LENGTHS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_rows_of_any_length_are_right(quantity, classes):
    p, q = drawn(3, classes)
    found = distribution_sums(memory.NumpyMemory, quantity, (p, q), (-1,))
    with mpmath.workdps(40):
        for row in range(3):
            true = truth(quantity, p[row], q[row])
            assert abs(float(found.values[row] - true)) <= UNITS * float(true) + 1e-300


@pytest.mark.parametrize("classes", LENGTHS)
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("row", [0, 1, 1999])
def test_the_row_whose_sum_is_farthest_from_one_is_found(quantity, classes, row, monkeypatch):
    monkeypatch.setattr(memory, "_THREADS", 3)
    p, q = drawn(2000, classes)
    p[row] *= 1.25
    q[row] *= 0.5
    q[row // 2] *= 0.875
    found = distribution_sums(memory.NumpyMemory, quantity, (p, q), (-1,))
    of_q = np.abs(q.sum(-1) - 1).max()
    assert (found.p_miss, found.q_miss) == (pytest.approx(0.25, rel=1e-13), pytest.approx(of_q, rel=1e-13))


@pytest.mark.parametrize("classes", LENGTHS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_row_has_the_same_bits_at_any_place_and_on_any_number_of_threads(quantity, classes, monkeypatch):
    p, q = drawn(2000, classes)
    whole = distribution_sums(memory.NumpyMemory, quantity, (p, q), (-1,)).values
    part = distribution_sums(memory.NumpyMemory, quantity, (p[7:99], q[7:99]), (-1,)).values
    monkeypatch.setattr(memory, "_THREADS", 3)
    threads = distribution_sums(memory.NumpyMemory, quantity, (p, q), (-1,)).values
    assert part.tobytes() == whole[7:99].tobytes()
    assert threads.tobytes() == whole.tobytes()


@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 2, 100), (1, 70, 3)])
def test_factors_are_those_of_the_rows_of_each_matrix(shape):
    r = np.random.default_rng(1)
    joint = r.dirichlet(np.ones(shape[1] * shape[2]), shape[0]).reshape(shape)
    for matrix, value in zip(joint, mutual_information(joint), strict=True):
        outer = matrix.sum(1, keepdims=True) * matrix.sum(0, keepdims=True)
        assert value == pytest.approx((matrix * np.log(matrix / outer)).sum(), rel=1e-9)


@pytest.mark.parametrize("bad", [-1e-300, np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 63, 64, 130])
def test_an_entry_that_is_no_probability_is_found(bad, place):
    p, q = drawn(3, 131)
    q[1, place] = bad
    with pytest.raises(ValueError, match=rf"q\[1, {place}\] is "):
        kl_divergence(p, q)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_without_gradient_have_the_kernels_value(dtype):
    torch = pytest.importorskip("torch")
    p, q = (torch.from_numpy(x).to(getattr(torch, dtype)) for x in drawn(40, 10))
    assert kernel_memory([p, q]) is not None
    for measure in (cross_entropy, js_divergence):
        ours = measure(p, q, normalize=True)
        assert ours.dtype == (torch.float64 if dtype == "float64" else torch.float32)
        theirs = measure(p.double().numpy(), q.double().numpy(), normalize=True)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-6 if dtype != "float64" else 1e-14)


def test_axes_and_broadcasting_do_as_with_formulas():
    p, q = drawn(24, 5)
    p, q = p.reshape(2, 3, 4, 5), q[:4].reshape(4, 5)
    value = cross_entropy(np.moveaxis(p, -1, 1), np.moveaxis(q[None, None], -1, 1), axis=1, keepdims=True)
    assert value.shape == (2, 1, 3, 4)
    np.testing.assert_allclose(value[:, 0], -(p * np.log(q)).sum(-1), rtol=1e-14)
    joint = p / p.sum((1, 3), keepdims=True)
    np.testing.assert_allclose(
        entropy(joint, axis=(1, 3)),
        -np.where(joint > 0, joint * np.log(np.where(joint > 0, joint, 1)), 0).sum((1, 3)),
        rtol=1e-14,
    )
