"""Tensors that are more, or less, than memory to read: subclasses, views, tensors without storage, traces."""

import subprocess
import sys
import textwrap

import pytest

torch = pytest.importorskip("torch")
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402

Y = torch.tensor([0, 1, 2, 0])
NAMES = (
    "cross_entropy",
    "focal_loss",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
)
# drawn once: a trace would hold on to the generator and draw on
T = torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CASES = {
    "cross_entropy": lambda z: ct.cross_entropy(z, Y),
    "rows": lambda z: ct.cross_entropy(z, Y, reduction="none"),
    "weighted": lambda z: ct.cross_entropy(z, Y, torch.tensor([1.0, 2.0, 3.0], dtype=z.dtype)),
    "smoothed": lambda z: ct.cross_entropy(z, Y, label_smoothing=0.1),
    "soft": lambda z: ct.cross_entropy(z, T.to(z.dtype)),
    "focal_loss": lambda z: ct.focal_loss(z, Y),
    "nll_loss": lambda z: ct.nll_loss(z, Y),
    "binary_cross_entropy": lambda z: ct.binary_cross_entropy(z, T.to(z.dtype)),
    "with_logits": lambda z: ct.binary_cross_entropy_with_logits(z, T.to(z.dtype)),
}
each_case = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)


def random(seed=0, dtype=torch.float64):
    return torch.rand(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def gradient(loss, z):
    z = z.detach().requires_grad_()
    value = loss(z)
    return torch.autograd.grad(value, z, torch.ones_like(value))[0]


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


@each_case
def test_parameters_are_tensors_like_any(loss):
    z = torch.nn.Parameter(random())
    assert loss(z).equal(loss(random().requires_grad_()))
    assert gradient(loss, z).equal(gradient(loss, random()))


class Tagged(torch.Tensor):
    """A tensor with nothing of its own but its name."""


@each_case
def test_a_subclass_has_the_value_of_its_numbers(loss):
    z = random()
    assert_close(loss(z.as_subclass(Tagged)).as_subclass(torch.Tensor), loss(z))


@each_case
def test_a_subclass_has_the_gradient_of_its_numbers(loss):
    found = gradient(loss, random().as_subclass(Tagged))
    assert_close(found.as_subclass(torch.Tensor), gradient(loss, random()))


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_subclass_is_of_it_as_torchs_own(name):
    target = random(1) if name.startswith("binary") else Y
    z = random().as_subclass(Tagged)
    assert isinstance(getattr(ct, name)(z, target), Tagged)


class Rival(torch.Tensor):
    """A tensor of another kind than `Tagged`."""


def test_the_weight_of_a_head_does_not_mix_with_another_class_of_tensors():
    with pytest.raises(TypeError, match=r"^input is a .*Tagged and linear_weight a .*Rival"):
        ct.linear_cross_entropy(random().as_subclass(Tagged), random().as_subclass(Rival), Y)


def test_a_keyword_of_another_library_is_answered_with_ours():
    with pytest.raises(
        TypeError, match=r"^cross_entropy has no argument smoothing; pass label_smoothing=smoothing"
    ):
        ct.cross_entropy(random(), Y, smoothing=0.1)


@each_case
def test_a_view_that_stands_for_its_negative_is_read_as_such(loss):
    z = torch.complex(random(), -random()).conj().imag
    assert z.is_neg()
    assert_close(loss(z), loss(random()))
    assert_close(gradient(loss, z), gradient(loss, random()))


@pytest.mark.parametrize("name", ["sample_weight", "temperature", "logit_bias"])
def test_options_may_be_views_that_stand_for_their_negative(name):
    x = random(2)[0] if name == "logit_bias" else random(2)[:, 0] + 0.5
    z = torch.complex(x, -x).conj().imag
    assert_close(ct.cross_entropy(random(), Y, **{name: z}), ct.cross_entropy(random(), Y, **{name: x}))


@pytest.mark.parametrize("loss", [ct.cross_entropy, ct.binary_cross_entropy_with_logits])
def test_targets_may_be_views_that_stand_for_their_negative(loss):
    t = torch.complex(random(1), -random(1)).conj().imag
    assert_close(loss(random(), t), loss(random(), random(1)))


@each_case
def test_a_trace_computes_and_does_not_remember(loss):
    traced = make_fx(loss)(random())
    assert_close(traced(random(3)), loss(random(3)))


def run(program):
    """Whether a program of its own ends well: what reads memory that is not there takes its process along."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_tensors_without_memory_have_a_loss_without_memory():
    run("""
        import torch, crossentropy.torch as ct
        from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
        with FakeTensorMode():
            z, t, y = torch.rand(4, 3, requires_grad=True), torch.rand(4, 3), torch.zeros(4, dtype=torch.long)
            for loss, target in [(ct.cross_entropy, y), (ct.cross_entropy, t), (ct.focal_loss, y),
                                 (ct.nll_loss, y), (ct.binary_cross_entropy_with_logits, t)]:
                value = loss(z, target)
                assert isinstance(value, FakeTensor) and value.shape == ()
                assert torch.autograd.grad(value, z)[0].shape == (4, 3)
        """)


def test_tensors_that_wrap_others_have_the_loss_of_those():
    run("""
        import torch, crossentropy.torch as ct
        from torch.utils._pytree import tree_map

        class Wrapped(torch.Tensor):
            @staticmethod
            def __new__(cls, inner):
                return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

            def __init__(self, inner):
                self.inner = inner

            @classmethod
            def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
                plain = lambda x: x.inner if isinstance(x, cls) else x
                wrap = lambda x: cls(x) if isinstance(x, torch.Tensor) else x
                return tree_map(wrap, function(*tree_map(plain, args), **tree_map(plain, kwargs or {})))

        z, t, y = torch.rand(4, 3), torch.rand(4, 3), torch.tensor([0, 1, 2, 0])
        for loss, target in [(ct.cross_entropy, y), (ct.cross_entropy, t), (ct.focal_loss, y),
                             (ct.nll_loss, y), (ct.binary_cross_entropy_with_logits, t)]:
            for x, a in [(Wrapped(z), target), (Wrapped(z), Wrapped(target)), (z, Wrapped(target))]:
                value = loss(x, a, validate="none") if target is y else loss(x, a)
                torch.testing.assert_close(value.inner, loss(z, target))
        """)


@pytest.mark.parametrize("name", ["cross_entropy", "focal_loss", "nll_loss"])
def test_meta_tensors_have_the_shape_of_the_loss(name):
    z, y = torch.empty(4, 3, device="meta"), torch.empty(4, dtype=torch.long, device="meta")
    assert getattr(ct, name)(z, y, reduction="none").shape == (4,)


@each_case
def test_a_checkpoint_has_the_same_gradient(loss):
    z = random().requires_grad_()
    (found,) = torch.autograd.grad(checkpoint(lambda x: loss(x).sum(), z, use_reentrant=False), z)
    assert found.equal(gradient(loss, random()))


@each_case
def test_no_graph_is_built_where_none_is_wanted(loss):
    z = random().requires_grad_()
    with torch.no_grad():
        assert not loss(z).requires_grad
    with torch.inference_mode():
        assert_close(loss(random()).clone(), loss(z).clone())


def test_labels_on_another_library_are_refused():
    with pytest.raises(TypeError, match="torch"):
        ct.cross_entropy(random(), Y.numpy())


def test_labels_may_be_a_list():
    assert ct.cross_entropy(random(), Y.tolist()).equal(ct.cross_entropy(random(), Y))


def test_one_hot_integers_may_be_named():
    one_hot = ce.targets.OneHot(torch.nn.functional.one_hot(Y, 3))
    assert ct.cross_entropy(random(), one_hot).equal(ct.cross_entropy(random(), Y))
