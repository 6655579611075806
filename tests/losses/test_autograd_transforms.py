"""Higher derivatives and `torch.func`: every transform gives what eager differentiation gives."""

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")
func = pytest.importorskip("torch.func")

ROWS, CLASSES = 4, 3
LABELS = torch.tensor([0, 2, -1, 1])
rng = np.random.default_rng(0)
SOFT = torch.tensor(rng.dirichlet(np.ones(CLASSES), size=ROWS))
WEIGHT = torch.tensor(rng.uniform(0.5, 2, size=CLASSES))
ROW_WEIGHT = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64)
PAIR = ce.targets.Sparse(torch.tensor([[0, 1], [2, 2], [1, 0], [1, 2]]), SOFT[:, :2].clone())

LOSSES = {
    "plain": (LABELS, {"ignore_index": -1}),
    "focal": (LABELS, {"ignore_index": -1, "link": ce.links.Focal(1.5)}),
    "smoothed": (LABELS, {"ignore_index": -1, "label_smoothing": 0.1, "class_weight": WEIGHT}),
    "transformed": (LABELS % 3, {"temperature": 0.7, "softcap": 9.0, "logit_bias": WEIGHT, "margin": 0.3}),
    "regularized": (LABELS % 3, {"z_loss": 0.05, "entropy_bonus": 0.1, "sample_weight": ROW_WEIGHT}),
    "soft": (SOFT, {"class_weight": WEIGHT}),
    "soft focal": (SOFT, {"link": ce.links.Focal(2.0)}),
    "pairs": (PAIR, {"label_smoothing": 0.1}),
    "set": (ce.targets.LabelSet(SOFT > 0.3), {"link": ce.links.Focal(2.0)}),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def logits(scale=1.0):
    torch.manual_seed(0)
    return (scale * torch.randn(ROWS, CLASSES, dtype=torch.float64)).requires_grad_()


def loss_of(name, **changes):
    labels, options = LOSSES[name]
    return lambda z: ce.softmax_cross_entropy(z, labels, **{**options, **changes})


def eager(name, z, **changes):
    z = z.detach().requires_grad_()
    value = loss_of(name, **changes)(z)
    return value.detach(), torch.autograd.grad(value.sum(), z)[0]


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivatives_are_right(name, reduction):
    assert torch.autograd.gradgradcheck(loss_of(name, reduction=reduction), logits())


@every_loss
def test_forward_mode_derivatives_are_right(name):
    assert torch.autograd.gradcheck(
        loss_of(name),
        logits(),
        check_forward_ad=True,
        check_backward_ad=False,
        check_batched_forward_grad=False,
    )


@pytest.mark.parametrize("learned", ["temperature", "logit_bias", "margin", "sample_weight", "soft"])
def test_second_derivatives_by_what_is_learned_are_right(learned):
    value = (
        {
            "temperature": torch.tensor(0.8),
            "logit_bias": torch.randn(CLASSES),
            "margin": torch.rand(CLASSES),
            "sample_weight": torch.rand(ROWS) + 0.5,
            "soft": SOFT,
        }[learned]
        .double()
        .clone()
        .requires_grad_()
    )

    def loss(z, x):
        if learned == "soft":
            return ce.softmax_cross_entropy(z, ce.targets.Probabilities(x, normalized=False))
        return ce.softmax_cross_entropy(z, LABELS, ignore_index=-1, **{learned: x})

    assert torch.autograd.gradcheck(loss, (logits(), value))
    assert torch.autograd.gradgradcheck(loss, (logits(), value))


@every_loss
def test_a_gradient_with_a_graph_is_that_of_one_without(name):
    z = logits()
    (with_graph,) = torch.autograd.grad(loss_of(name)(z), z, create_graph=True)
    close(with_graph.detach(), eager(name, z)[1])


@every_loss
def test_func_grad_is_the_gradient(name):
    gradient, value = func.grad_and_value(loss_of(name))(logits().detach())
    expected = eager(name, logits())
    close(value, expected[0])
    close(gradient, expected[1])


@every_loss
def test_jvp_is_the_gradient_along_a_direction(name):
    z, direction = logits().detach(), torch.randn(ROWS, CLASSES, dtype=torch.float64)
    value, slope = func.jvp(loss_of(name), (z,), (direction,))
    expected = eager(name, z)
    close(value, expected[0])
    close(slope, (expected[1] * direction).sum())


@every_loss
def test_vmap_over_batches_is_a_loop(name):
    batches = torch.stack([logits(s).detach() for s in (0.5, 1.0, 2.0)])
    values = func.vmap(loss_of(name))(batches)
    gradients = func.vmap(func.grad(loss_of(name)))(batches)
    for z, value, gradient in zip(batches, values, gradients, strict=True):
        expected = eager(name, z)
        close(value, expected[0])
        close(gradient, expected[1])


def test_vmap_over_labels_and_weights_gives_one_loss_for_each_example():
    z, weight = logits(), torch.rand(ROWS, dtype=torch.float64)

    def loss(row, label, w):
        return ce.softmax_cross_entropy(row, label, ignore_index=-1, sample_weight=w, reduction="none")

    got = func.vmap(loss)(z, LABELS, weight)
    close(got, ce.softmax_cross_entropy(z, LABELS, ignore_index=-1, sample_weight=weight, reduction="none"))


@every_loss
def test_the_hessian_is_the_jacobian_of_the_gradient(name):
    z = logits().detach()
    hessian = func.hessian(loss_of(name))(z)
    backward = func.jacrev(func.jacrev(loss_of(name)))(z)
    close(hessian, backward)
    h = 1e-5
    step = torch.zeros_like(z)
    step[1, 2] = h
    numeric = (eager(name, z + step)[1] - eager(name, z - step)[1]) / (2 * h)
    torch.testing.assert_close(hessian[:, :, 1, 2], numeric, rtol=1e-7, atol=1e-9)


@every_loss
def test_batched_gradients_are_gradients(name):
    z = logits()
    losses = loss_of(name, reduction="none")(z)
    (batched,) = torch.autograd.grad(
        losses, z, torch.eye(ROWS, dtype=torch.float64), is_grads_batched=True, retain_graph=True
    )
    for i in range(ROWS):
        close(batched[i], torch.autograd.grad(losses[i], z, retain_graph=True)[0])


@pytest.mark.parametrize("field", ["log_prob", "prob", "log_odds", "logsumexp", "entropy"])
def test_statistics_have_derivatives_of_both_orders_and_under_transforms(field):
    def statistic(z):
        return getattr(ce.target_statistics(z, LABELS % 3, entropy=True, temperature=0.7), field)

    z = logits()
    assert torch.autograd.gradcheck(statistic, z)
    assert torch.autograd.gradgradcheck(statistic, z)
    close(
        func.vmap(func.grad(lambda x: statistic(x).sum()))(z[None])[0],
        torch.autograd.grad(statistic(z).sum(), z)[0],
    )
    close(func.jacfwd(statistic)(z.detach()), func.jacrev(statistic)(z.detach()))


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])
def test_second_derivatives_of_confident_rows_are_p_times_one_minus_p(scale):
    """Also where p is 1 to every digit that a float holds."""
    z = torch.tensor([[scale, 0.0]], dtype=torch.float64, requires_grad=True)
    value = ce.softmax_cross_entropy(z, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(value, z, create_graph=True)
    (second,) = torch.autograd.grad(gradient[0, 0], z)
    miss = np.exp(-scale) / (1 + np.exp(-scale))
    expected = miss * (1 - miss)
    np.testing.assert_allclose(second.numpy(), [[expected, -expected]], rtol=1e-12)


def test_masked_classes_have_second_derivatives_of_zero():
    z = logits().detach().clone()
    z[:, 0] = -torch.inf
    z.requires_grad_()
    value = ce.softmax_cross_entropy(z, torch.tensor([1, 2, 1, 2]))
    (gradient,) = torch.autograd.grad(value, z, create_graph=True)
    (second,) = torch.autograd.grad((gradient[:, 1:] ** 2).sum(), z)
    assert torch.isfinite(second).all()
    assert (second[:, 0] == 0).all()
    few = z[:, 1:].detach().requires_grad_()
    (slope,) = torch.autograd.grad(
        ce.softmax_cross_entropy(few, torch.tensor([0, 1, 0, 1])), few, create_graph=True
    )
    close(second[:, 1:], torch.autograd.grad((slope**2).sum(), few)[0])


@pytest.mark.parametrize("offset", [1e6, 1e30])
@pytest.mark.parametrize("transform", ["vmap", "jvp", "double backward"])
def test_rows_far_from_zero_keep_their_digits_under_transforms_too(transform, offset):
    z = torch.tensor([[offset, offset, offset], [offset, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0])

    def loss(x):
        return ce.softmax_cross_entropy(x, labels, reduction="none")

    if transform == "vmap":
        value = func.vmap(loss)(z[None])[0]
    elif transform == "jvp":
        value, _ = func.jvp(loss, (z,), (torch.ones_like(z),))
    else:
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(z).sum(), z, create_graph=True)
        torch.testing.assert_close(
            gradient[0].detach(), torch.tensor([-2 / 3, 1 / 3, 1 / 3], dtype=torch.float64)
        )
        return
    torch.testing.assert_close(
        value, torch.tensor([np.log(3.0), 0.0], dtype=torch.float64), rtol=1e-15, atol=0
    )
