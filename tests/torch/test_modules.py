"""The modules of `crossentropy.torch`: buffers, states, copies, and what they say of themselves."""

import copy

import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from crossentropy.links import Focal  # noqa: E402

W = torch.tensor([1.0, 0.5, 2.0])
OPTIONS = {
    "CrossEntropyLoss": {"weight": W, "ignore_index": 1, "label_smoothing": 0.1},
    "FocalLoss": {"gamma": 1.5, "weight": W, "ignore_index": 1},
    "NLLLoss": {"weight": W, "ignore_index": 1},
    "BCELoss": {"weight": W},
    "BCEWithLogitsLoss": {"weight": W, "pos_weight": W + 1},
}
SHARED = [name for name in OPTIONS if name != "FocalLoss"]
FUNCTIONS = {
    "CrossEntropyLoss": "cross_entropy",
    "FocalLoss": "focal_loss",
    "NLLLoss": "nll_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
}
each_module = pytest.mark.parametrize("name", OPTIONS)
each_shared = pytest.mark.parametrize("name", SHARED)


def make(name, module=ct, **changes):
    return getattr(module, name)(**copy.deepcopy(OPTIONS[name] | changes))


def batch(name):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 3, generator=generator)
    if name.startswith("BCE"):
        return (z.sigmoid() if name == "BCELoss" else z), torch.rand(6, 3, generator=generator).round()
    return z, torch.tensor([0, 1, 2, 0, 2, 2])


@each_module
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_module_is_its_function(name, reduction):
    z, t = batch(name)
    module = make(name, reduction=reduction)
    function = getattr(ct, FUNCTIONS[name])
    assert module(z, t).equal(function(z, t, **OPTIONS[name], reduction=reduction))


@each_shared
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_module_is_torchs(name, reduction):
    z, t = batch(name)
    ours, torchs = (make(name, m, reduction=reduction) for m in (ct, torch.nn))
    torch.testing.assert_close(ours(z, t), torchs(z, t))


@each_shared
def test_arguments_are_in_torchs_order(name):
    values = {
        "CrossEntropyLoss": (W, None, 2, None, "sum", 0.25),
        "NLLLoss": (W, None, 2, None, "sum"),
        "BCELoss": (W, None, None, "sum"),
        "BCEWithLogitsLoss": (W, None, None, "sum", W),
    }[name]
    z, t = batch(name)
    torch.testing.assert_close(getattr(ct, name)(*values)(z, t), getattr(torch.nn, name)(*values)(z, t))


@each_shared
@pytest.mark.parametrize("legacy", [(None, False), (False, None), (False, False), (True, True)])
@pytest.mark.filterwarnings("ignore:size_average and reduce args:UserWarning")
def test_the_old_words_for_a_reduction(name, legacy):
    options = dict(zip(("size_average", "reduce"), legacy, strict=True))
    assert make(name, **options).reduction == make(name, torch.nn, **options).reduction


@each_shared
def test_a_state_of_torchs_module_loads(name):
    state = make(name, torch.nn, weight=W * 3).state_dict()
    module = make(name)
    module.load_state_dict(state)
    assert module.weight.equal(W * 3)


@each_shared
def test_a_state_loads_into_torchs_module(name):
    module = make(name, torch.nn, weight=W * 3)
    module.load_state_dict(make(name).state_dict())
    assert module.weight.equal(W)


@each_shared
def test_attributes_are_torchs(name):
    ours, torchs = make(name), make(name, torch.nn)
    for attribute in ("reduction", "weight", "ignore_index", "label_smoothing", "pos_weight"):
        if hasattr(torchs, attribute):
            mine, other = getattr(ours, attribute), getattr(torchs, attribute)
            assert mine.equal(other) if isinstance(other, torch.Tensor) else mine == other


@each_shared
def test_a_reduction_changed_afterwards_counts(name):
    z, t = batch(name)
    ours, torchs = make(name), make(name, torch.nn)
    ours.reduction = torchs.reduction = "sum"
    torch.testing.assert_close(ours(z, t), torchs(z, t))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_an_ignored_label_changed_afterwards_counts(name):
    z, t = batch(name)
    ours, torchs = make(name), make(name, torch.nn)
    ours.ignore_index = torchs.ignore_index = 2
    torch.testing.assert_close(ours(z, t), torchs(z, t))


@each_module
def test_weights_are_no_parameters(name):
    module = make(name)
    assert not list(module.parameters())
    assert "weight" in dict(module.named_buffers())


@each_module
def test_no_weight_is_no_state(name):
    changes = {"weight": None} | ({"pos_weight": None} if name == "BCEWithLogitsLoss" else {})
    module = make(name, **changes)
    assert module.weight is None
    assert not module.state_dict()


@each_module
def test_weights_change_their_type_with_the_module(name):
    z, t = batch(name)
    module = make(name).to(torch.float64)
    assert module.weight.dtype == torch.float64
    t = t.double() if t.is_floating_point() else t
    torch.testing.assert_close(
        module(z.double(), t).float(), make(name)(z, t.float() if t.is_floating_point() else t)
    )


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (ct.CrossEntropyLoss(), "CrossEntropyLoss(reduction='mean', ignore_index=-100, label_smoothing=0.0)"),
        (
            ct.CrossEntropyLoss(z_loss=1e-4),
            "CrossEntropyLoss(reduction='mean', ignore_index=-100, label_smoothing=0.0, z_loss=0.0001)",
        ),
        (
            ct.FocalLoss(gamma=3.0),
            "FocalLoss(reduction='mean', ignore_index=-100, label_smoothing=0.0, link=Focal(gamma=3.0))",
        ),
        (ct.NLLLoss(ignore_index=0), "NLLLoss(reduction='mean', ignore_index=0)"),
        (ct.BCELoss(reduction="sum"), "BCELoss(reduction='sum')"),
        (ct.BCEWithLogitsLoss(link=Focal(2.0)), "BCEWithLogitsLoss(reduction='mean', link=Focal(gamma=2.0))"),
    ],
    ids=repr,
)
def test_a_module_shows_its_options(module, text):
    assert repr(module) == text


def test_sample_weights_go_to_the_call():
    z, t = batch("CrossEntropyLoss")
    ω = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0, 1.0])
    assert ct.CrossEntropyLoss(W)(z, t, sample_weight=ω).equal(ct.cross_entropy(z, t, W, sample_weight=ω))


def test_a_subclass_may_take_our_options_as_its_own_parameters():
    class Regularized(ct.CrossEntropyLoss):
        def __init__(self, z_loss=0.5, weight=None):
            super().__init__(weight, z_loss=z_loss)

    class Weighted(ct.BCEWithLogitsLoss):
        def __init__(self, *, empty):
            super().__init__(empty=empty)

    z, t = batch("CrossEntropyLoss")
    assert Regularized()(z, t).equal(ct.cross_entropy(z, t, z_loss=0.5))
    assert Weighted(empty="zero")(z[:0], z[:0]) == 0


@each_module
def test_a_misspelt_option_is_named(name):
    with pytest.raises(TypeError, match="label_smooting"):
        make(name, label_smooting=0.1)(*batch(name))


@each_module
def test_a_module_trains(name):
    z, t = batch(name)
    layer = torch.nn.Linear(3, 3)
    out = layer(z)
    loss = make(name)(out.sigmoid() if name == "BCELoss" else out, t)
    loss.backward()
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.any()
