"""`torch.compile(fullgraph=True)` gives what eager gives, ignored rows included."""

import shutil

import numpy as np
import pytest

import crossentropy as ce
from sampling import full

torch = pytest.importorskip("torch")

ROWS, CLASSES = 6, 5
LABELS = torch.tensor([0, 4, -1, 1, -1, 2])
rng = np.random.default_rng(0)
SOFT = torch.tensor(rng.dirichlet(np.ones(CLASSES), size=ROWS), dtype=torch.float32)
WEIGHT = torch.tensor(rng.uniform(0.5, 2, size=CLASSES))
ROW_WEIGHT = torch.tensor(rng.uniform(0.5, 2, size=ROWS))
IGNORE = {"ignore_index": -1}

LOSSES = {
    "plain": (LABELS, IGNORE),
    "focal rows": (LABELS, {**IGNORE, "link": ce.links.Focal(2.0), "reduction": "none"}),
    "smoothed and weighted": (LABELS, {**IGNORE, "label_smoothing": 0.1, "class_weight": WEIGHT}),
    "transformed": (
        LABELS,
        {**IGNORE, "temperature": 0.7, "softcap": 9.0, "logit_bias": WEIGHT, "margin": 0.3},
    ),
    "regularized": (LABELS, {**IGNORE, "z_loss": 0.01, "entropy_bonus": 0.1, "sample_weight": ROW_WEIGHT}),
    "count": (LABELS, {**IGNORE, "normalizer": "count", "class_weight": WEIGHT}),
    "soft": (SOFT, {"sample_weight": ROW_WEIGHT}),
    "set": (ce.targets.LabelSet(SOFT > 0.2), {"reduction": "sum"}),
    "all ignored": (torch.full((ROWS,), -1), IGNORE),
}
OFTEN = ("transformed", "regularized", "soft", "set", "all ignored")


def compiled(function, backend="aot_eager"):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend=backend)


def logits(dtype, classes=CLASSES):
    torch.manual_seed(0)
    return (torch.randn(ROWS, classes, dtype=torch.float64) * 3).to(dtype).requires_grad_()


def value_and_gradient(loss, z):
    value = loss(z)
    return value.detach(), torch.autograd.grad(value, z, torch.ones_like(value))[0]


def assert_same(found, expected, units=2):
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == want.dtype
        eps = torch.finfo(want.dtype).eps
        torch.testing.assert_close(
            got, want, rtol=units * eps, atol=units * eps * float(want.abs().max()) / 8
        )


# Inductor compiles two of the others below, and "plain" is there of other sizes.
@pytest.mark.parametrize("name", [*OFTEN, *full([name for name in LOSSES if name not in OFTEN])])
@pytest.mark.parametrize("dtype", [torch.float32, *full([torch.bfloat16])], ids=str)
def test_compiled_losses_are_eager_ones(name, dtype):
    labels, options = LOSSES[name]

    def loss(z):
        return ce.softmax_cross_entropy(z, labels, **options)

    assert_same(value_and_gradient(compiled(loss), logits(dtype)), value_and_gradient(loss, logits(dtype)))


def test_labels_and_weights_may_be_inputs_of_the_compiled_function():
    def loss(z, labels, weight):
        return ce.softmax_cross_entropy(z, labels, ignore_index=-1, sample_weight=weight)

    fast = compiled(loss)
    for seed in range(3):
        torch.manual_seed(seed)
        z, labels = logits(torch.float64), torch.randint(-1, CLASSES, (ROWS,))
        weight = torch.rand(ROWS, dtype=torch.float64).requires_grad_()
        found = torch.autograd.grad(fast(z, labels, weight), [z, weight])
        assert_same(found, torch.autograd.grad(loss(z, labels, weight), [z, weight]))


@pytest.mark.parametrize("learned", ["temperature", "logit_bias", "margin"])
def test_what_is_learned_has_its_gradient_compiled_too(learned):
    value = {
        "temperature": torch.rand(ROWS) + 0.5,
        "logit_bias": torch.randn(CLASSES),
        "margin": torch.tensor(0.2),
    }
    x = value[learned].double().requires_grad_()

    def loss(z, x):
        return ce.softmax_cross_entropy(z, LABELS % CLASSES, **{learned: x})

    z = logits(torch.float64)
    found = torch.autograd.grad(compiled(loss)(z, x), [z, x])
    assert_same(found, torch.autograd.grad(loss(z, x), [z, x]), units=8)


@pytest.mark.parametrize("margin", [torch.tensor(0.2).double(), WEIGHT], ids=["one", "of every class"])
@pytest.mark.parametrize("function", ["softmax_cross_entropy", "linear_cross_entropy"])
@pytest.mark.parametrize("way", [lambda f: f, compiled], ids=["eager", "compiled"])
def test_a_margin_of_label_sets_has_the_gradient_of_the_formula(way, function, margin):
    z, mask, T = logits(torch.float64), SOFT > 0.2, ROW_WEIGHT
    margin = margin.clone().requires_grad_()
    head = (torch.eye(CLASSES, dtype=torch.float64),) if function == "linear_cross_entropy" else ()

    def loss(z, margin):
        options = {"margin": margin, "temperature": T, "softcap": 9.0, "logit_bias": WEIGHT}
        return getattr(ce, function)(z, *head, ce.targets.LabelSet(mask), **options)

    u = (9 * torch.tanh(z / 9) - torch.where(mask, margin, 0.0)) / T[:, None] + WEIGHT
    truth = (u.logsumexp(-1) - torch.where(mask, u, -torch.inf).logsumexp(-1)).mean()
    found = torch.autograd.grad(way(loss)(z, margin), [z, margin])
    torch.testing.assert_close(found, torch.autograd.grad(truth, [z, margin]), rtol=1e-12, atol=1e-14)


def test_a_compiled_model_around_the_loss_trains_like_an_eager_one():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, CLASSES)
    x = torch.randn(ROWS, 4)

    def step():
        return ce.softmax_cross_entropy(model(x), LABELS, ignore_index=-1, label_smoothing=0.1)

    (fast,) = torch.autograd.grad(compiled(step)(), model.weight)
    (slow,) = torch.autograd.grad(step(), model.weight)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-7)


def test_compiled_statistics_are_eager_ones_bit_for_bit():
    def statistics(z):
        found = ce.target_statistics(z, LABELS, ignore_index=-1, entropy=True, rank=True)
        return found.log_odds, found.logsumexp, found.entropy, found.argmax, found.rank

    z = logits(torch.float32).detach()
    for got, want in zip(compiled(statistics)(z), statistics(z), strict=True):
        assert torch.equal(got, want)


def test_a_label_out_of_range_is_refused_or_makes_its_row_nan():
    def loss(z, labels):
        return ce.softmax_cross_entropy(z, labels, reduction="none")

    labels = torch.tensor([0, 1, 2, CLASSES, 0, 1])
    z = logits(torch.float32).detach()
    try:
        rows = compiled(loss)(z, labels)
    except ValueError as error:
        assert f"label {CLASSES} at row 3" in str(error)  # noqa: PT017
    else:
        assert torch.isnan(rows).tolist() == [False, False, False, True, False, False]


def test_other_sizes_run_without_another_trace_of_their_own():
    def loss(z, labels):
        return ce.softmax_cross_entropy(z, labels, ignore_index=-1)

    torch.compiler.reset()
    fast = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (3, 7, 12):
        z, labels = torch.randn(rows, CLASSES), torch.randint(-1, CLASSES, (rows,))
        torch.testing.assert_close(fast(z, labels), loss(z, labels), rtol=3e-7, atol=0)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a compiler")
@pytest.mark.parametrize("name", ["smoothed and weighted", "focal rows"])
def test_inductor_gives_ignored_rows_a_loss_of_zero_and_the_others_theirs(name):
    labels, options = LOSSES[name]

    def loss(z):
        return ce.softmax_cross_entropy(z, labels, **options)

    found = value_and_gradient(compiled(loss, "inductor"), logits(torch.float32, CLASSES))
    assert_same(found, value_and_gradient(loss, logits(torch.float32)))
    if options.get("reduction") == "none":
        assert (found[0][LABELS == -1] == 0).all()
    assert (found[1][LABELS == -1] == 0).all()
