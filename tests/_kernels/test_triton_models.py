"""A model with a loss in it, by Triton's kernels: compiled, under autocast, with ignored rows, in a captured graph."""

import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._engine.softmax import fused_cuda  # noqa: E402
from crossentropy._kernels.triton import row_loss  # noqa: E402
from crossentropy._statistics.cuda import head  # noqa: E402
from crossentropy._statistics.head import passes  # noqa: E402
from device_losses import as_on_a_device, on_a_gpu  # noqa: E402
from linear_on_triton import use_small_tiles  # noqa: E402

IGNORED = -100
CLASSES = 40


@pytest.fixture
def on_triton(triton_rows, monkeypatch):
    """Every loss goes through Triton's kernels, on the CPU too."""
    use_small_tiles(monkeypatch)
    monkeypatch.setattr(fused_cuda, "row_loss", lambda device: row_loss)
    monkeypatch.setattr(passes, "linear_kernel", lambda device: head)
    with as_on_a_device():
        yield


class Model(torch.nn.Module):
    """Two layers, and the loss of the second one's logits, which are made or not."""

    def __init__(self, loss, device):
        super().__init__()
        torch.manual_seed(0)
        self.hidden = torch.nn.Linear(6, 8)
        self.head = torch.nn.Linear(8, CLASSES)
        self.loss = loss
        self.to(device)

    def forward(self, x, labels):
        return self.loss(self.hidden(x).tanh(), self.head, labels)


def of_logits(**options):
    def loss(hidden, head, labels):
        return ce.softmax_cross_entropy(head(hidden), labels, ignore_index=IGNORED, **options)

    return loss


def of_the_head(**options):
    def loss(hidden, head, labels):
        return ce.linear_cross_entropy(
            hidden, head.weight, labels, bias=head.bias, ignore_index=IGNORED, **options
        )

    return loss


LOSSES = {
    "logits": of_logits(),
    "logits, a loss a row": of_logits(reduction="none"),
    "logits, options": of_logits(label_smoothing=0.1, z_loss=1e-3, softcap=5.0),
    "logits, focal": of_logits(link=ce.links.Focal(gamma=2.0)),
    "head": of_the_head(),
    "head, made twice": of_the_head(memory_budget=0),
    "head, options": of_the_head(label_smoothing=0.1, z_loss=1e-3, softcap=5.0),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def batch(device):
    """Rows and labels, those of every third row to be ignored."""
    generator = torch.Generator().manual_seed(1)
    x, labels = torch.randn(9, 6, generator=generator), torch.randint(CLASSES, (9,), generator=generator)
    labels[::3] = IGNORED
    return x.to(device), labels.to(device)


def upstream_of(value):
    return torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype, device=value.device).view_as(value)


def value_and_gradients(model, x, labels):
    x = x.detach().requires_grad_()
    value = model(x, labels)
    gradients = torch.autograd.grad(value, [x, *model.parameters()], upstream_of(value))
    return value.detach(), *gradients


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(
            loss, id=name, marks=() if name in ("logits, options", "head, options") else pytest.mark.full
        )
        for name, loss in LOSSES.items()
    ],
)
def test_a_compiled_model_is_the_eager_one(loss, device, on_triton):
    model, (x, labels) = Model(loss, device), batch(device)
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    for a, b in zip(
        value_and_gradients(compiled, x, labels), value_and_gradients(model, x, labels), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-7)


@each_loss
def test_ignored_rows_give_nothing_whatever_is_in_them(loss, device, on_triton):
    """Compiled code once found garbage in them: Liger-Kernel #1338."""
    model, (x, labels) = Model(loss, device), batch(device)
    value, by_x, *others = value_and_gradients(model, x, labels)
    count = labels != IGNORED
    assert torch.all(by_x[~count] == 0)
    if value.ndim:
        assert torch.all(value[~count] == 0)
    else:
        elsewhere = torch.where(count[:, None], x, 7 * x + 1)
        same_value, _, *same = value_and_gradients(model, elsewhere, labels)
        for a, b in zip((value, *others), (same_value, *same), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-7)


@each_loss
def test_gradients_under_autocast_are_those_of_float32_up_to_its_rounding(loss, device, on_triton):
    model, (x, labels) = Model(loss, device), batch(device)
    exact = value_and_gradients(model, x, labels)
    with torch.autocast(device.type, torch.bfloat16):
        value = model(x, labels)
    assert value.dtype == torch.float32
    found = torch.autograd.grad(value, list(model.parameters()), upstream_of(value))
    for parameter, a, b in zip(model.parameters(), found, exact[2:], strict=True):
        assert a.dtype == parameter.dtype
        assert float((a - b).norm() / b.norm()) < 2e-2


@each_loss
def test_no_gradient_is_written_over_what_others_have_saved(loss, device, on_triton):
    """What a layer has saved for its own backward pass, and the upstream gradient: Liger-Kernel #272, #1251."""
    model, (x, labels) = Model(loss, device), batch(device)
    kept = []
    model.head.register_forward_hook(
        lambda module, given, logits: kept.append((logits, logits.detach().clone()))
    )
    x = x.requires_grad_()
    value = model(x, labels)
    upstream = upstream_of(value)
    given = upstream.clone()
    first = torch.autograd.grad(value, [x, *model.parameters()], upstream, retain_graph=True)
    again = torch.autograd.grad(value, [x, *model.parameters()], upstream)
    assert torch.equal(upstream, given)
    for logits, before in kept:
        assert torch.equal(logits, before)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=2e-7)


@on_a_gpu
@each_loss
def test_a_captured_step_replays_to_the_same_bits(loss, device):
    model, (x, labels) = Model(loss, device), batch(device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        expected = value_and_gradients(model, x, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = value_and_gradients(model, x, labels)
    for _ in range(2):
        graph.replay()
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
