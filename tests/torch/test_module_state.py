"""What every module has of its tensors: buffers and parameters, in its state, its copies, and wherever it goes."""

import copy
import inspect
import io
import pickle

import pytest

torch = pytest.importorskip("torch")

import crossentropy.torch as ct  # noqa: E402
from crossentropy import links  # noqa: E402
from crossentropy._arguments.errors import keywords  # noqa: E402
from loss_modules import CASES, LABELS, LOGITS, YES, randn  # noqa: E402

MODULES = {
    name: value
    for name, value in vars(ct).items()
    if name in ct.__all__ and isinstance(value, type) and value.__module__.startswith("crossentropy")
}
#: as in CASES, of the modules that torch has too, and of the settings of the others that may be learnt
TORCHS = {
    "CrossEntropyLoss": ({}, (LOGITS, LABELS)),
    "FocalLoss": ({"gamma": 1.5}, (LOGITS, LABELS)),
    "NLLLoss": ({}, (LOGITS.log_softmax(1), LABELS)),
    "BCELoss": ({}, (LOGITS.sigmoid(), YES.double())),
    "BCEWithLogitsLoss": ({}, (LOGITS, YES.double())),
    "KLDivLoss": ({"reduction": "batchmean"}, (LOGITS.log_softmax(1), LOGITS.flip(0).softmax(1))),
    "LinearCrossEntropyLoss": ({"in_features": 4, "num_classes": 4}, (LOGITS, LABELS)),
    "MultiLabelSoftMarginLoss": ({}, (LOGITS, YES.double())),
}


def number(value):
    return torch.nn.Parameter(torch.tensor(value, dtype=torch.float64))


LEARNT = {
    "PolyLoss": lambda: {"epsilon": (number(1.0), 0.5)},
    "GeneralizedCrossEntropyLoss": lambda: {"q": number(0.4)},
    "SymmetricCrossEntropyLoss": lambda: {"reverse_weight": number(0.3)},
    "PartiallyHuberizedCrossEntropyLoss": lambda: {"tau": number(3.0)},
    "TsallisLoss": lambda: {"t": number(0.7)},
}
#: what any module is given that takes it
GIVEN = {
    "temperature": lambda: number(1.5),
    "logit_bias": lambda: randn(4),
    "class_weight": lambda: randn(4).exp(),
    "weight": lambda: randn(4).exp(),
    "pos_weight": lambda: randn(4).exp(),
    "link": lambda: links.Focal(number(1.5)),
}
#: and what would be something else there, or is refused beside the settings of the case
ELSEWHERE = {
    "AugMixLoss": {"weight"},
    "BackwardCorrectedLoss": {"class_weight"},
    "FocalLoss": {"link"},
    "GeneratorLoss": {"class_weight", "pos_weight"},
    "SequenceCrossEntropyLoss": {"class_weight"},
}
each_module = pytest.mark.parametrize("name", MODULES)


def keywords_of(name):
    """The names of the settings that a module takes."""
    kind = MODULES[name]
    taken = set(inspect.signature(kind).parameters)
    function = getattr(kind, "_function", None)
    if name in TORCHS and function is not None:
        own = keywords(function).values()
        taken |= {p.name for p in own if p.kind is p.KEYWORD_ONLY} - {"sample_weight"}
    return taken - ELSEWHERE.get(name, set())


def settings_of(name):
    """Tensors and parameters wherever the module takes one."""
    base = TORCHS[name][0] if name in TORCHS else CASES[name][1]
    taken = keywords_of(name)
    given = {setting: make() for setting, make in GIVEN.items() if setting in taken}
    return base | given | LEARNT.get(name, dict)()


def make(name):
    return MODULES[name](**settings_of(name)).double()


def loss_of(module, name):
    if name in TORCHS:
        return module(*TORCHS[name][1])
    _, _, inputs, keywords = CASES[name]
    return module(*inputs, **keywords)


def held(settings):
    """Names in the state of the tensors among settings: as they are, in a tuple, in a link."""
    names = {}
    for name, value in settings.items():
        inside = {}
        if isinstance(value, tuple):
            inside = dict(enumerate(value))
        elif isinstance(value, links.Link):
            inside = vars(value)
        inside = {f"{name}.{part}": x for part, x in inside.items()} or {name: value}
        names |= {n: x for n, x in inside.items() if isinstance(x, torch.Tensor)}
    return names


OWN = {
    "CLIPLoss": {"log_scale"},
    "SigLIPLoss": {"log_scale", "bias"},
    "LinearCrossEntropyLoss": {"linear.weight"},
}


def test_every_module_is_tried():
    assert set(MODULES) == {*CASES, *TORCHS}


@each_module
def test_tensors_are_buffers_and_parameters_are_parameters(name):
    settings = settings_of(name)
    module, expected = MODULES[name](**settings), held(settings)
    learnt = {n for n, x in expected.items() if isinstance(x, torch.nn.Parameter)}
    own = OWN.get(name, set())
    assert {n for n, _ in module.named_parameters()} == learnt | own
    assert {n for n, _ in module.named_buffers()} == set(expected) - learnt
    assert set(module.state_dict()) == set(expected) | own
    assert all(module.state_dict()[n].equal(x) for n, x in expected.items())


@each_module
def test_a_state_makes_another_module_the_same(name):
    one, other = make(name), make(name)
    with torch.no_grad():
        for n, tensor in one.state_dict().items():
            if tensor.is_floating_point() and n != "transition":
                tensor.mul_(0.9)
    other.load_state_dict(one.state_dict())
    assert loss_of(other, name).equal(loss_of(one, name))


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@each_module
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module)), saved],
    ids=["copy", "deepcopy", "pickle", "save"],
)
def test_a_copy_is_the_same_loss(name, copied):
    module = make(name)
    other = copied(module)
    assert loss_of(other, name).equal(loss_of(module, name))
    assert repr(other) == repr(module)
    if copied is not copy.copy:
        mine = {x.data_ptr() for x in [*module.parameters(), *module.buffers()]}
        assert mine.isdisjoint(x.data_ptr() for x in [*other.parameters(), *other.buffers()])
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(1.25)
        assert not list(other.parameters()) or not loss_of(other, name).equal(loss_of(module, name))


@each_module
def test_a_module_changes_its_type_and_its_device_as_a_whole(name):
    module = make(name).to(torch.float32)
    assert all(
        x.dtype == torch.float32 for x in [*module.parameters(), *module.buffers()] if x.is_floating_point()
    )
    if "transition" not in settings_of(name):  # whose rows no longer sum to one
        assert loss_of(module.to(torch.float64), name).isfinite()
    module.to("meta")
    assert all(x.is_meta for x in [*module.parameters(), *module.buffers()])
    assert repr(module).startswith(name)


def test_the_focusing_exponent_of_the_focal_loss_is_learnt():
    module = ct.FocalLoss(gamma=number(1.5))
    assert [n for n, _ in module.named_parameters()] == ["link.gamma"]
    module(LOGITS, LABELS).backward()
    assert module.link.gamma.grad != 0


@each_module
def test_an_optimizer_moves_every_parameter(name):
    module = make(name)
    before = {n: x.detach().clone() for n, x in module.named_parameters()}
    if not before:
        return
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-2)
    value = loss_of(module, name)
    value.backward()
    optimizer.step()
    assert {n: bool((x != before[n]).any()) for n, x in module.named_parameters()} == dict.fromkeys(
        before, True
    )
    assert loss_of(module, name) < value


@each_module
def test_a_module_tells_of_its_settings(name):
    text = repr(make(name))
    for setting, value in settings_of(name).items():
        hidden = name == "KLDivLoss" or (
            name in TORCHS and setting in ("weight", "pos_weight", "in_features")
        )
        assert (
            hidden
            or (f"({setting}): " if held({setting: value}).keys() - {setting} else f"{setting}=") in text
        )


def test_a_setting_changed_afterwards_is_held_in_the_way_of_its_kind():
    module = ct.CrossEntropyLoss(temperature=number(1.5), logit_bias=randn(4))
    module.temperature, module.logit_bias = 2.0, None
    assert not module.state_dict()
    module.link, module.weight = links.Focal(number(2.0)), randn(4).exp()
    assert [n for n, _ in module.named_parameters()] == ["link.gamma"]
    assert [n for n, _ in module.named_buffers()] == ["weight"]
    expected = ct.cross_entropy(LOGITS, LABELS, module.weight, link=links.Focal(2.0), temperature=2.0)
    torch.testing.assert_close(module(LOGITS, LABELS), expected)
    module.link.gamma = 1.0
    assert not list(module.parameters())
    expected = ct.cross_entropy(LOGITS, LABELS, module.weight, link=links.Focal(1.0), temperature=2.0)
    torch.testing.assert_close(module(LOGITS, LABELS), expected)


def test_a_link_that_is_a_module_is_a_child_of_the_loss():
    class Power(torch.nn.Module):
        """``(1 − p)^a``."""

        def __init__(self):
            super().__init__()
            self.a = number(2.0)

        def loss(self, D):
            return torch.sigmoid(D) ** self.a

        def gain(self, D):
            return self.a * torch.sigmoid(-D) * torch.sigmoid(D) ** (self.a - 1)

    module = ct.CrossEntropyLoss(link=Power())
    assert list(module.state_dict()) == ["link.a"]
    module(LOGITS, LABELS).backward()
    assert module.link.a.grad != 0


def test_arrays_of_numpy_are_buffers():
    bias = randn(4)
    module = ct.CrossEntropyLoss(weight=[1.0, 2.0, 0.5, 1.0], logit_bias=bias.numpy())
    assert set(module.state_dict()) == {"weight", "logit_bias"}
    expected = ct.cross_entropy(LOGITS, LABELS, torch.tensor([1.0, 2.0, 0.5, 1.0]), logit_bias=bias)
    assert module(LOGITS, LABELS).equal(expected)


def assert_compiled_is_eager(module, name):
    torch.compiler.reset()
    found = loss_of(torch.compile(module, backend="eager"), name)
    torch.testing.assert_close(found, loss_of(module, name), rtol=1e-12, atol=1e-14)
    found.backward()
    assert all(x.grad is not None for x in module.parameters())


def test_a_compiled_module_is_the_eager_one():
    assert_compiled_is_eager(make("CrossEntropyLoss"), "CrossEntropyLoss")


@pytest.mark.full
@each_module
def test_every_compiled_module_is_the_eager_one(name):
    module = make(name)
    if list(module.parameters()):
        assert_compiled_is_eager(module, name)


def test_torchs_tools_find_the_tensors():
    """A temperature kept positive, a call with other parameters, a state that takes the place of the tensors."""

    class Exp(torch.nn.Module):
        def forward(self, x):
            return x.exp()

    def loss(temperature, gamma):
        return ct.cross_entropy(LOGITS, LABELS, temperature=temperature, link=links.Focal(gamma))

    def new():
        return ct.CrossEntropyLoss(temperature=number(0.3), link=links.Focal(number(1.5)))

    positive = new()
    torch.nn.utils.parametrize.register_parametrization(positive, "temperature", Exp())
    torch.nn.utils.parametrize.register_parametrization(positive.link, "gamma", Exp())
    expected = loss(
        torch.tensor(0.3, dtype=torch.float64).exp(), torch.tensor(1.5, dtype=torch.float64).exp()
    )
    torch.testing.assert_close(positive(LOGITS, LABELS), expected)
    others = {"temperature": torch.tensor(2.0), "link.gamma": torch.tensor(3.0)}
    found = torch.func.functional_call(new(), others, (LOGITS, LABELS))
    torch.testing.assert_close(found, loss(2.0, 3.0))
    assigned = new()
    assigned.load_state_dict({n: torch.nn.Parameter(x) for n, x in others.items()}, assign=True)
    assert [n for n, _ in assigned.named_parameters()] == ["temperature", "link.gamma"]
    torch.testing.assert_close(assigned(LOGITS, LABELS), loss(2.0, 3.0))
