"""`linear_cross_entropy` and `LinearCrossEntropyLoss` beside PyTorch's: arguments, values, gradients and states."""

import copy
import inspect

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402
from linear_heads import assert_same_loss, head, labels, random  # noqa: E402

F, nn = torch.nn.functional, torch.nn
if not hasattr(F, "linear_cross_entropy"):
    pytest.skip("this PyTorch has no linear_cross_entropy", allow_module_level=True)

OPERATOR = next(
    op for op in op_db if op.name == "nn.functional.linear_cross_entropy" and not op.variant_test_name
)
MODULE = next(m for m in module_db if m.module_cls is nn.LinearCrossEntropyLoss)


def anew(x):
    """A tensor that shares nothing with the one given, and the parts of one."""
    if isinstance(x, dict):
        return {key: anew(value) for key, value in x.items()}
    if not isinstance(x, torch.Tensor):
        return copy.deepcopy(x)
    return x.detach().clone().requires_grad_(x.requires_grad)


def both(call, theirs, *arguments, **keywords):
    """The results of both on tensors of their own, and the gradients by those that learn."""
    for f in (call, theirs):
        args, kwargs = [anew(x) for x in arguments], anew(keywords)
        value = f(*args, **kwargs)
        learning = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor) and x.requires_grad]
        yield value, torch.autograd.grad(value, learning, torch.ones_like(value)) if learning else ()


def assert_torchs(call, theirs, *arguments, tolerance=1e-12, **keywords):
    (value, gradients), (expected, slopes) = both(call, theirs, *arguments, **keywords)
    assert value.shape == expected.shape
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance, check_dtype=False)
    for g, s in zip(gradients, slopes, strict=True):
        torch.testing.assert_close(g, s, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------ the function


def test_arguments_are_in_torchs_order():
    theirs = list(inspect.signature(F.linear_cross_entropy).parameters.values())
    ours = list(inspect.signature(ct.linear_cross_entropy).parameters.values())
    for mine, its in zip(ours, theirs, strict=False):
        assert (mine.name, mine.kind, mine.default) == (its.name, its.kind, its.default)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_torchs_own_samples(dtype):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        samples = list(OPERATOR.sample_inputs("cpu", dtype, requires_grad=True))
    assert any(sample.args[0].ndim > 2 for sample in samples)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for sample in samples:
        arguments = (sample.input, *sample.args)
        size = max(1.0, *(float(x.detach().abs().max()) for x in arguments if x.numel()))
        assert_torchs(
            ct.linear_cross_entropy,
            F.linear_cross_entropy,
            *arguments,
            tolerance=tolerance * size**2,
            **sample.kwargs,
        )


def test_torchs_own_error_inputs_are_refused():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        errors = list(OPERATOR.error_inputs("cpu"))
    refused = 0
    for sample in (e.sample_input for e in errors):
        if sample.input.ndim > 2:  # sequences, which ours takes
            continue
        with pytest.raises((ValueError, TypeError)):
            ct.linear_cross_entropy(sample.input, *sample.args, **sample.kwargs)
        refused += 1
    assert refused >= 4


REDUCTIONS = ["mean", "sum", "none"]


def case(K=(), soft=False, dtype=torch.float64):
    """Arguments for heads (4, *K): input, weight, bias, target, class weights, the first three learning."""
    input, weight, bias = random(6, 3, seed=1), random(4, *K, 3, seed=2), random(4, *K, seed=3)
    target = random(6, 4, *K, seed=4).exp() if soft else labels(6, *K, classes=4, seed=5)
    learning = [x.to(dtype).requires_grad_() for x in (input, weight, bias)]
    return *learning, target.to(dtype) if soft else target, random(4, seed=6).exp().to(dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("K", [(), (2,), (2, 3)], ids=str)
def test_values_and_gradients_are_torchs(K, soft, weighted, smoothing, reduction):
    input, weight, bias, target, w = case(K, soft)
    assert_torchs(
        ct.linear_cross_entropy,
        F.linear_cross_entropy,
        input,
        weight,
        target,
        linear_bias=bias,
        weight=w if weighted else None,
        label_smoothing=smoothing,
        reduction=reduction,
    )


@pytest.mark.parametrize("ignore_index", [None, -100, 2, 77])
@pytest.mark.parametrize("K", [(), (2,)], ids=str)
def test_the_label_that_is_left_out_is_torchs(K, ignore_index):
    input, weight, _, target, w = case(K)
    target[1] = -100 if ignore_index is None else ignore_index
    options = {"ignore_index": ignore_index, "weight": w}
    assert_torchs(ct.linear_cross_entropy, F.linear_cross_entropy, input, weight, target, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("soft", [False, True])
def test_one_row_without_a_batch(soft, reduction):
    input, weight, bias, target, _ = case((), soft)
    arguments = input[0].detach().requires_grad_(), weight, target[0]
    options = {"linear_bias": bias, "reduction": reduction}
    assert_torchs(ct.linear_cross_entropy, F.linear_cross_entropy, *arguments, **options)


def test_torchs_options_are_accepted_and_left_aside():
    input, weight, _, target, _ = case()
    chunked = nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    value = ct.linear_cross_entropy(input, weight, target, options=chunked)
    assert value.equal(ct.linear_cross_entropy(input, weight, target))
    first = torch.autograd.grad(value, input, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(value, input)[0], first)


def test_a_mean_of_nothing_is_nan_with_gradients_of_zero():
    input, weight, _, target, _ = case()
    value = ct.linear_cross_entropy(input, weight, torch.full_like(target, -100))
    assert value.isnan()
    assert not any(g.any() for g in torch.autograd.grad(value, (input, weight)))
    assert ct.linear_cross_entropy(input, weight, torch.full_like(target, -100), empty="zero") == 0


def test_class_weights_of_both_signs_are_torchs():
    input, weight, _, target, _ = case()
    w = torch.tensor([1.0, -0.3, 2.0, 0.5], dtype=torch.float64)
    assert_torchs(ct.linear_cross_entropy, F.linear_cross_entropy, input, weight, target, weight=w)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_the_loss_of_half_precision_is_float32(dtype):
    input, weight, bias, target, _ = case(dtype=dtype)
    value = ct.linear_cross_entropy(input, weight, target, linear_bias=bias)
    assert value.dtype == torch.float32
    theirs = F.linear_cross_entropy(input, weight, target, linear_bias=bias)
    torch.testing.assert_close(value, theirs.float(), rtol=2e-2, atol=2e-2)


# ------------------------------------------------------------------------------------------ our keywords

KEYWORDS = {
    "temperature": {"temperature": 0.7},
    "temperatures of rows": {"temperature": random(11, seed=1).exp()},
    "softcap": {"softcap": 3.0},
    "logit_bias": {"logit_bias": random(41, seed=2)},
    "margin": {"margin": 0.3},
    "sample_weight": {"sample_weight": random(11, seed=3).exp()},
    "smoothing_prior": {"label_smoothing": 0.1, "smoothing_prior": random(41, seed=4).softmax(0)},
    "regularizers": {"z_loss": 0.1, "entropy_bonus": 0.1},
    "link": {"link": ce.links.Focal(2.0)},
    "count": {"normalizer": "count"},
    "number": {"normalizer": 3.5},
    "budget": {"memory_budget": 0},
    "unlikely classes": {"skip_below": 1e-2},
    "low_rank": {"low_rank": (random(2, 5, seed=5), random(41, 2, seed=6))},
}


@pytest.mark.parametrize("options", KEYWORDS.values(), ids=KEYWORDS)
def test_a_keyword_is_that_of_the_function_behind_the_face(options):
    hidden, weight, y = head()
    y[2] = -100
    found = ct.linear_cross_entropy(hidden, weight, y, **options)
    truth = ce.linear_cross_entropy(hidden, weight, y, ignore_index=-100, **options)
    assert_same_loss(found, truth, [hidden, weight], 0.0)


@pytest.mark.parametrize("form", ["OneHot", "Sparse", "LabelSet", "Probabilities"])
def test_every_form_of_target(form):
    hidden, weight, y = head()
    target = {
        "OneHot": lambda: ce.targets.OneHot(F.one_hot(y, 41)),
        "Sparse": lambda: ce.targets.Sparse(labels(11, 2, classes=41), random(11, 2).exp()),
        "LabelSet": lambda: ce.targets.LabelSet(random(11, 41) > 1),
        "Probabilities": lambda: ce.targets.Probabilities(random(11, 41).softmax(-1)),
    }[form]()
    found = ct.linear_cross_entropy(hidden, weight, target, normalizer="count")
    truth = ce.linear_cross_entropy(hidden, weight, target, normalizer="count")
    assert_same_loss(found, truth, [hidden, weight], 0.0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sequences_have_their_classes_last(reduction):
    hidden, weight = random(2, 5, 3).requires_grad_(), random(7, 3).requires_grad_()
    y = labels(2, 5, classes=7)
    y[0, 3] = -100
    found = ct.linear_cross_entropy(hidden, weight, y, shift=1, reduction=reduction)
    logits = F.linear(hidden, weight)[:, :-1]
    truth = F.cross_entropy(logits.mT, y[:, 1:], reduction=reduction)
    assert_same_loss(found, truth, [hidden, weight])
    soft = random(2, 5, 7, seed=5).softmax(-1)
    found = ct.linear_cross_entropy(hidden, weight, soft)
    truth = F.cross_entropy(F.linear(hidden, weight).flatten(0, 1), soft.flatten(0, 1))
    assert_same_loss(found, truth, [hidden, weight])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": random(2, 3, 3)}, "a head for each place"),
        ({"shift": 1}, "shift and skip_below are for one head"),
        ({"low_rank": (random(1, 3), random(4, 1))}, "low_rank, shift and skip_below are for one head"),
        ({"skip_below": 1e-6}, "skip_below are for one head"),
    ],
    ids=["sequences", "shift", "low_rank", "skip_below"],
)
def test_what_does_not_go_with_a_head_for_each_place(change, message):
    input, weight, _, target, _ = case((2,))
    with pytest.raises(ValueError, match=message):
        ct.linear_cross_entropy(**{"input": input, "linear_weight": weight, "target": target} | change)


def test_other_mistakes():
    input, weight, _, target, _ = case()
    soft = case(soft=True)[3]
    with pytest.raises(ValueError, match="ignore_index=-100 is given with class probabilities"):
        ct.linear_cross_entropy(input, weight, soft, ignore_index=-100)
    with pytest.raises(ValueError, match="memory_budget is -1"):
        ct.linear_cross_entropy(input, weight, target, memory_budget=-1)
    with pytest.raises(TypeError, match=r"input is a numpy\.ndarray"):
        ct.linear_cross_entropy(input.detach().numpy(), weight, target)
    with pytest.raises(TypeError, match=r"linear_weight is a numpy\.ndarray"):
        ct.linear_cross_entropy(input, weight.detach().numpy(), target)
    with pytest.raises(TypeError, match="skip_below is None; pass one number"):
        ct.linear_cross_entropy(input, weight, target, skip_below=None)
    with pytest.raises(TypeError, match=r"low_rank is \(\); pass \(A, B\)"):
        ct.linear_cross_entropy(input, weight, target, low_rank=())
    with pytest.raises(ValueError, match="label 4 at row 0"):
        ct.linear_cross_entropy(input, weight, torch.full_like(target, 4))
    with pytest.raises(TypeError, match="floating labels are probabilities"):
        ct.linear_cross_entropy(input, weight, target.double())


def test_autocast_takes_the_product_in_its_dtype():
    input, weight, bias, target, _ = case(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        value = ct.linear_cross_entropy(input, weight, target, linear_bias=bias)
    halves = [x.bfloat16() for x in (input, weight, bias)]
    assert value.equal(ct.linear_cross_entropy(*halves[:2], target, linear_bias=halves[2]))


# -------------------------------------------------------------------------------------------- the module


def test_the_constructor_takes_torchs_arguments():
    theirs = list(inspect.signature(nn.LinearCrossEntropyLoss).parameters.values())
    ours = inspect.signature(ct.LinearCrossEntropyLoss).parameters
    assert list(ours)[: len(theirs)] == [p.name for p in theirs]
    for p in theirs:
        assert (ours[p.name].kind, ours[p.name].default) == (p.kind, p.default)


def test_torchs_own_samples_of_the_module():
    """Every third of those without chunks, which change nothing here, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        samples = MODULE.module_inputs_func(MODULE, "cpu", torch.float64, requires_grad=True, training=True)
    samples = [s for s in samples if s.constructor_input.kwargs["options"] is None][::3]
    assert len(samples) > 50
    for sample in samples:
        made, (input, target) = sample.constructor_input, sample.forward_input.args
        theirs = nn.LinearCrossEntropyLoss(*made.args, **made.kwargs)
        ours = ct.LinearCrossEntropyLoss(*made.args, **made.kwargs)
        ours.load_state_dict(theirs.state_dict())
        found = []
        for module in (ours, theirs):
            value = module(input, target)
            inputs = (input, *module.parameters())
            found.append((value, *torch.autograd.grad(value, inputs, torch.ones_like(value))))
        nothing = found[1][0].isnan().all() and found[1][0].ndim == 0
        for a, b in zip(*found, strict=True):
            if nothing and a is not found[0][0]:
                assert not a.any()
            else:
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13, equal_nan=True)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("out_features", [(), (2, 3)], ids=str)
def test_states_go_both_ways(out_features, bias):
    made = {"out_features": out_features, "bias": bias, "weight": torch.rand(4)}
    ours, theirs = (m.LinearCrossEntropyLoss(3, 4, **made) for m in (ct, nn))
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]
    assert ours.load_state_dict(theirs.state_dict())
    assert theirs.load_state_dict(ours.state_dict())


def test_attributes_are_torchs():
    made = {"out_features": (2,), "bias": True, "ignore_index": 1, "label_smoothing": 0.1, "reduction": "sum"}
    ours, theirs = (m.LinearCrossEntropyLoss(3, 4, **made) for m in (ct, nn))
    for name in ("num_classes", "out_features", "reduction", "ignore_index", "label_smoothing", "weight"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.linear.weight.shape == theirs.linear.weight.shape
    assert ct.LinearCrossEntropyLoss(3, 4, dtype=torch.float64).linear.weight.dtype == torch.float64


def test_a_module_trains():
    torch.manual_seed(0)
    loss = ct.LinearCrossEntropyLoss(5, 10, bias=True, z_loss=1e-4)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    input, target = torch.randn(20, 5), torch.arange(20) % 10
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        value = loss(input, target)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


def test_what_belongs_to_a_call_goes_to_the_call():
    loss = ct.LinearCrossEntropyLoss(5, 10, dtype=torch.float64)
    input, target, w = random(6, 5), labels(6, classes=10), random(6).exp()
    factors = random(2, 5), random(10, 2)
    expected = ct.linear_cross_entropy(input, loss.linear.weight, target, sample_weight=w, low_rank=factors)
    assert loss(input, target, sample_weight=w, low_rank=factors).equal(expected)
    for name in ("sample_weight", "low_rank"):
        with pytest.raises(TypeError, match=f"{name} is no option: pass it to the call"):
            ct.LinearCrossEntropyLoss(5, 10, **{name: w})


@pytest.mark.parametrize("name", ["linear_bias", "smothing_prior"])
def test_an_unknown_option_is_named(name):
    with pytest.raises(TypeError, match=f"no option '{name}'; it takes shift, memory_budget"):
        ct.LinearCrossEntropyLoss(5, 10, **{name: 1})


def test_a_module_shows_its_options():
    shown = repr(ct.LinearCrossEntropyLoss(5, 10, memory_budget=0))
    assert "num_classes=10, out_features=(), reduction='mean'" in shown
    assert "memory_budget=0" in shown
    assert "(linear): Linear(in_features=5, out_features=10, bias=False)" in shown
