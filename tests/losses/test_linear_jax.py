"""Linear heads of JAX arrays: derivatives of every kind, traces, and that the logits are never there."""

from __future__ import annotations

import numpy as np
import pytest

import crossentropy as ce
from crossentropy._engine.linear import problem
from frameworks import JAX

jax = pytest.importorskip("jax")
jnp = jax.numpy

NAN = float("nan")
N, D, V = 7, 3, 11


@pytest.fixture
def wide():
    """JAX with 64-bit types."""
    with JAX().wide():
        yield


@pytest.fixture
def small_blocks(monkeypatch):
    """Of three rows, so that seven make three blocks, the last of them filled up."""
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 3)


usual = pytest.mark.usefixtures("wide", "small_blocks")


def head(rows=(N,), D=D, V=V, dtype="float64"):
    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(*rows, D)), rng.normal(size=(V, D))
    return jnp.asarray(hidden, dtype), jnp.asarray(weight, dtype), jnp.asarray(rng.integers(0, V, size=rows))


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).uniform(0.5, 2, size=shape)


def logits(hidden, weight, bias=None, low_rank=None):
    z = hidden @ weight.T
    if low_rank is not None:
        z = z + hidden @ (low_rank[1] @ low_rank[0]).T
    return z if bias is None else z + bias


def compiled(function, *given):
    """What a compiled function returns; without the optimizations, which take most of compiling."""
    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function).lower(*given).compile(quickly)(*given)


def both(function, *given):
    """What ``function(loss, *given)`` returns for the loss of a head, and for that of its logits made whole."""

    def lean(hidden, weight, labels, **options):
        return ce.linear_cross_entropy(hidden, weight, labels, **options)

    def whole(hidden, weight, labels, *, bias=None, low_rank=None, **options):
        return ce.softmax_cross_entropy(logits(hidden, weight, bias, low_rank), labels, **options)

    return [compiled(lambda *given, loss=loss: function(loss, *given), *given) for loss in (lean, whole)]


def assert_same(found, truth, rtol=1e-12, atol=1e-12):
    for x, t in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        assert x.shape == t.shape
        assert x.dtype == t.dtype
        np.testing.assert_allclose(x, t, rtol=rtol, atol=atol)


# ----------------------------------------------------------------------------------------- values, gradients

OPTIONS = {
    "plain": {},
    "smoothed and weighted": {
        "label_smoothing": 0.1,
        "smoothing_prior": numbers(V) / V,
        "class_weight": numbers(V, seed=2),
        "sample_weight": numbers(N, seed=3),
        "z_loss": 0.01,
        "entropy_bonus": 0.1,
    },
    "transformed": {
        "temperature": numbers(N),
        "softcap": 3.0,
        "logit_bias": numbers(V),
        "margin": numbers(V),
    },
    "none": {"reduction": "none", "temperature": 0.7, "margin": 0.3},
    "focal, a divisor for each row": {"normalizer": numbers(N), "link": ce.links.Focal(2.0)},
    "count": {"normalizer": "count", "ignore_index": 3, "sample_weight": -numbers(N)},
    "every class": {
        "link": ce.links.Focal(2.0),
        "label_smoothing": 0.1,
        "z_loss": 0.1,
        "temperature": numbers(N),
    },
}
TARGETS = {
    "indices": lambda: head()[2],
    "Sparse": lambda: ce.targets.Sparse(jnp.stack([head()[2], head()[2][::-1]], axis=-1), numbers(N, 2)),
    "Probabilities": lambda: jax.nn.softmax(numbers(N, V), axis=-1),
    "LabelSet": lambda: ce.targets.LabelSet(jnp.asarray(numbers(N, V) > 1.4)),
}
CASES = [("indices", name) for name in OPTIONS] + [
    ("Sparse", "smoothed and weighted"),
    ("Probabilities", "every class"),
    ("Probabilities", "smoothed and weighted"),
    ("LabelSet", "transformed"),
]


#: One of each kind of target, and of an array of each row.
QUICK = {
    ("indices", "focal, a divisor for each row"),
    ("Sparse", "smoothed and weighted"),
    ("Probabilities", "every class"),
    ("LabelSet", "transformed"),
}


@usual
@pytest.mark.parametrize(
    ("target", "name"),
    [pytest.param(*case, marks=() if case in QUICK else pytest.mark.full) for case in CASES],
)
def test_values_and_gradients_are_those_of_the_logits(target, name):
    """By the head, and by every option that learns."""
    hidden, weight, _ = head()
    labels, given = TARGETS[target](), OPTIONS[name]
    learns = {k: x for k, x in given.items() if k in ("sample_weight", "temperature", "logit_bias", "margin")}
    learns = {k: jnp.asarray(x) for k, x in learns.items() if hasattr(x, "ndim")}
    parts = {"bias": numbers(V), "low_rank": (numbers(2, D), numbers(V, 2))}

    def value_and_gradients(loss, hidden, weight, parts, learns):
        def total(hidden, weight, parts, learns):
            value = loss(hidden, weight, labels, **given | learns, **parts)
            return jnp.sum(value * jnp.linspace(0.5, 1.7, value.size)), value

        return jax.value_and_grad(total, argnums=(0, 1, 2, 3), has_aux=True)(hidden, weight, parts, learns)

    assert_same(*both(value_and_gradients, hidden, weight, parts, learns))


@usual
def test_gradients_flow_to_soft_targets():
    hidden, weight, _ = head()
    q = jax.nn.softmax(numbers(N, V), axis=-1)
    assert_same(*both(lambda loss, q: jax.grad(lambda q: loss(hidden, weight, q))(q), q))


@usual
def test_forward_mode_and_second_derivatives_are_those_of_the_logits():
    hidden, weight, y = head()

    def derivatives(loss, weight):
        value = lambda W: loss(hidden, W, y, label_smoothing=0.1)  # noqa: E731
        slope = jax.jvp(value, (weight,), (jnp.ones_like(weight),))
        curvature = jax.jvp(jax.grad(value), (weight,), (weight[::-1],))
        return slope, curvature

    assert_same(*both(derivatives, weight))


@usual
def test_mapped_heads_are_each_their_own():
    hidden, weight, y = head((4, N))
    mapped = lambda loss, hidden, y: jax.vmap(jax.grad(lambda h, y: loss(h, weight, y)))(hidden, y)  # noqa: E731
    assert_same(*both(mapped, hidden, y))


@usual
def test_a_link_may_hold_an_array_of_the_rows():
    hidden, weight, y = head()

    def loss_of_policy(loss, weight):
        link = ce.links.ClippedPolicy(advantages=numbers(N) - 1, old_log_prob=-numbers(N))
        return jax.value_and_grad(lambda W: loss(hidden, W, y, link=link))(weight)

    assert_same(*both(loss_of_policy, weight))


@usual
def test_without_compilation_the_loss_is_the_same():
    hidden, weight, y = head()
    found = jax.value_and_grad(ce.linear_cross_entropy)(hidden, weight, y)
    _, whole = both(lambda loss, hidden: jax.value_and_grad(loss)(hidden, weight, y), hidden)
    assert_same(found, whole)


# ------------------------------------------------------------------------------------------------- memory


def largest(jaxpr):
    """The size of the largest array in a jaxpr and in those inside it, its inputs apart."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes += [x.aval.size for x in equation.outvars]
        for value in jax.tree.leaves(
            equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                sizes.append(largest(inner))
    return max(sizes)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.1, "z_loss": 0.1, "reduction": "none"},
        {"link": ce.links.Focal(), "label_smoothing": 0.1},
        {"shift": 1, "softcap": 5.0},
    ],
    ids=repr,
)
def test_no_array_has_the_size_of_the_logits_forward_or_backward(options, monkeypatch):
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 8)
    N, D, V = 64, 3, 100
    hidden, weight, y = head((N,), D, V)

    def loss(hidden, weight):
        return jnp.sum(ce.linear_cross_entropy(hidden, weight, y, **options))

    def whole(hidden, weight):
        return ce.softmax_cross_entropy(hidden @ weight.T, y)

    of_jaxpr = lambda f: largest(jax.make_jaxpr(f)(hidden, weight).jaxpr)  # noqa: E731
    assert of_jaxpr(jax.grad(whole, argnums=(0, 1))) >= N * V
    assert of_jaxpr(loss) <= 8 * V
    assert of_jaxpr(jax.grad(loss, argnums=(0, 1))) <= 8 * V


def test_a_compiled_step_takes_what_the_budget_says():
    N, D, V, rows = 512, 8, 2048, 32
    options = {"label_smoothing": 0.1, "z_loss": 0.1, "entropy_bonus": 0.1, "softcap": 5.0}
    budget = 8 * 4 * rows * V

    def loss(hidden, weight, labels):
        return ce.linear_cross_entropy(hidden, weight, labels, memory_budget=budget, **options)

    shapes = [
        jax.ShapeDtypeStruct(s, t) for s, t in (((N, D), "float32"), ((V, D), "float32"), ((N,), "int32"))
    ]
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(*shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1.1 * budget + 4 * (N + V) * D


# ------------------------------------------------------------------------------------------- half precision


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_half_precision_are_summed_in_float32(dtype, monkeypatch):
    """All rows are alike, so that what a half-precision sum would lose by each of 256 blocks adds up."""
    monkeypatch.setattr(problem, "MAX_BLOCK_ROWS", 2)
    one, weight, _ = head((1,), 4, 8, dtype)
    hidden, y = jnp.tile(one, (512, 1)), jnp.zeros(512, dtype=int)
    bias = jnp.linspace(-1, 1, 8, dtype=dtype)
    loss = lambda h, W, b: ce.linear_cross_entropy(h, W, y, bias=b)  # noqa: E731
    value, found = compiled(jax.value_and_grad(loss, argnums=(0, 1, 2)), hidden, weight, bias)
    exact = [np.asarray(x, dtype=np.float64) for x in (hidden, weight, bias)]
    truth, gradients = ce.losses.linear_loss_and_gradients(
        *exact[:2], np.zeros(512, dtype=int), bias=exact[2]
    )
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, truth, rtol=1e-5)
    for x, t in zip(found, gradients[:3], strict=True):
        assert x.dtype == dtype
        unit = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
        least = 2.0**-24  # float16 has nothing smaller
        np.testing.assert_allclose(np.asarray(x, dtype=np.float64), t, rtol=1.01 * unit, atol=least)


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("small_blocks")
def test_where_jax_keeps_no_64_bit_types_none_are_asked_for():
    hidden, weight, y = head(dtype="float32")
    value = compiled(lambda h: ce.linear_cross_entropy(h, weight, y, shift=2), hidden)
    expected = ce.linear_cross_entropy(*(np.asarray(x) for x in (hidden, weight, y)), shift=2)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


# ------------------------------------------------------------------------------ shapes, rows left out, labels


@usual
@pytest.mark.parametrize("rows", [(), (2, 2), (2, 0)], ids=str)
def test_rows_may_have_any_shape(rows):
    hidden, weight, y = head(rows)
    w = numbers(*rows)

    def loss_and_gradient(loss, hidden, weight):
        rowwise = loss(hidden, weight, y, sample_weight=w, temperature=w, reduction="none")
        mean = jax.value_and_grad(lambda h, W: loss(h, W, y, sample_weight=w), argnums=(0, 1))
        return rowwise, mean(hidden, weight)

    assert_same(*both(loss_and_gradient, hidden, weight))


@usual
@pytest.mark.parametrize("way", ["ignore_index", "sample_weight"])
def test_a_row_left_out_counts_nothing_whatever_its_hidden_state(way):
    """In a compiled function too, which cannot look whether there is such a row."""
    hidden, weight, y = head()
    left_out = (
        {"ignore_index": -1} if way == "ignore_index" else {"sample_weight": jnp.ones(N).at[6].set(0.0)}
    )
    labels = y.at[6].set(-1) if way == "ignore_index" else y
    spoilt = hidden.at[6].set(NAN)

    def loss(hidden, weight):
        return ce.linear_cross_entropy(hidden, weight, labels, **left_out)

    def of_others(hidden, weight):
        return ce.softmax_cross_entropy(hidden[:6] @ weight.T, y[:6])

    value, (by_hidden, by_weight) = compiled(jax.value_and_grad(loss, argnums=(0, 1)), spoilt, weight)
    expected = compiled(jax.value_and_grad(of_others, argnums=(0, 1)), hidden, weight)
    assert_same((value, (by_hidden, by_weight)), expected)
    np.testing.assert_array_equal(by_hidden[6], 0.0)


@usual
def test_a_traced_label_outside_the_classes_makes_its_own_row_nan():
    hidden, weight, y = head()
    step = jax.value_and_grad(lambda h, y: jnp.sum(ce.linear_cross_entropy(h, weight, y, reduction="none")))
    value, by_hidden = compiled(step, hidden, y.at[4].set(V))
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(by_hidden), np.repeat(np.arange(N)[:, None] == 4, D, axis=1))
    _, expected = ce.losses.linear_loss_and_gradients(*map(np.asarray, (hidden, weight, y)), reduction="sum")
    np.testing.assert_allclose(by_hidden[5], expected.hidden[5], rtol=1e-12)
    with pytest.raises(ValueError, match=f"label {V} at row 4"):
        ce.linear_cross_entropy(hidden, weight, y.at[4].set(V))


@usual
@pytest.mark.parametrize("form", ["indices", "Sparse"])
def test_a_shift_is_a_slice(form):
    hidden, weight, y = head((2, 5))
    w = numbers(2, 5)
    labels = y if form == "indices" else ce.targets.Sparse(jnp.stack([y, y[::-1]], axis=-1), numbers(2, 5, 2))
    ahead = (
        labels[:, 2:]
        if form == "indices"
        else ce.targets.Sparse(labels.indices[:, 2:], labels.weights[:, 2:])
    )

    def losses(hidden, weight):
        options = {"sample_weight": w, "temperature": w}
        return ce.linear_cross_entropy(hidden, weight, labels, shift=2, reduction="none", **options)

    def sliced(hidden, weight):
        options = {"sample_weight": w[:, 2:], "temperature": w[:, 2:], "reduction": "none"}
        return ce.softmax_cross_entropy(hidden[:, :-2] @ weight.T, ahead, **options)

    step = lambda f: jax.value_and_grad(lambda *p: jnp.sum(f(*p)), argnums=(0, 1))  # noqa: E731
    assert_same(compiled(step(losses), hidden, weight), compiled(step(sliced), hidden, weight))
    assert jax.eval_shape(losses, hidden, weight).shape == (2, 3)


@usual
def test_numpys_arrays_are_taken_beside_those_of_jax():
    hidden, weight, y = head()
    expected = ce.linear_cross_entropy(*(np.asarray(x) for x in (hidden, weight, y)), sample_weight=[1.0] * N)
    for given in ((hidden, np.asarray(weight)), (np.asarray(hidden), weight)):
        found = ce.linear_cross_entropy(*given, np.asarray(y), sample_weight=np.ones(N))
        assert isinstance(found, jax.Array)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


# --------------------------------------------------------------------------------------------- statistics


@usual
def test_statistics_are_those_of_the_logits_and_have_their_gradient():
    hidden, weight, y = head()
    names = ("log_prob", "prob", "log_odds", "logsumexp", "entropy", "argmax", "rank")
    asked = {"entropy": True, "rank": True, "softcap": 5.0, "ignore_index": 3}

    def lean(weight):
        return ce.linear_target_statistics(hidden, weight, y, **asked)

    def whole(weight):
        return ce.target_statistics(hidden @ weight.T, y, **asked)

    def everything(said_of):
        def total(weight):
            said = said_of(weight)
            return jnp.sum(said.log_prob), {name: getattr(said, name) for name in names}

        return compiled(jax.grad(total, has_aux=True), weight)

    assert_same(everything(lean), everything(whole))
