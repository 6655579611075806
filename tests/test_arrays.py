"""Arrays at the door: the same numbers give the same results however they lie in memory, or are refused."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossentropy as ce
from array_calls import CALLS, CONTAINERS, FORMS, Call, repeated

each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
PYTHON_S = (np.float64, np.int64, np.bool)  # dtypes of what lists of Python's numbers become
each_call_of_python_s_numbers = pytest.mark.parametrize(
    "call",
    [call for call in CALLS if all(x.dtype in PYTHON_S for x in call.arrays.values())],
    ids=lambda call: call.name,
)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # logits of a single number are probabilities, too
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # numpy.matrix
        yield


def check_equal(found: list, wanted: list, what: str) -> None:
    assert len(found) == len(wanted)
    for x, y in zip(found, wanted, strict=True):
        assert type(x) is np.ndarray or isinstance(x, np.generic), (what, type(x))
        assert x.dtype == y.dtype, what
        assert x.dtype.isnative
        np.testing.assert_allclose(x, y, rtol=1e-12 if y.dtype.itemsize > 4 else 1e-6, err_msg=what)


# ------------------------------------------------------------------------------------- every function, every form


@each_call
def test_results_do_not_depend_on_how_arrays_lie_in_memory(call):
    wanted = call()
    for form, made in FORMS.items():
        check_equal(call(**{name: made(x) for name, x in call.arrays.items()}), wanted, form)


@each_call_of_python_s_numbers
def test_whatever_numpy_reads_as_an_array_is_taken_for_it(call):
    wanted = call()
    for container, made in CONTAINERS.items():
        check_equal(call(**{name: made(x) for name, x in call.arrays.items()}), wanted, container)


@each_call
def test_arrays_without_steps_are_read_as_often_as_they_say(call):
    alike = {name: repeated(x) for name, x in call.arrays.items()}
    try:
        wanted: Any = call(**{name: x.copy() for name, x in alike.items()})
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            call(**alike)
        return
    check_equal(call(**alike), wanted, "without steps")


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Call, dict[str, tuple[str, np.ndarray]]]:
    """A call, and some of its arrays in another form, read from memory in drawn steps from a drawn place."""
    call = draw(st.sampled_from(CALLS))
    changed = {}
    for name, x in call.arrays.items():
        form = draw(st.sampled_from(["as it is", "steps", *FORMS]))
        if form in FORMS:
            changed[name] = (form, FORMS[form](x))
        elif form == "steps":
            steps = [draw(st.sampled_from([-3, -2, -1, 1, 2, 3])) for _ in x.shape]
            order = draw(st.permutations(range(x.ndim)))
            swapped = draw(st.booleans())
            changed[name] = (f"{steps} {order} {swapped}", in_steps(x, steps, order, swapped))
    return call, changed


def in_steps(x: np.ndarray, steps: list[int], order: tuple[int, ...], swapped: bool) -> np.ndarray:
    """`x` with its axes in this order in memory, and these steps between its elements."""
    dtype = x.dtype.newbyteorder("S") if swapped else x.dtype
    filling = np.nan if dtype.kind == "f" else 99
    memory = np.full([abs(steps[k]) * x.shape[k] + 1 for k in order], filling, dtype=dtype)
    view = memory.transpose(np.argsort(order))
    cut = tuple(
        slice(abs(s), None, s) if s > 0 else slice(abs(s) * n, None if abs(s) * n + s * n < 0 else 0, s)
        for s, n in zip(steps, x.shape, strict=True)
    )
    part = view[(*cut, ...)]
    assert part.shape == x.shape
    part[...] = x
    return part


def check_mixture(drawn: tuple[Call, dict[str, tuple[str, np.ndarray]]]) -> None:
    call, changed = drawn
    what = f"{call.name}: " + ", ".join(f"{name} {form}" for name, (form, _) in changed.items())
    check_equal(call(**{name: x for name, (_, x) in changed.items()}), call(), what)


@settings(max_examples=150, deadline=None)
@given(mixtures())
def test_arrays_of_any_steps_and_byte_orders_may_be_mixed(drawn):
    check_mixture(drawn)


@pytest.mark.full
@settings(max_examples=100_000, deadline=None)
@given(mixtures())
def test_a_hundred_thousand_mixtures_crash_nothing(drawn):
    check_mixture(drawn)


# -------------------------------------------------------------------------------------- what is no array of numbers


class Quantity(np.ndarray):
    """Numbers with a unit that NumPy does not know of."""


class Lazy:
    """What would be an array if it were computed."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, values.ndim

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values

    def compute(self) -> np.ndarray:
        return self.values


Lazy.__module__ = "dask.array.core"


def structured(x: np.ndarray) -> np.ndarray:
    records = np.zeros(x.shape, dtype=[("value", x.dtype)])
    records["value"] = x
    return records


def masked(x: np.ndarray) -> np.ndarray:
    mask = np.zeros(x.shape, dtype=bool)
    mask.reshape(-1)[:1] = True
    return np.ma.masked_array(x, mask)


REFUSED = {
    "masked": (masked, "whose mask no loss looks at"),
    "a subclass": (
        lambda x: x.view(Quantity),
        r"Quantity.*pass numpy\.asarray\((.*)\) if the numbers are meant",
    ),
    "lazy": (Lazy, r"of type dask\.array\.core\.Lazy; pass (.*)\.compute\(\)"),
    "objects": (lambda x: x.astype(object), r"has dtype object.*\.astype\((int|float)\)"),
    "complex": (lambda x: x.astype(complex), r"has dtype complex128.*numpy\.real"),
    "strings": (lambda x: x.astype(str), r"has dtype <U.*numpy\.unique"),
    "records": (structured, r'has dtype \[\(.*pass one of its fields, .*\["value"\]'),
    "dates": (lambda x: x.astype("i8").view("M8[s]"), r"has dtype datetime64\[s\].*pass numbers"),
    "a dict": (lambda x: {"value": x}, "dict; (pass|write)"),
}


@each_call
def test_what_means_more_than_its_memory_or_is_no_number_is_refused_everywhere(call):
    for name, x in call.arrays.items():
        for made, message in REFUSED.values():
            with pytest.raises(TypeError, match=message):
                call(**{name: made(x)})


def test_every_public_function_is_called():
    called = {call.name.partition("-")[0] for call in CALLS}
    only_torch = {"ctc_loss", "linear_row_losses", "linear_distillation_losses"}
    no_arrays = {
        "TargetStatistics",
        "cross_entropy_method",
        "doctor",
        "evaluation",
        "information",
        "links",
        "losses",
        "show_config",
        "targets",
    }
    elsewhere = {"explain"}  # of one row: tests/_explain
    assert set(ce.__all__) | set(ce.losses.__all__) <= called | only_torch | no_arrays | elsewhere
    assert {"OneHot", "LabelSet", "Probabilities", "Sparse", "ClippedPolicy"} <= called


# ------------------------------------------------------------------------------------------- the faults, one by one

Z = np.asarray([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5], [0.0, -0.5, 0.25]])
Y = np.asarray([0, 2, 1])


def exact_loss(z: Any, y: Any, counted: Any = None) -> float:
    """Mean of −log softmax in Python's floats, by definition."""
    rows = [
        math.log(math.fsum(math.exp(v) for v in row)) - row[label]
        for row, label in zip(np.asarray(z).tolist(), np.asarray(y).tolist(), strict=True)
    ]
    rows = [x for x, n in zip(rows, counted or [1] * len(rows), strict=True) if n]
    return math.fsum(rows) / len(rows)


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "<f2", "<f4", "<f8"])
@pytest.mark.parametrize("labels", [">i8", ">i4", ">u2", "<i2"])
def test_byte_order_changes_no_loss_and_no_gradient(dtype, labels):
    z, y = Z.astype(dtype), Y.astype(labels)
    value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y)
    assert float(value) == pytest.approx(exact_loss(Z, Y), rel=1e-6)
    p = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)
    np.testing.assert_allclose(gradient, (p - np.eye(3)[Y]) / 3, rtol=2e-3 if dtype[1:] == "f2" else 1e-6)
    assert gradient.dtype == np.dtype(dtype).newbyteorder("=")


def test_long_doubles_of_another_byte_order_are_read():
    z = Z.astype(np.dtype("g").newbyteorder("S"))
    assert float(ce.softmax_cross_entropy(z, Y)) == pytest.approx(exact_loss(Z, Y), rel=1e-15)


def test_bfloat16_of_another_byte_order_is_read():
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    z = Z.astype(bfloat16)
    swapped = z.byteswap().view(bfloat16.newbyteorder("S"))
    assert ce.softmax_cross_entropy(swapped, Y) == ce.softmax_cross_entropy(z, Y)
    assert float(ce.softmax_cross_entropy(z, Y)) == pytest.approx(exact_loss(Z, Y), rel=1e-6)


@pytest.mark.parametrize(
    "name", ["temperature", "logit_bias", "class_weight", "sample_weight", "soft labels"]
)
def test_options_of_bfloat16_are_read_as_numbers(name):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    values = np.asarray([0.5, 0.25, 0.25])
    given = (values[None].repeat(3, axis=0),) if name == "soft labels" else (Y,)
    options = {} if name == "soft labels" else {name: values}
    expected = ce.softmax_cross_entropy(Z, *given, **options)
    narrow = [x.astype(bfloat16) if name == "soft labels" else x for x in given]
    found = ce.softmax_cross_entropy(Z, *narrow, **{k: x.astype(bfloat16) for k, x in options.items()})
    assert float(found) == pytest.approx(float(expected), rel=1e-14)


def test_a_field_of_packed_records_is_read_as_its_values():
    records = np.zeros((3, 3), dtype=[("flag", "u1"), ("z", "f4")])
    records["z"], records["flag"] = Z, 255
    assert records["z"].strides == (15, 5)
    assert float(ce.softmax_cross_entropy(records["z"], Y)) == pytest.approx(exact_loss(Z, Y), rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_reversed_rows_are_read_in_their_order(axis):
    z = np.flip(Z, axis)
    assert float(ce.softmax_cross_entropy(z, Y)) == pytest.approx(exact_loss(z, Y), rel=1e-14)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_have_the_same_bits_however_they_lie(form, dtype):
    z = np.random.default_rng(0).normal(size=(37, 11)).astype(dtype)
    y = np.arange(37) % 11
    wanted = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, reduction="none")
    found = ce.loss_and_gradient(ce.softmax_cross_entropy, FORMS[form](z), FORMS[form](y), reduction="none")
    for x, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(x, expected)


def test_arrays_that_kernels_can_read_are_not_copied():
    from crossentropy._arguments.arrays import as_array

    for x in (Z, Z.T, Z[::-1, ::2], np.broadcast_to(Z[0], (5, 3)), np.asarray(1.0)):
        assert as_array(x, "logits") is x
    view = Z.view(np.recarray)
    assert np.shares_memory(as_array(view, "logits"), Z)


# The advice of the messages is taken by the letter in the next tests.


def advised(message: str, *needed: str) -> None:
    for advice in needed:
        assert advice in message


def test_masked_classes_are_left_out_as_the_message_says():
    logits = np.ma.masked_array(Z, [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    with pytest.raises(TypeError) as refusal:
        ce.softmax_cross_entropy(logits, Y)
    advised(str(refusal.value), "logits.filled(-numpy.inf)")
    wanted = exact_loss([[2.0, 1.0], [3.0, 0.5], [0.0, -0.5]], [0, 1, 1], [1, 1, 0]) * 2
    wanted = (wanted + exact_loss(Z[2:], Y[2:])) / 3
    assert float(ce.softmax_cross_entropy(logits.filled(-np.inf), Y)) == pytest.approx(wanted, rel=1e-14)


def test_a_masked_class_counts_for_nothing():
    logits = np.ma.masked_array([[0.0, 1.0, 2.0]], [[False, False, True]])
    with pytest.raises(TypeError, match=r"logits\.filled\(-numpy\.inf\)"):
        ce.softmax_cross_entropy(logits, [0])
    wanted = math.log(1 + math.e)  # 1.3133; with the masked class it would be 2.4076
    assert float(ce.softmax_cross_entropy(logits.filled(-np.inf), [0])) == pytest.approx(wanted, rel=1e-15)


def test_masked_rows_are_left_out_as_the_message_says():
    logits = np.ma.masked_array(Z, [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    labels = np.ma.masked_array(Y, [0, 1, 0])
    with pytest.raises(TypeError) as refusal:
        ce.softmax_cross_entropy(logits, Y)
    advised(str(refusal.value), "logits.data", "sample_weight=~numpy.ma.getmaskarray(logits).any(axis=-1)")
    weight = ~np.ma.getmaskarray(logits).any(axis=-1)
    assert weight.tolist() == [True, False, True]
    wanted = pytest.approx(exact_loss(Z, Y, [1, 0, 1]), rel=1e-14)
    assert float(ce.softmax_cross_entropy(logits.data, Y, sample_weight=weight)) == wanted
    with pytest.raises(TypeError) as refusal:
        ce.softmax_cross_entropy(Z, labels)
    advised(str(refusal.value), "labels.data", "sample_weight=~numpy.ma.getmaskarray(labels)")
    weight = ~np.ma.getmaskarray(labels)
    assert float(ce.softmax_cross_entropy(Z, labels.data, sample_weight=weight)) == wanted


def test_masked_elements_are_left_out_as_the_message_says():
    labels = np.asarray([[1, 0, 1], [0, 0, 1], [0, 1, 1]])
    mask = np.asarray([[0, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
    elements = np.vectorize(lambda v, t: math.log1p(math.exp(-v if t else v)))(Z, labels)
    for form in ({"logits": np.ma.masked_array(Z, mask)}, {"labels": np.ma.masked_array(labels, mask)}):
        with pytest.raises(TypeError) as refusal:
            ce.sigmoid_cross_entropy(**{"logits": Z, "labels": labels} | form)
        ((name, array),) = form.items()
        advised(str(refusal.value), f"{name}.data", f"sample_weight=~numpy.ma.getmaskarray({name})")
        weight = ~np.ma.getmaskarray(array)
        value = ce.sigmoid_cross_entropy(
            **{"logits": Z, "labels": labels} | {name: array.data}, sample_weight=weight
        )
        assert float(value) == pytest.approx(elements[~mask].mean(), rel=1e-14)


def test_log_loss_refuses_masked_probabilities():
    p = np.ma.masked_array([[0.75, 0.25], [0.5, 0.5]], [[0, 0], [1, 0]])
    with pytest.raises(TypeError, match=r"probabilities of type numpy\.ma.*probabilities\.filled\(0\)"):
        ce.log_loss(p, [0, 1])


def test_objects_that_are_numbers_are_cast_as_the_message_says():
    for values, cast in ((Z.astype(object), "logits.astype(float)"), (Z.astype(object).tolist(), None)):
        if cast is None:
            continue
        with pytest.raises(TypeError) as refusal:
            ce.softmax_cross_entropy(values, Y)
        advised(str(refusal.value), cast)
    assert float(ce.softmax_cross_entropy(Z.astype(object).astype(float), Y)) == pytest.approx(
        exact_loss(Z, Y)
    )
    with pytest.raises(TypeError, match=r"labels has dtype object.*labels\.astype\(int\)"):
        ce.softmax_cross_entropy(Z, Y.astype(object))


def test_lists_of_different_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^logits cannot be read as an array: .*inhomogeneous"):
        ce.softmax_cross_entropy([[1.0, 2.0], [3.0]], [0, 1])


# ------------------------------------------------------------------------------------------------ pandas, polars


@pytest.mark.parametrize(
    ("labels", "filled"),
    [
        (lambda pd: pd.Series([0, None, 1], dtype="Int64"), lambda y: y.fillna(-1)),
        (lambda pd: pd.Series([0, None, 1], dtype="Int8"), lambda y: y.fillna(-1)),
        (lambda pd: pd.Series([0, None, 1], dtype="int64[pyarrow]"), lambda y: y.fillna(-1)),
    ],
)
def test_missing_labels_of_pandas_are_filled_as_the_message_says(labels, filled):
    pd = pytest.importorskip("pandas")
    labels = labels(pd)
    with pytest.raises(
        ValueError, match=r"^labels has missing values.*labels\.fillna\(-1\) with ignore_index=-1"
    ):
        ce.softmax_cross_entropy(Z, labels)
    value = ce.softmax_cross_entropy(Z, filled(labels), ignore_index=-1)
    assert float(value) == pytest.approx(exact_loss(Z, Y, [1, 0, 1]), rel=1e-14)


def test_missing_labels_of_polars_are_filled_as_the_message_says():
    pl = pytest.importorskip("polars")
    labels = pl.Series([0, None, 1])
    with pytest.raises(
        ValueError, match=r"^labels has missing.*labels\.fill_null\(-1\) with ignore_index=-1"
    ):
        ce.softmax_cross_entropy(Z, labels)
    value = ce.softmax_cross_entropy(Z, labels.fill_null(-1), ignore_index=-1)
    assert float(value) == pytest.approx(exact_loss(Z, Y, [1, 0, 1]), rel=1e-14)


def test_missing_numbers_of_frames_are_refused():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pd.DataFrame(Z).astype("Float64")
    assert float(ce.softmax_cross_entropy(frame, Y)) == pytest.approx(exact_loss(Z, Y), rel=1e-14)
    frame.iloc[0, 1] = None
    with pytest.raises(ValueError, match=r"^logits has missing values"):
        ce.softmax_cross_entropy(frame, Y)
    with pytest.raises(ValueError, match=r"^logits has missing values"):
        ce.softmax_cross_entropy(pl.DataFrame({"a": [0.5, None], "b": [1.0, 2.0]}), [0, 1])


def test_frames_that_are_not_computed_yet_are_collected_as_the_message_says():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(Z, schema=["a", "b", "c"]).lazy()
    with pytest.raises(TypeError, match=r"LazyFrame; pass logits\.collect\(\)$"):
        ce.softmax_cross_entropy(frame, Y)
    assert float(ce.softmax_cross_entropy(frame.collect(), Y)) == pytest.approx(exact_loss(Z, Y), rel=1e-14)


@pytest.mark.parametrize("measure", ["entropy", "log_loss", "softmax_cross_entropy"])
def test_series_are_taken_everywhere_alike(measure):
    pd = pytest.importorskip("pandas")
    counts = pd.Series([1, 1, 2])
    found = {
        "entropy": lambda: ce.entropy(counts, base=2, normalize=True),
        "log_loss": lambda: ce.log_loss(pd.DataFrame([[0.25, 0.75]]), pd.Series([1])),
        "softmax_cross_entropy": lambda: ce.softmax_cross_entropy(pd.DataFrame(Z), pd.Series(Y)),
    }
    wanted = {"entropy": 1.5, "log_loss": -math.log(0.75), "softmax_cross_entropy": exact_loss(Z, Y)}
    assert float(found[measure]()) == pytest.approx(wanted[measure], rel=1e-14)


# ------------------------------------------------------------------------------------------------- beside tensors


def beside_tensors() -> dict[str, Any]:
    pd = pytest.importorskip("pandas")
    return {
        "an array": Y,
        "another byte order": Y.astype(">i8"),
        "backwards": Y[::-1],
        "a series": pd.Series(Y),
    }


@pytest.mark.parametrize("form", ["an array", "another byte order", "backwards", "a series"])
def test_labels_of_numpy_beside_tensors_are_refused_and_the_fix_is_run(form):
    torch = pytest.importorskip("torch")
    labels = beside_tensors()[form]
    logits = torch.from_numpy(Z)
    with pytest.raises(
        TypeError, match=r"^got labels of type .* but logits of type torch\.Tensor"
    ) as refusal:
        ce.softmax_cross_entropy(logits, labels)
    fix = str(refusal.value).rpartition("for example ")[2]
    typed = eval(fix, {"torch": torch, "numpy": np, "labels": labels})
    assert float(ce.softmax_cross_entropy(logits, typed)) == pytest.approx(
        exact_loss(Z, np.asarray(labels)), rel=1e-14
    )


def test_tensors_beside_arrays_of_numpy_are_refused_and_the_fix_is_run():
    torch = pytest.importorskip("torch")
    labels = torch.from_numpy(Y)
    with pytest.raises(TypeError, match=r"but logits of type numpy\.ndarray") as refusal:
        ce.softmax_cross_entropy(Z, labels)
    fix = str(refusal.value).rpartition("for example ")[2]
    typed = eval(fix, {"labels": labels})
    assert float(ce.softmax_cross_entropy(Z, typed)) == pytest.approx(exact_loss(Z, Y), rel=1e-14)


@pytest.mark.parametrize("name", ["class_weight", "pos_weight"])
@pytest.mark.parametrize(
    "made",
    [np.asarray, list, lambda w: np.asarray(w).astype(">f4"), np.flip],
    ids=["array", "list", "big-endian", "reversed"],
)
def test_weights_of_numpy_follow_tensors(name, made):
    torch = pytest.importorskip("torch")
    logits, hot = torch.from_numpy(Z), torch.eye(3)[torch.from_numpy(Y)].double()
    weight = [0.5, 2.0, 0.5]
    value = ce.sigmoid_cross_entropy(logits, hot, **{name: made(weight)})
    assert value == ce.sigmoid_cross_entropy(logits, hot, **{name: torch.tensor(weight)})
    if name == "class_weight":
        value = ce.softmax_cross_entropy(logits, torch.from_numpy(Y), class_weight=made(weight))
        assert value == ce.softmax_cross_entropy(
            logits, torch.from_numpy(Y), class_weight=torch.tensor(weight)
        )


# ------------------------------------------------------------------------------------------ more than 2³¹ elements


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_rows_that_lie_far_apart_are_found(tmp_path, dtype):
    """Steps and offsets of more than 2³¹ elements, in a file that is mostly holes."""
    far = np.memmap(tmp_path / "far", dtype=dtype, mode="w+", shape=(3, 2**30 + 8))
    far[:, :3] = Z
    for z, y in ((far[:, :3], Y), (far[::-1, :3], Y[::-1]), (far.T[:3].T, Y)):
        value, gradient = ce.loss_and_gradient(ce.softmax_cross_entropy, z, y)
        assert float(value) == pytest.approx(exact_loss(Z, Y), rel=1e-6)
        near = ce.loss_and_gradient(ce.softmax_cross_entropy, z.copy(), y)[1]
        np.testing.assert_array_equal(gradient, near)
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(far)[:, :3]
    assert float(ce.softmax_cross_entropy(tensor, torch.from_numpy(Y))) == pytest.approx(
        exact_loss(Z, Y), rel=1e-6
    )


@pytest.mark.full
def test_rows_may_have_more_than_two_to_the_31_classes():
    C = 2**31 + 16
    logits = np.broadcast_to(np.float32(5.0), (1, C))
    assert float(ce.softmax_cross_entropy(logits, [C - 1], validate="none")) == pytest.approx(
        math.log(C), rel=1e-6
    )
