"""`torch.compile(fullgraph=True)` of the functions and modules: one graph, the eager values and gradients."""

import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from crossentropy.links import Focal  # noqa: E402
from sampling import full  # noqa: E402


def random(shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


Y = torch.tensor([0, 1, -100, 4, 2, 2, 0])
T, W, Ω = random((7, 5), 1), random(5, 2) + 0.5, random(7, 3)
CALLS = {
    "cross_entropy": lambda z: ct.cross_entropy(z, Y),
    "rows": lambda z: ct.cross_entropy(z, Y, reduction="none"),
    "weighted and smoothed": lambda z: ct.cross_entropy(z, Y, W, label_smoothing=0.1),
    "class probabilities": lambda z: ct.cross_entropy(z, T, W),
    "keywords": lambda z: ct.cross_entropy(z, Y, sample_weight=Ω, temperature=0.5, z_loss=1e-2, softcap=5.0),
    "focal_loss": lambda z: ct.focal_loss(z, Y, 1.5, W),
    "nll_loss": lambda z: ct.nll_loss(z, Y, W),
    "nll rows": lambda z: ct.nll_loss(z, Y, reduction="none"),
    "binary_cross_entropy": lambda z: ct.binary_cross_entropy(torch.sigmoid(z), T, W),
    "with_logits": lambda z: ct.binary_cross_entropy_with_logits(z, T, W),
    "pos_weight": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=W),
    "pos_weight of a row": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=Ω[:, None]),
    "pos_weight anywhere": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=T + 1),
    "pos_weight of all": lambda z: ct.binary_cross_entropy_with_logits(z, T, pos_weight=torch.tensor(2.0)),
    "binary focal": lambda z: ct.binary_cross_entropy_with_logits(z, T, link=Focal(2.0)),
}
#: What no module below has, and not the compiled loss of another size, precision or backend.
OFTEN = ("keywords", "class probabilities", "pos_weight anywhere", "binary focal")
MODULES = {
    "CrossEntropyLoss": (ct.CrossEntropyLoss(W, label_smoothing=0.1), Y),
    "FocalLoss": (ct.FocalLoss(2.0), Y),
    "NLLLoss": (ct.NLLLoss(W), Y),
    "BCELoss": (ct.BCELoss(W), T),
    "BCEWithLogitsLoss": (ct.BCEWithLogitsLoss(pos_weight=W), T),
}
pytestmark = [
    pytest.mark.filterwarnings("error:Dynamo detected a call to a `functools.lru_cache`:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _forget_graphs():
    torch.compiler.reset()


def logits(dtype=torch.float32):
    return random((7, 5), 0).mul(0.9).add(0.05).to(dtype).requires_grad_()


def assert_compiles(loss, dtype, backend="aot_eager"):
    """Compiled and eager within 2 ulp of the loss; gradients within that of their largest entry."""
    found = []
    for f in (torch.compile(loss, fullgraph=True, backend=backend), loss):
        z = logits(dtype)
        value = f(z)
        found.append((value.detach(), torch.autograd.grad(value, z, torch.ones_like(value))[0]))
    (value, gradient), (expected, slope) = found
    assert value.dtype == expected.dtype
    torch.testing.assert_close(value, expected, rtol=2 * torch.finfo(value.dtype).eps, atol=0)
    unit = 2 * torch.finfo(dtype).eps * slope.abs().max().item()
    torch.testing.assert_close(gradient, slope, rtol=2 * torch.finfo(dtype).eps, atol=unit)


@pytest.mark.parametrize("name", [*OFTEN, *full([name for name in CALLS if name not in OFTEN])])
def test_a_function_compiles_to_one_graph(name):
    assert_compiles(CALLS[name], torch.float64)


@pytest.mark.parametrize("name", ["cross_entropy", "with_logits", *full(["class probabilities", "nll_loss"])])
def test_a_function_of_half_precision_compiles_to_one_graph(name):
    assert_compiles(CALLS[name], torch.bfloat16)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_compiles_to_one_graph(name):
    module, target = MODULES[name]
    assert_compiles(lambda z: module(z, target), torch.float32)


@pytest.mark.parametrize("name", ["cross_entropy", "with_logits"])
def test_a_function_compiles_to_machine_code(name):
    assert_compiles(CALLS[name], torch.float32, backend="inductor")


def test_sizes_may_change_between_calls():
    loss = torch.compile(ct.cross_entropy, fullgraph=True, backend="aot_eager", dynamic=True)
    for n in (3, 5, 9):
        z, y = random((n, 4), n), torch.arange(n) % 4
        torch.testing.assert_close(loss(z, y), ct.cross_entropy(z, y), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_an_unchecked_label_outside_the_classes_makes_its_row_nan(name):
    def loss(z, y):
        return getattr(ct, name)(z, y, reduction="none", validate="none")

    value = torch.compile(loss, fullgraph=True, backend="aot_eager")(torch.zeros(2, 3), torch.tensor([3, 1]))
    assert value[0].isnan()
    assert value[1].isfinite()


def test_a_compiled_mean_of_nothing_is_nan_with_no_gradient():
    z = logits()
    loss = torch.compile(ct.cross_entropy, fullgraph=True, backend="aot_eager")
    value = loss(z, torch.full_like(Y, -100))
    assert value.isnan()
    assert not torch.autograd.grad(value, z)[0].any()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_exported(name):
    module, target = MODULES[name]
    program = torch.export.export(module, (logits().detach(), target))
    z = logits().detach().flip(0)
    torch.testing.assert_close(program.module()(z, target), module(z, target), rtol=1e-6, atol=0)
