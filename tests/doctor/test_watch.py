"""Each fault of a training loop is named first, good loops are left in peace, and PyTorch is as it was."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402
from crossentropy import doctor  # noqa: E402
from crossentropy.doctor._watch.calls import Recorder  # noqa: E402

C, WIDTH = 5, 16

pytestmark = pytest.mark.usefixtures("one_thread")


def net(*last, width=32):
    return nn.Sequential(nn.Linear(WIDTH, width), nn.ReLU(), nn.Linear(width, C), *last)


def data(n=512, imbalance=0.0, noise=1.0):
    torch.manual_seed(0)
    x = torch.randn(n, WIDTH)
    scores = 1.5 * x @ torch.randn(WIDTH, C) + noise * torch.randn(n, C) - imbalance * torch.arange(C)
    return x, scores.argmax(1)


def train(step, make=net, *, steps=40, lr=0.02, optimizer=torch.optim.Adam, rows=64, **of_data):
    """Train with ``step(logits, labels)``, which calls backward, and return the report."""
    x, y = data(**of_data)
    model = make()
    opt = optimizer(model.parameters(), lr=lr)
    with doctor.watch() as report:
        for _ in range(steps):
            batch = torch.randint(len(x), (rows,))
            opt.zero_grad()
            step(model(x[batch]), y[batch])
            opt.step()
    return report


def plain(z, y):
    F.cross_entropy(z, y).backward()


def in_parts(divide, sizes=(32, 32)):
    def step(z, y):
        for part, labels in zip(z.split(sizes), y.split(sizes), strict=True):
            loss = F.cross_entropy(part, labels)
            (loss if divide is None else loss / divide).backward(retain_graph=True)

    return step


def questions(loss):
    return lambda z, y: loss(z, F.one_hot(y, C).float()).backward()


TEACHER = torch.randn(64, C, generator=torch.Generator().manual_seed(0))


def distilled(student, teacher, **options):
    return lambda z, y: F.kl_div(student(z), teacher(TEACHER), reduction="batchmean", **options).backward()


def padded(pad, **options):
    """A batch is four sequences of sixteen tokens, whose ends are padding."""

    def step(z, y):
        ends = torch.tensor([16, 9, 12, 6])
        tokens = torch.where(y.view(4, 16) == 0, 1, y.view(4, 16))
        tokens = torch.where(torch.arange(16) < ends[:, None], tokens, pad)
        F.cross_entropy(z.view(4, 16, C).movedim(-1, 1), tokens, **options).backward()

    return step


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(WIDTH, 32), nn.Linear(32, C)

    def forward(self, x):
        return self.head(self.body(x).relu().detach())


def dead():
    model = net()
    nn.init.constant_(model[0].bias, -100.0)
    return model


def confident():
    model = net()
    nn.init.normal_(model[2].weight, std=3.0)
    return model


def unsure():
    model = net()
    nn.init.normal_(model[2].weight, std=0.5)
    return model


WEIGHT = torch.tensor([1.0, 1.0, 1.0, 1.0, 100.0])
soft2 = lambda z: F.softmax(z / 2, -1)  # noqa: E731
log2 = lambda z: F.log_softmax(z / 2, -1)  # noqa: E731
PLANTED = {
    "softmax twice": ("softmax_twice", plain, lambda: net(nn.Softmax(-1)), {}),
    "softmax twice in a module": (
        "softmax_twice",
        lambda z, y: nn.CrossEntropyLoss()(z, y).backward(),
        lambda: net(nn.Softmax(-1)),
        {},
    ),
    "softmax twice in ours": (
        "softmax_twice",
        lambda z, y: ce.softmax_cross_entropy(z, y).backward(),
        lambda: net(nn.Softmax(-1)),
        {},
    ),
    "softmax twice in our module": (
        "softmax_twice",
        lambda z, y: ct.CrossEntropyLoss(label_smoothing=0.1)(z, y).backward(),
        lambda: net(nn.Softmax(-1)),
        {},
    ),
    "softmax twice in a focal loss": (
        "softmax_twice",
        lambda z, y: ce.losses.focal_loss(z, y).backward(),
        lambda: net(nn.Softmax(-1)),
        {},
    ),
    "sigmoid twice": (
        "sigmoid_twice",
        questions(F.binary_cross_entropy_with_logits),
        lambda: net(nn.Sigmoid()),
        {},
    ),
    "sigmoid twice in ours": (
        "sigmoid_twice",
        questions(ct.BCEWithLogitsLoss()),
        lambda: net(nn.Sigmoid()),
        {},
    ),
    "log-softmax twice": ("log_probabilities_as_logits", plain, lambda: net(nn.LogSoftmax(-1)), {}),
    "logits in nll_loss": ("logits_as_log_probabilities", lambda z, y: F.nll_loss(z, y).backward(), net, {}),
    "probabilities in nll_loss": (
        "probabilities_as_log_probabilities",
        lambda z, y: F.nll_loss(z, y).backward(),
        lambda: net(nn.Softmax(-1)),
        {},
    ),
    "NaN": ("not_finite", lambda z, y: F.cross_entropy(z / (0 * z[:1, :1]), y).backward(), net, {}),
    "a learning rate that explodes": ("not_finite", plain, net, {"lr": 1e20, "optimizer": torch.optim.SGD}),
    "first predictions confident": ("initial_loss", plain, confident, {}),
    "saturated": ("saturated", lambda z, y: F.cross_entropy(1000 * z, y).backward(), net, {}),
    "a sum": ("sum_reduction", lambda z, y: F.cross_entropy(z, y, reduction="sum").backward(), net, {}),
    "a sum of ours": (
        "sum_reduction",
        lambda z, y: ce.softmax_cross_entropy(z, y, reduction="sum").backward(),
        net,
        {},
    ),
    "accumulation not divided": ("accumulation_not_divided", in_parts(None), net, {}),
    "mean of means": ("mean_of_means", in_parts(2, (10, 54)), net, {}),
    "weights in smoothing": (
        "weights_in_smoothing",
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHT, label_smoothing=0.1).backward(),
        net,
        {},
    ),
    "weights that scale": (
        "weight_scale",
        questions(lambda z, t: F.binary_cross_entropy_with_logits(z, t, weight=torch.full((C,), 50.0))),
        net,
        {},
    ),
    "bfloat16": ("half_precision", lambda z, y: F.cross_entropy(z.bfloat16(), y).backward(), net, {}),
    "dead units": ("dead_gradients", plain, dead, {}),
    "detached": ("dead_gradients", plain, Detached, {}),
    "inputs without the label": (
        "not_learned",
        lambda z, y: F.cross_entropy(z, torch.randint(C, y.shape)).backward(),
        lambda: net(width=8),
        {"lr": 0.01, "steps": 100},
    ),
    "a learning rate far too small": ("not_learned", plain, unsure, {"lr": 1e-7, "steps": 100}),
    "swapped divergence": (
        "kl_swapped",
        lambda z, y: F.kl_div(log2(TEACHER), soft2(z), reduction="batchmean").backward(),
        net,
        {},
    ),
    "logarithms second": (
        "kl_swapped",
        lambda z, y: F.kl_div(soft2(TEACHER), log2(z), reduction="batchmean").backward(),
        net,
        {},
    ),
    "temperatures that differ": (
        "temperatures_differ",
        distilled(lambda z: F.log_softmax(z, -1), soft2),
        net,
        {},
    ),
    "mean over classes too": ("kl_mean", lambda z, y: F.kl_div(log2(z), soft2(TEACHER)).backward(), net, {}),
    "probabilities in kl_div": ("probabilities_as_log_probabilities", distilled(soft2, soft2), net, {}),
    "logarithms without log_target": ("log_probabilities_as_probabilities", distilled(log2, log2), net, {}),
    "padding": ("padding_as_class", padded(0), net, {}),
    "ignore_index not used": (
        "ignore_index_unused",
        lambda z, y: F.cross_entropy(z, y, ignore_index=77).backward(),
        net,
        {},
    ),
}
HEALTHY = {
    "plain": (plain, net, {}),
    "a module": (lambda z, y: nn.CrossEntropyLoss()(z, y).backward(), net, {}),
    "ours": (lambda z, y: ce.softmax_cross_entropy(z, y).backward(), net, {}),
    "our module": (lambda z, y: ct.CrossEntropyLoss(label_smoothing=0.1)(z, y).backward(), net, {}),
    "focal": (lambda z, y: ce.losses.focal_loss(z, y).backward(), net, {}),
    "SGD": (plain, net, {"optimizer": torch.optim.SGD, "lr": 0.1}),
    "slow": (plain, net, {"lr": 1e-3, "steps": 60}),
    "imbalanced": (plain, net, {"imbalance": 2.0}),
    "noisy": (plain, net, {"noise": 6.0}),
    "few rows": (plain, net, {"rows": 8}),
    "wide": (plain, lambda: net(width=512), {}),
    "smoothing": (lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1).backward(), net, {}),
    "weights": (lambda z, y: F.cross_entropy(z, y, weight=WEIGHT).backward(), net, {}),
    "weights with smoothing": (
        lambda z, y: F.cross_entropy(z, y, weight=torch.linspace(1, 2, C), label_smoothing=0.1).backward(),
        net,
        {},
    ),
    "log-softmax and nll_loss": (
        lambda z, y: F.nll_loss(z, y).backward(),
        lambda: net(nn.LogSoftmax(-1)),
        {},
    ),
    "yes-or-no": (questions(F.binary_cross_entropy_with_logits), net, {}),
    "yes-or-no of ours": (questions(ct.BCEWithLogitsLoss()), net, {}),
    "yes-or-no of probabilities": (questions(F.binary_cross_entropy), lambda: net(nn.Sigmoid()), {}),
    "positive weights": (
        questions(lambda z, t: F.binary_cross_entropy_with_logits(z, t, pos_weight=torch.full((C,), 4.0))),
        net,
        {},
    ),
    "soft labels": (lambda z, y: F.cross_entropy(z, 0.9 * F.one_hot(y, C) + 0.02).backward(), net, {}),
    "accumulated": (in_parts(2), net, {}),
    "a sum that is divided": (
        lambda z, y: (F.cross_entropy(z, y, reduction="sum") / len(y)).backward(),
        net,
        {},
    ),
    "losses of rows": (lambda z, y: F.cross_entropy(z, y, reduction="none").mean().backward(), net, {}),
    "distilled": (distilled(log2, soft2), net, {}),
    "distilled from logarithms": (distilled(log2, log2, log_target=True), net, {}),
    "padding ignored": (padded(-100), net, {}),
    "padding 0 ignored": (padded(0, ignore_index=0), net, {}),
    "bfloat16 under autocast": (lambda z, y: F.cross_entropy(z.bfloat16().float(), y).backward(), net, {}),
    "two heads": (
        lambda z, y: (F.cross_entropy(z, y) + 0.5 * F.cross_entropy(z[:, :3], y.clamp(max=2))).backward(),
        net,
        {},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_planted_fault_is_named_first(name):
    fault, step, make, options = PLANTED[name]
    report = train(step, make, **options)
    assert report[0].name == fault
    assert fault == "dead_gradients" or __file__ in report[0].where
    assert not [line for line in report.unseen if "could not be read" in line]


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_is_found_in_a_good_loop(name):
    step, make, options = HEALTHY[name]
    report = train(step, make, **options)
    assert [finding.name for finding in report] == []
    assert not [line for line in report.unseen if "could not be read" in line]
    assert report.looked_at.startswith(("40 calls", "60 calls", "80 calls"))


@pytest.mark.parametrize("turns", [2, 3, 4, 5, 6, 8, 10])
def test_of_calls_that_take_turns_all_are_kept_alike(turns):
    recorder = Recorder(steps=100)
    kept = [call for call in range(1600) if recorder.is_sampled("loop.py:1")][4:]
    counts = [sum(call % turns == turn for call in kept) for turn in range(turns)]
    assert max(counts) - min(counts) <= 1


def test_there_are_many_healthy_loops():
    assert len(HEALTHY) >= 25


def functions():
    return [
        torch._C._nn.cross_entropy_loss,
        torch.kl_div,
        torch.softmax,
        torch.Tensor.__dict__.get("__truediv__"),
        torch.Tensor.__dict__.get("softmax"),
        torch.Tensor.backward,
    ]


def failing():
    with doctor.watch() as report:
        assert torch._C._nn.cross_entropy_loss.__module__ == "crossentropy.doctor._watch.calls"
        F.cross_entropy(torch.zeros(3, 4, requires_grad=True) + 0, torch.tensor([0, 1, 2])).backward()
        failing.report = report
        raise KeyError


def test_everything_is_as_it_was_after_the_block_also_by_an_error_and_after_the_last_step():
    before = functions()
    with pytest.raises(KeyError):
        failing()
    assert functions() == before
    assert failing.report.looked_at == "1 calls of losses in 0 optimizer steps"
    p = nn.Parameter(torch.zeros(4))
    p.grad = torch.ones(4)
    with doctor.watch(steps=2):
        for _ in range(2):
            torch.optim.SGD([p], lr=0.1).step()
        assert functions() == before


def test_a_watched_training_is_the_same_to_the_bit():
    losses = []
    for watched in (False, True):
        x, y = data()
        model = net()
        opt = torch.optim.Adam(model.parameters())
        with doctor.watch() if watched else torch.enable_grad():
            for _ in range(5):
                opt.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                opt.step()
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_mean_of_means_has_the_cost_of_the_unequal_parts():
    finding = train(in_parts(2, (10, 54)), net)[0]
    assert finding.evidence["smallest_part"] == 10
    assert finding.evidence["largest_part"] == 54
    assert 0 < finding.cost < 1


def test_nothing_called_is_said():
    with doctor.watch() as report:
        pass
    assert not report
    assert "any loss with a gradient" in report.unseen[0]


def test_steps_are_checked():
    with pytest.raises(ValueError, match="steps is 0; pass the number"), doctor.watch(steps=0):
        pass
    with pytest.raises(TypeError, match="steps is 'ten'; pass an integer"), doctor.watch(steps="ten"):
        pass
