"""Tensors at the door: views of every kind give the bits of a plain tensor, and its gradient; others are refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import crossentropy as ce
from array_calls import CALLS, Call
from sampling import named, sampled

torch = pytest.importorskip("torch")

NUMPY_ALONE = ("loss_and_gradient", "linear_loss_and_gradients", "target_statistics", "top_k_teacher")
TENSORS = [
    call
    for call in CALLS
    if call.arrays
    and not call.name.startswith(NUMPY_ALONE)
    and all(x.dtype.itemsize <= 8 for x in call.arrays.values())
]
each_call = pytest.mark.parametrize("call", TENSORS, ids=lambda call: call.name)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def spread(x: Any) -> Any:
    wide = torch.full([2 * n + 1 for n in x.shape], torch.nan if x.is_floating_point() else 99).to(x.dtype)
    part = wide[(*(slice(1, None, 2),) * x.ndim, ...)]
    return part.copy_(x)


def transposed(x: Any) -> Any:
    order = tuple(reversed(range(x.ndim)))
    return x.permute(order).contiguous().permute(order)


def negative_view(x: Any) -> Any:
    """A view whose memory holds the negated numbers."""
    if not x.is_floating_point() or x.dtype is torch.float16:
        return x
    return torch.complex(torch.zeros_like(x), -x).conj().imag


FORMS = {
    "spread": spread,
    "transposed": transposed,
    "behind others": lambda x: torch.cat([x.new_zeros(3), x.reshape(-1)])[3:].reshape(x.shape),
    "negative": negative_view,
}


def run(call: Call, made: Any) -> tuple[list[Any], list[Any]]:
    """The tensors that a call returns, and the gradients of their sum by its floating arguments."""
    leaves, views = {}, {}
    for name, x in call.arrays.items():
        leaves[name] = torch.from_numpy(x.copy())
        learns = leaves[name].is_floating_point() and name not in ("advantages", "old_log_prob", "a", "o")
        views[name] = made(leaves[name])
        if learns:
            views[name] = views[name].detach().requires_grad_()
    found = tensors(
        call.function(
            *(views.get(n, x) for n, x in zip(call.names, call.positional, strict=True)),
            **{name: views.get(name, x) for name, x in call.named.items()},
        )
    )
    learning = [x for x in views.values() if x.requires_grad]
    total = sum(x.sum() for x in found if x.requires_grad)
    slopes = torch.autograd.grad(total, learning, allow_unused=True) if torch.is_tensor(total) else ()
    return found, [None if x is None else x.clone() for x in slopes]


def tensors(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [x for part in value for x in tensors(part)] if isinstance(value, (tuple, list)) else []


@each_call
def test_views_give_the_results_and_gradients_of_plain_tensors(call):
    wanted, slopes = run(call, lambda x: x)
    for form, made in FORMS.items():
        found, by_views = run(call, made)
        for x, y in zip([*found, *by_views], [*wanted, *slopes], strict=True):
            if y is not None:
                tolerance = (
                    {"rtol": 1e-10, "atol": 1e-12}
                    if y.dtype == torch.float64
                    else {"rtol": 1e-5, "atol": 1e-6}
                )
                torch.testing.assert_close(x, y, **tolerance, msg=lambda text, form=form: f"{form}: {text}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(5, 3), (40, 70)])
def test_rows_that_share_their_memory_are_read_and_not_written(dtype, size):
    N, C = size
    for made in (lambda x: x[:1].expand(N, C), lambda x: x.reshape(-1).as_strided((N, C), (1, 1))):
        memory = torch.randn(N, C, dtype=torch.float64).to(dtype)
        shared, labels = made(memory), torch.arange(N) % C
        wanted = ce.softmax_cross_entropy(shared.contiguous(), labels)
        for inplace in (False, True):
            logits = shared.detach().requires_grad_()
            before = memory.clone()
            value = ce.softmax_cross_entropy(logits, labels, inplace=inplace)
            torch.testing.assert_close(value, wanted, rtol=0, atol=0)
            value.backward()
            whole = shared.contiguous().requires_grad_()
            ce.softmax_cross_entropy(whole, labels).backward()
            torch.testing.assert_close(logits.grad.contiguous(), whole.grad, rtol=0, atol=0)
            torch.testing.assert_close(memory, before, rtol=0, atol=0)


REFUSED = {
    "sparse": (lambda x: x.to_sparse(), r"\bhas layout torch\.sparse_coo; pass .*\.to_dense\(\)$"),
    "complex": (lambda x: x.to(torch.complex64), r"\bhas dtype torch\.complex64.*pass .*\.real$"),
    "of NumPy": (lambda x: np.ma.masked_array(x.numpy(), x.numpy() > 0), r"of type numpy\.ma\.MaskedArray"),
}


@pytest.mark.parametrize("form", REFUSED)
@each_call
def test_tensors_that_are_not_dense_and_real_are_refused_everywhere(call, form):
    made, message = REFUSED[form]
    plain = {name: torch.from_numpy(x.copy()) for name, x in call.arrays.items()}
    for name, x in plain.items():
        given = {**plain, name: made(x)}
        positional = [given.get(n, v) for n, v in zip(call.names, call.positional, strict=True)]
        with pytest.raises(TypeError, match=message):
            call.function(*positional, **{n: given.get(n, v) for n, v in call.named.items()})


def test_layouts_are_made_dense_as_the_message_says():
    logits, labels = torch.tensor([[2.0, 1.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([0, 1])
    wanted = torch.nn.functional.cross_entropy(logits, labels)
    for form, fix in (
        (logits.to_sparse(), "logits.to_dense()"),
        (logits.to_sparse_csr(), "logits.to_dense()"),
        (logits.to(torch.float8_e5m2), "logits.float()"),
        (torch.quantize_per_tensor(logits, 0.5, 0, torch.qint8), "logits.dequantize()"),
        (torch.nested.nested_tensor(list(logits)), "logits.to_padded_tensor(0.0)"),
        (torch.nested.nested_tensor(list(logits), layout=torch.jagged), "logits.to_padded_tensor(0.0)"),
    ):
        with pytest.raises(TypeError) as refusal:
            ce.softmax_cross_entropy(form, labels)
        assert str(refusal.value).endswith(f"pass {fix}")
        torch.testing.assert_close(ce.softmax_cross_entropy(eval(fix, {"logits": form}), labels), wanted)


@sampled(
    {
        "weight": named([[0.5, 2.0, 1.0], (1, 2, 3), np.asarray([0.5, 2.0, 1.0])], repr),
        "loss": [ce.softmax_cross_entropy, ce.sigmoid_cross_entropy],
    }
)
def test_weights_of_other_libraries_are_compiled(weight, loss):
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    target = labels if loss is ce.softmax_cross_entropy else torch.eye(3)[labels]
    eager = loss(logits, target, class_weight=weight)
    compiled = torch.compile(lambda z, t: loss(z, t, class_weight=weight), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits, target), eager)
