"""A linear head's loss and gradients are those of the logits that it never makes, whatever the options."""

import pytest
from hypothesis import given, settings

import crossentropy as ce

torch = pytest.importorskip("torch")

from torch.nn.functional import softplus  # noqa: E402

from linear_heads import (  # noqa: E402
    assert_as_on_logits,
    assert_same_loss,
    blocks_of,
    each_strategy,
    head,
    heads,
    labels,
    learning,
    on_logits,
    random,
)
from losses.catalogue.table import LINKS  # noqa: E402

N, D, V = 11, 5, 41
CHOICES = {
    "plain": {},
    "label_smoothing": {"label_smoothing": 0.1},
    "smoothing_prior": {"label_smoothing": 0.1, "smoothing_prior": random(V, seed=4).softmax(0)},
    "class_weight": {"class_weight": random(V, seed=5).exp()},
    "class_weight, smoothed": {"class_weight": random(V, seed=5).exp(), "label_smoothing": 0.2},
    "sample_weight": {"sample_weight": random(N, seed=6).exp()},
    "some weights of 0": {"sample_weight": random(N, seed=6).relu()},
    "temperature": {"temperature": 2.0},
    "a temperature that learns": {"temperature": torch.tensor(1.5, dtype=torch.float64)},
    "a temperature for each row": {"temperature": random(N, seed=7).exp()},
    "softcap": {"softcap": 3.0},
    "logit_bias": {"logit_bias": random(V, seed=8)},
    "margin": {"margin": 0.3},
    "a margin that learns": {"margin": torch.tensor(0.3, dtype=torch.float64)},
    "margins of classes": {"margin": random(V, seed=9).exp()},
    "z_loss": {"z_loss": 0.1},
    "entropy_bonus": {"entropy_bonus": 0.1},
    "everything": {
        "label_smoothing": 0.1,
        "class_weight": random(V, seed=5).exp(),
        "sample_weight": random(N, seed=6).exp(),
        "temperature": random(N, seed=7).exp(),
        "softcap": 5.0,
        "logit_bias": random(V, seed=8),
        "z_loss": 0.01,
        "entropy_bonus": 0.1,
    },
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none", "label_smoothing": 0.1},
    "count": {"normalizer": "count", "sample_weight": random(N, seed=6)},
    "a number": {"normalizer": 3.5},
    "a divisor for each row": {"normalizer": random(N, seed=10).exp()},
    "focal": {"link": ce.links.Focal(2.0)},
    "focal, smoothed": {"link": ce.links.Focal(2.0), "label_smoothing": 0.1, "z_loss": 0.1},
    "generalized": {"link": ce.links.GeneralizedCrossEntropy(0.7)},
}
TARGETS = {
    "indices": lambda: labels(N, classes=V, seed=3),
    "Sparse": lambda: ce.targets.Sparse(labels(N, 3, classes=V, seed=4), random(N, 3, seed=5).exp()),
    "Probabilities": lambda: random(N, V, seed=6).softmax(-1),
    "LabelSet": lambda: ce.targets.LabelSet(random(N, V, seed=7).argsort(-1) < 7),
}


def pairs(names):
    """Options with every target that takes them."""
    return [(name, target) for name in names for target in TARGETS if not refused(CHOICES[name], target)]


def refused(options, target):
    """Whether options say nothing of such a target."""
    if target == "LabelSet":
        return "class_weight" in options or "label_smoothing" in options
    return target == "Probabilities" and "margin" in options


def compare(target, options, budget, bias=None, low_rank=None, learn=True):
    hidden, weight, _ = head(N, D, V)
    options, others = learning(options) if learn else (options, [])
    if isinstance(target, torch.Tensor) and target.is_floating_point() and learn:
        others.append(target.requires_grad_())
    inputs = [hidden, weight, *others, *(low_rank or ()), *(() if bias is None else (bias,))]
    found = ce.linear_cross_entropy(
        hidden, weight, target, bias=bias, low_rank=low_rank, memory_budget=budget, **options
    )
    truth = on_logits(hidden, weight, target, bias=bias, low_rank=low_rank, **options)
    assert_same_loss(found, truth, inputs)


@each_strategy
@pytest.mark.parametrize(("name", "target"), pairs(CHOICES))
def test_an_option_means_what_it_means_on_logits(name, target, budget):
    with blocks_of(4):
        compare(
            TARGETS[target](), CHOICES[name], budget, bias=random(V, seed=11).requires_grad_(), learn=False
        )


@pytest.mark.parametrize(
    ("name", "target"),
    pairs(name for name, options in CHOICES.items() if not options or learning(options)[1]),
)
def test_gradients_flow_to_the_tensors_among_the_options(name, target):
    factors = (random(2, D, seed=12).requires_grad_(), random(V, 2, seed=13).requires_grad_())
    with blocks_of(4):
        compare(TARGETS[target](), CHOICES[name], None, low_rank=factors)


@each_strategy
@pytest.mark.parametrize("case", LINKS, ids=lambda case: case.name)
def test_every_link(case, budget):
    """On one label, and on every class of a smoothed one."""
    link = getattr(ce.links, case.link)(**case.arguments)
    for options in ({}, {"label_smoothing": 0.1}):
        with blocks_of(4):
            compare(labels(N, classes=V), {"link": link} | options, budget)


@each_strategy
def test_a_link_that_holds_something_for_every_row(budget):
    advantages, old = random(N, seed=14), random(N, seed=15) - 3
    link = ce.links.ClippedPolicy(advantages, old)
    with blocks_of(4):
        compare(labels(N, classes=V), {"link": link}, budget)


@each_strategy
def test_a_link_that_holds_something_for_rows_of_any_shape(budget):
    hidden, weight, _ = head(12, D, V)
    hidden = hidden.detach().reshape(3, 4, D).requires_grad_()
    y = labels(3, 4, classes=V)
    link = ce.links.ClippedPolicy(random(3, 4, seed=14), random(3, 4, seed=15) - 3)
    with blocks_of(4):
        found = ce.linear_cross_entropy(hidden, weight, y, link=link, memory_budget=budget)
        assert_same_loss(found, on_logits(hidden, weight, y, link=link), [hidden, weight])


@pytest.mark.filterwarnings("ignore:Converting a tensor")  # where the link is checked at a few numbers
@each_strategy
def test_gradients_flow_to_a_tensor_that_a_link_holds(budget):
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    link = ce.links.Custom(lambda D: scale * softplus(D), lambda D: scale * torch.ones_like(D))
    hidden, weight, y = head(N, D, V)
    for options in ({}, {"label_smoothing": 0.1}):
        options |= {"link": link}
        with blocks_of(4):
            found = ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget, **options)
            assert_same_loss(found, on_logits(hidden, weight, y, **options), [hidden, weight, scale])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(drawn=heads())
def test_any_head_with_any_options_in_any_blocks(drawn):
    assert_as_on_logits(drawn)
