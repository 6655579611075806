"""The functions that NumPy's derivatives are made of, each against differences of itself."""

from __future__ import annotations

import numpy as np
import pytest

from crossentropy._backends.tape import CONSTANT, FUNCTIONS, Taped, gradient_of, plain

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
ROW, COLUMN, CUBE = RNG.normal(size=4), RNG.normal(size=(3, 1)), RNG.normal(size=(2, 3, 4))
POSITIVE, LEFT, VECTOR = np.abs(A) + 0.5, RNG.normal(size=(2, 3)), RNG.normal(size=3)
REPEATED = np.array([[1, 0, 1, 2], [2, 2, 0, 0]])
MASK = A > 0

# name: calls, each of the function, the arrays it is differentiated by and what else it is given
CALLS = {
    "abs": [((A,), {})],
    "add": [((A, B), {}), ((A, ROW), {}), ((COLUMN, ROW), {}), ((A, np.float64(2.0)), {})],
    "astype": [((A, np.float64), {}), ((A,), {"dtype": np.float64, "copy": False})],
    "asarray": [((A,), {}), ((A,), {"dtype": np.float64})],
    "broadcast_to": [((ROW, (3, 4)), {}), ((COLUMN, (2, 3, 4)), {})],
    "clip": [((A, -0.5, 0.5), {}), ((A,), {"min": 0.1}), ((A,), {"max": 0.1})],
    "concat": [(([A, B],), {}), (([A, COLUMN, B],), {"axis": -1}), (([A, ROW],), {"axis": None})],
    "cumulative_sum": [((CUBE,), {"axis": 1}), ((A,), {"axis": -1})],
    "divide": [((A, POSITIVE), {}), ((ROW, POSITIVE), {})],
    "exp": [((A,), {})],
    "expand_dims": [((A,), {"axis": 1}), ((A, (0, -1)), {})],
    "expm1": [((A,), {})],
    "full_like": [((REPEATED, np.asarray(2.5)), {"dtype": np.float64})],
    "getitem": [
        *(((A, key), {}) for key in (1, (slice(None), 2), (..., None), MASK, (np.array([0, 0, 2]), 1))),
        ((A, (slice(None, None, -1), slice(1, 3))), {}),
    ],
    "log": [((POSITIVE,), {})],
    "log1p": [((POSITIVE,), {})],
    "logaddexp": [((A, B), {}), ((A, ROW), {})],
    "matmul": [
        *(((x, y), {}) for x, y in ((LEFT, A), (LEFT, CUBE), (CUBE, ROW), (VECTOR, A), (ROW, ROW + 1.0))),
    ],
    "matrix_transpose": [((CUBE,), {})],
    "max": [((A,), {}), ((A,), {"axis": -1}), ((CUBE,), {"axis": (0, 2), "keepdims": True})],
    "maximum": [((A, B), {}), ((A, ROW), {})],
    "mean": [((A,), {}), ((CUBE,), {"axis": (0, -1)}), ((A,), {"axis": 0, "keepdims": True})],
    "min": [((A,), {}), ((CUBE,), {"axis": 1})],
    "minimum": [((A, B), {}), ((A, ROW), {})],
    "multiply": [((A, B), {}), ((COLUMN, ROW), {}), ((A, 3.0), {})],
    "negative": [((A,), {})],
    "permute_dims": [((CUBE, (2, 0, 1)), {}), ((CUBE,), {})],
    "pow": [
        ((POSITIVE, B), {}),
        ((A, 3), {}),
        ((A, 2.0), {}),
        ((A, 0), {}),
        ((2.0, A), {}),
        ((0.0, POSITIVE), {}),
    ],
    "reshape": [((CUBE, (4, 6)), {}), ((CUBE, (-1,)), {})],
    "sqrt": [((POSITIVE,), {})],
    "square": [((A,), {})],
    "squeeze": [((COLUMN, 1), {}), ((COLUMN,), {})],
    "stack": [(([A, B],), {}), (([A, B],), {"axis": -1})],
    "subtract": [((A, B), {}), ((A, COLUMN), {})],
    "sum": [
        ((A,), {}),
        ((CUBE,), {"axis": (0, 2)}),
        ((A,), {"axis": -1, "keepdims": True, "dtype": np.float64}),
    ],
    "take": [
        ((A, np.array([2, 0, 2])), {"axis": 0}),
        ((A, REPEATED), {"axis": -1}),
        ((CUBE, 1), {"axis": 1}),
    ],
    "take_along_axis": [((A, REPEATED), {"axis": 0}), ((A, REPEATED[:, :3].T), {"axis": 1})],
    "tanh": [((A,), {})],
    "where": [((MASK, A, B), {}), ((MASK, ROW, 0.0), {}), ((MASK, 1.0, COLUMN), {})],
}
NAMED = [(name, i) for name, calls in CALLS.items() for i in range(len(calls))]


def test_every_function_has_calls_here():
    assert set(CALLS) == set(FUNCTIONS)
    assert not CONSTANT & set(FUNCTIONS)


def is_floating(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


@pytest.mark.parametrize(("name", "i"), NAMED, ids=[f"{name}-{i}" for name, i in NAMED])
def test_a_pullback_is_the_derivative_of_its_function(name, i):
    inputs, options = CALLS[name][i]
    nested = isinstance(inputs[0], list)
    arguments = list(inputs[0] if nested else inputs)
    at = [k for k, x in enumerate(arguments) if is_floating(x)]

    def called(values):
        return FUNCTIONS[name](values, **options) if nested else FUNCTIONS[name](*values, **options)

    value = called(arguments)
    assert isinstance(value, (np.ndarray, np.generic))  # nothing is taped that was not
    cotangent = RNG.normal(size=np.shape(value))
    taped = [Taped(x) if k in at else x for k, x in enumerate(arguments)]
    total = (called(taped) * cotangent).sum()
    np.testing.assert_array_equal(plain(called(taped)), value)
    for k in at:
        slope = np.zeros_like(arguments[k])
        for place in np.ndindex(slope.shape):

            def moved(step, k=k, place=place):
                x = arguments[k].copy()
                x[place] += step
                return np.sum(cotangent * called([*arguments[:k], x, *arguments[k + 1 :]]))

            h = 2.0**-12
            slope[place] = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        np.testing.assert_allclose(gradient_of(total, taped[k]), slope, rtol=1e-9, atol=1e-9)


def test_equal_ones_share_the_gradient_of_a_maximum():
    x = Taped(np.array([1.0, 3.0, 3.0]))
    np.testing.assert_array_equal(gradient_of(x.max(), x), [0, 0.5, 0.5])
    np.testing.assert_array_equal(gradient_of(np.maximum(x, np.array([1.0, 0.0, 4.0])), x), [0.5, 1, 0])


def test_a_slope_at_zero_is_that_from_above():
    x = Taped(np.array([-0.0, 0.0]))
    np.testing.assert_array_equal(gradient_of(abs(x), x), [1, 1])


OWN = {
    "ufuncs": lambda x: np.exp(x) + np.log1p(np.square(x)) * np.tanh(x) - np.power(2.0, x) / np.absolute(x),
    "arrays beside": lambda x: B * x + x @ A.T @ A - B / x + np.float64(2.0) * x - np.ones(4) ** x,
    "functions": lambda x: (
        np.where(x > 0, x, 0.0)
        + np.sum(x, axis=1, keepdims=True)
        + np.max(x, axis=0)
        + np.transpose(np.concatenate([x[:, :2], np.stack([x[:, 0], x[:, 1]], axis=1)], axis=1).T)
        + np.mean(x)
        + np.cumsum(x, axis=0)
        + np.take_along_axis(x, np.argsort(x, axis=1), axis=1)
        + np.expand_dims(np.squeeze(x[:1]), 0)
    ),
    "methods": lambda x: (
        x.astype(np.float64).reshape(4, 3).T
        + x.reshape((3, 4)).sum(0) * x.mean()
        - x.max(1, keepdims=True)
        + x.min()
    ),
    "a loop over rows": lambda x: sum(row[0] * row[1:].sum() for row in x) * x.shape[0],
}


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
def test_numpys_own_functions_and_arithmetic_are_differentiated(own):
    x = Taped(A)
    value = own(x)
    np.testing.assert_array_equal(plain(value), own(A))
    gradient = gradient_of(value, x)
    for place in np.ndindex(A.shape):
        h, step = 2.0**-12, np.zeros_like(A)
        step[place] = h
        moved = [np.sum(own(A + k * step)) for k in (1, -1, 2, -2)]
        slope = (8 * (moved[0] - moved[1]) - (moved[2] - moved[3])) / (12 * h)
        np.testing.assert_allclose(gradient[place], slope, rtol=1e-8, atol=1e-8)


def test_comparisons_and_places_are_plain_arrays():
    x = Taped(A)
    for flag in (x > 0, x <= 0.5, x == x, np.isfinite(x), np.argmax(x, axis=1), np.zeros_like(x)):
        assert type(flag) is np.ndarray
    assert (x.shape, x.ndim, x.size, x.dtype) == (A.shape, 2, 12, A.dtype)
    assert x.astype(int).dtype == int


@pytest.mark.parametrize(
    "refused",
    [
        lambda x: np.einsum("ij->i", x),
        lambda x: np.linalg.norm(x),
        lambda x: np.add.reduce(x),
        lambda x: np.sin(x),
        lambda x: np.asarray(x),
        lambda x: np.array([x, x]),
        lambda x: x.__array_namespace__().sin(x),
    ],
)
def test_what_has_no_derivative_is_refused_with_what_has(refused):
    with pytest.raises(
        (TypeError, AttributeError), match=r"no derivative of .* Write the loss with .*expm1.*namespace"
    ):
        refused(Taped(A))


def test_an_option_that_has_no_derivative_is_refused():
    with pytest.raises(TypeError, match=r"no derivative of numpy\.exp with out"):
        np.exp(Taped(A), out=np.empty_like(A))
    with pytest.raises(TypeError, match="unexpected keyword argument 'where'"):
        np.sum(Taped(A), where=MASK)


def test_a_gradient_is_summed_in_float64_and_rounded_at_the_end():
    x = Taped(np.float16([1.0]))
    gradient = gradient_of(x + 2.0**-11 * x + 2.0**-11 * x, x)  # two halves of the last digit
    assert gradient.dtype == np.float16
    assert gradient == 1 + 2.0**-10


def test_a_gradient_may_be_written_to():
    x = Taped(A)
    gradient_of(x.sum(), x)[0] = 0.0
