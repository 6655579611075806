"""Linear heads whose forward pass is Triton's kernel without logits: losses and gradients are those of whole logits."""

import pytest
from hypothesis import given, settings

pytest.importorskip("torch")
pytest.importorskip("triton")

from crossentropy._statistics.cuda import head
from crossentropy._statistics.head import passes
from device_losses import as_on_a_device, interpreted
from linear_heads import assert_as_on_logits, heads


@pytest.fixture
def served(monkeypatch):
    """The problems that the kernel has served."""
    found = []

    class Watched:
        serves = staticmethod(head.serves)

        @staticmethod
        def forward(*problem):
            found.append(problem)
            return head.forward(*problem)

    monkeypatch.setattr(passes, "linear_kernel", lambda device: Watched)
    return found


@given(drawn=heads())
@interpreted
def test_any_head_is_that_of_whole_logits(served, drawn):
    with as_on_a_device():
        assert_as_on_logits(drawn | {"budget": 0})


def test_the_kernel_serves_some_of_them(served):
    find = given(drawn=heads())(lambda drawn: assert_as_on_logits(drawn | {"budget": 0}))
    with as_on_a_device():
        settings(interpreted, max_examples=20)(find)()
    assert served
