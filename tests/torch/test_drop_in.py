"""One import serves a script: every loss of `torch.nn` is in `crossentropy.torch`, with torch's values."""

import copy
import inspect

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
from torch.nn.modules import loss as torchs_losses  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

import crossentropy.torch as ct  # noqa: E402

CLASSES = [*torchs_losses.__all__, "AdaptiveLogSoftmaxWithLoss"]
FUNCTIONS = [
    name
    for name in dir(torch.nn.functional)
    if name.endswith(("loss", "cross_entropy", "cross_entropy_with_logits", "kl_div")) and name[0] != "_"
]
#: LinearCrossEntropyLoss has hundreds; test_linear_face.py compares it
SAMPLES = {
    info.module_cls.__name__: info
    for info in module_db
    if info.module_cls.__name__ in CLASSES and info.module_cls.__name__ != "LinearCrossEntropyLoss"
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_loss_of_torch_is_here_and_takes_its_arguments(name):
    assert name in ct.__all__
    ours, theirs = (inspect.signature(getattr(place, name)) for place in (ct, torch.nn))
    named = [p for p in ours.parameters.values() if p.kind is not p.VAR_KEYWORD]
    known = [p for p in theirs.parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert [(p.name, p.default) for p in named] == [(p.name, p.default) for p in known]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_torch_is_here_and_takes_its_arguments(name):
    assert name in ct.__all__
    ours, theirs = (inspect.signature(getattr(place, name)) for place in (ct, torch.nn.functional))
    expected = [p.name for p in theirs.parameters.values()]
    assert list(ours.parameters)[: len(expected)] == expected


@pytest.mark.parametrize("name", SAMPLES)
def test_a_loss_gives_torchs_values_of_torchs_samples(name):
    info = SAMPLES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        samples = info.module_inputs_func(info, "cpu", torch.float32, requires_grad=False, training=True)
    for sample in samples:
        made, given = sample.constructor_input, sample.forward_input
        with torch.random.fork_rng():
            torch.manual_seed(1)
            ours = getattr(ct, name)(*copy.deepcopy(made.args), **copy.deepcopy(made.kwargs))
            torch.manual_seed(1)
            theirs = info.module_cls(*copy.deepcopy(made.args), **copy.deepcopy(made.kwargs))
        found, expected = ours(*given.args, **given.kwargs), theirs(*given.args, **given.kwargs)
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3)])
def test_the_mean_over_the_classes_of_a_row_is_torchs(shape, reduction):
    G = torch.Generator().manual_seed(0)
    z, t = torch.randn(shape, generator=G, dtype=torch.float64), torch.rand(shape, generator=G).double()
    for weight in (None, torch.tensor([1.0, 0.5, 3.0]), torch.rand(shape, generator=G)):
        mine, other = (x.clone().requires_grad_() for x in (z, z))
        value = ct.multilabel_soft_margin_loss(mine, t, weight, reduction=reduction)
        expected = torch.nn.functional.multilabel_soft_margin_loss(other, t, weight, reduction=reduction)
        torch.testing.assert_close(value, expected, equal_nan=True)
        gradients = (torch.autograd.grad(v.sum(), x)[0] for v, x in ((value, mine), (expected, other)))
        torch.testing.assert_close(*gradients)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("reduction", ["batchmean", "mean", "sum", "none"])
@pytest.mark.parametrize("shapes", [((1, 5), (4, 5)), ((5,), (4, 5)), ((4, 5), (1, 5)), ((), (4,))])
def test_a_divergence_of_shapes_that_broadcast_is_divided_as_in_torch(shapes, reduction):
    G = torch.Generator().manual_seed(0)
    log_q, p = (torch.rand(shape, generator=G) for shape in shapes)
    found = ct.kl_div(log_q, p, reduction=reduction)
    torch.testing.assert_close(found, torch.nn.functional.kl_div(log_q, p, reduction=reduction))


@pytest.mark.parametrize("reduction", ["batchmean", "mean", "sum", "none"])
@pytest.mark.parametrize("log_target", [False, True])
def test_a_class_without_probability_counts_nothing_in_a_divergence(reduction, log_target):
    """torch is NaN: 0 times infinity, and e^(−inf) times it."""
    G = torch.Generator().manual_seed(0)
    z, s = (torch.randn(4, 5, generator=G, dtype=torch.float64) for _ in "zs")
    open_to = torch.tensor([True, True, False, True, True])
    z, s = z.masked_fill(~open_to, -torch.inf).requires_grad_(), s.masked_fill(~open_to, -torch.inf)
    target = s.log_softmax(1) if log_target else s.softmax(1)
    found = ct.kl_div(z.log_softmax(1), target, reduction=reduction, log_target=log_target)
    (gradient,) = torch.autograd.grad(found.sum(), z)
    y = z.detach()[:, open_to].requires_grad_()
    theirs = torch.nn.functional.kl_div(
        y.log_softmax(1), target[:, open_to], reduction="none", log_target=log_target
    )
    whole = torch.zeros(4, 5, dtype=torch.float64)
    whole[:, open_to] = theirs.detach()
    divided_by = {"batchmean": 4, "mean": 20}.get(reduction, 1)
    expected = whole if reduction == "none" else whole.sum() / divided_by
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient[:, open_to], torch.autograd.grad(theirs.sum(), y)[0] / divided_by)
    assert not gradient[:, 2].any()
    module = ct.KLDivLoss(reduction=reduction, log_target=log_target)
    assert module(z.log_softmax(1), target).equal(found)
