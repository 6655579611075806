"""`doctor.watch` never ends a training that would go on without it, and leaves nothing behind."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from crossentropy import doctor  # noqa: E402


class Net(nn.Module):
    """A linear layer, and a parameter without entries."""

    def __init__(self):
        super().__init__()
        self.layer, self.empty = nn.Linear(4, 3), nn.Parameter(torch.zeros(0, 3))

    def forward(self, x):
        return self.layer(x) + self.empty.sum()


def train(loss, rows):
    """Watch a loop of batches of so many rows each; return the report."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with doctor.watch() as report:
        for n in rows:
            optimizer.zero_grad()
            loss(net(torch.randn(n, 4))).backward()
            optimizer.step()
    return report


def test_a_batch_without_rows_and_a_parameter_without_entries_are_looked_at():
    def loss(z):
        return F.cross_entropy(z, torch.zeros(len(z), dtype=torch.long), reduction="sum")

    report = train(loss, [8, 0, *[8] * 10])
    assert report.looked_at == "12 calls of losses in 12 optimizer steps"
    assert [f.name for f in report] == ["sum_reduction"]


def test_the_logits_of_a_softmax_are_found_by_their_keyword():
    teacher = torch.randn(8, 3)

    def loss(z):
        p = torch.softmax(input=teacher / 4, dim=-1)
        return F.kl_div(torch.log_softmax(input=z / 2, dim=-1), p, reduction="batchmean")

    # the first call of a divergence has the division behind it, before which nothing was followed
    assert "temperatures_differ" in [f.name for f in train(loss, [8] * 4)]


def test_a_second_block_is_refused_and_the_first_goes_on():
    with doctor.watch():
        with pytest.raises(RuntimeError, match="watched already"), doctor.watch():
            pass
        watching = torch.kl_div
    assert torch.kl_div is not watching
    with doctor.watch():
        pass


def test_a_function_taken_out_of_the_block_replaces_nothing():
    with doctor.watch() as report:
        divergence = torch.kl_div
    p = torch.full((2, 2), 0.5)
    assert divergence(p.log().requires_grad_(), p, reduction=2) == 0
    assert not {"softmax", "log_softmax", "__truediv__"} & vars(torch.Tensor).keys()
    assert report.looked_at == "0 calls of losses in 0 optimizer steps"
