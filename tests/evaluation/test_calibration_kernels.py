"""The native kernels of calibrators: derivatives, log-odds, curves, systems of equations."""

import mpmath
import numpy as np
import pytest

from crossentropy._statistics.cpu.memory import NumpyMemory
from crossentropy.evaluation._newton import Cholesky
from crossentropy.evaluation.calibrators._isotonic import _at, _Curve
from crossentropy.evaluation.calibrators._rows import odds_against_rest
from crossentropy.evaluation.calibrators._softmax import softmax_hessian, softmax_terms


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("diagonal", [False, True])
def test_the_kernel_has_the_derivatives_of_the_loss(soft, diagonal):
    r = np.random.default_rng(0)
    z, weight = r.normal(size=(37, 3)), r.random(37)
    masses = r.dirichlet(np.ones(3), 37)
    targets = masses if soft else masses.argmax(axis=1)
    t = masses if soft else np.eye(3)[targets]
    at = r.normal(size=(3, 2 if diagonal else 4))

    def losses(at):
        u = z * at[:, 0] + at[:, 1] if diagonal else z @ at[:, :3].T + at[:, 3]
        return np.log(np.exp(u).sum(axis=1)) - (t * u).sum(axis=1)

    terms = softmax_terms(z, targets, at, by_row=("loss",), gradient=True, weight=weight)
    assert terms.by_row["loss"] == pytest.approx(losses(at), rel=1e-13)
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = 1e-6
        slope = weight @ (losses(at + step) - losses(at - step)) / 2e-6
        assert terms.gradient[i] == pytest.approx(slope, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_hessian_is_the_change_of_the_gradient(diagonal):
    r = np.random.default_rng(0)
    z, weight, labels = r.normal(size=(301, 3)), r.random(301), r.integers(0, 3, 301)
    at = r.normal(size=(3, 2 if diagonal else 4))
    hessian = softmax_hessian(z, labels, at, weight)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = 1e-6
        up, down = (
            softmax_terms(z, labels, at + s * step.reshape(at.shape), gradient=True, weight=weight).gradient
            for s in (1, -1)
        )
        assert hessian[i] == pytest.approx((up - down).reshape(-1) / 2e-6, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_sums_of_the_kernels_do_not_depend_on_threads_and_little_on_the_order_of_memory(classes, monkeypatch):
    r = np.random.default_rng(0)
    z, labels = r.normal(size=(10_007, classes)), r.integers(0, classes, 10_007)
    at = r.normal(size=(classes, classes + 1))
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(NumpyMemory, "threads", staticmethod(lambda threads=threads: threads))
        gradient = softmax_terms(z, labels, at, gradient=True).gradient
        found.append([*gradient.tolist(), *softmax_hessian(z, labels, at).tolist()])
    assert found[0] == found[1]
    beside = np.ascontiguousarray(z.T).T
    assert (softmax_terms(beside, labels, at, gradient=True).gradient == gradient).all()
    u = z @ at[:, :-1].T + at[:, -1]
    q = np.exp(u) / np.exp(u).sum(axis=1, keepdims=True) - np.eye(classes)[labels]
    truth = q.T @ np.concatenate([z, np.ones((len(z), 1))], axis=1)
    assert gradient == pytest.approx(truth, rel=1e-10, abs=1e-9)


def test_log_odds_against_the_rest_keep_their_digits_next_to_certainty():
    p = [["0.999999999999999999", "7e-19", "3e-19"], ["0.5", "0.5", "1e-300"], ["0.2", "0.3", "0.5"]]
    with mpmath.workdps(50):
        rows = [[mpmath.mpf(x) / mpmath.fsum(map(mpmath.mpf, row)) for x in row] for row in p]
        truth = [[float(mpmath.log(x / (1 - x))) for x in row] for row in rows]
        log_p = np.asarray([[float(mpmath.log(x)) for x in row] for row in rows])
    odds = odds_against_rest(log_p).T
    assert odds == pytest.approx(np.asarray(truth), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 40_000])
def test_a_curve_of_many_knots_is_what_numpy_interpolates(count):
    r = np.random.default_rng(count)
    at = np.sort(np.concatenate([r.normal(size=count // 2), 1e3 * r.normal(size=count - count // 2)]))
    at[count // 3 :: 7] = at[count // 3]  # a jump
    at, to = np.sort(at), np.sort(r.normal(size=count))
    x = np.concatenate([at, r.normal(size=5000), 1e3 * r.normal(size=5000), [-np.inf, np.inf, -1e9, 1e9]])
    assert (_at([_Curve(at, to)], x[None])[0] == np.interp(x, at, to)).all()


def test_the_log_sigmoid_of_curves_is_that_of_their_values():
    curves = [_Curve(np.asarray([-1.0, 1.0]), np.asarray([a, b])) for a, b in ((-800.0, 3.0), (0.0, 800.0))]
    x = np.linspace(-1.5, 1.5, 9001).reshape(1, -1).repeat(2, axis=0)
    truth = [-np.logaddexp(0, -np.interp(own, *curve)) for own, curve in zip(x, curves, strict=True)]
    assert _at(curves, x, log_sigmoid=True) == pytest.approx(np.asarray(truth), rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("size", [1, 2, 17, 60])
def test_a_cholesky_factor_solves_as_numpy(size):
    r = np.random.default_rng(size)
    x = r.normal(size=(size, 2 * size))
    matrix, b = x @ x.T + np.eye(size), r.normal(size=size)
    assert Cholesky(matrix).solve(b) == pytest.approx(np.linalg.solve(matrix, b), rel=1e-11, abs=1e-12)
    matrix[-1, -1] = -1.0
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        Cholesky(matrix)
