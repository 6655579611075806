"""Losses over sampled classes: corrections, accidental hits, reductions."""

import numpy as np
import pytest
from scipy.special import log_expit, logsumexp

import crossentropy as ce
from crossentropy.losses.sampling import nce_loss, negative_sampling_loss, sampled_softmax_loss
from losses.catalogue.libraries import Library

each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])

RNG = np.random.default_rng(8)
Z = RNG.normal(size=(5, 7))
Y = np.array([2, 0, 6, 2, 5])
OWN = Z[np.arange(5), Y]
SAMPLED = np.array([1, 2, 4])
REST = Z[:, SAMPLED]
LOG_Q = np.log(3 * RNG.dirichlet(np.ones(7)))  # of three draws
WEIGHTS = np.array([0.5, 2.0, 1.25, 3.0, 0.75])
EXPECTED = {"target_log_expected": LOG_Q[Y], "sampled_log_expected": LOG_Q[SAMPLED]}


def value(library, loss, *arrays, **options):
    lib = Library(library)
    with lib():
        return lib.numpy(loss(*map(lib.array, arrays), **{n: lib.array(x) for n, x in options.items()}))


def softmax_rows(own, rest):
    return logsumexp(np.concatenate([own[:, None], rest], axis=1), axis=1) - own


@each_library
def test_a_sample_of_all_other_classes_is_the_softmax_itself(library):
    """Every class is in it once: ln Q = 0. The label's own place is an accidental hit."""
    found = value(library, sampled_softmax_loss, OWN, Z, labels=Y, sampled=np.arange(7), reduction="none")
    np.testing.assert_allclose(found, ce.softmax_cross_entropy(Z, Y, reduction="none"), rtol=1e-13)


@each_library
def test_log_expected_counts_are_taken_off_the_logits(library):
    rows = softmax_rows(OWN - LOG_Q[Y], REST - LOG_Q[SAMPLED])
    np.testing.assert_allclose(
        value(library, sampled_softmax_loss, OWN, REST, reduction="none", **EXPECTED), rows, rtol=1e-13
    )
    # as often drawn again, nothing changes for a softmax
    more = {name: x + np.log(2) for name, x in EXPECTED.items()}
    np.testing.assert_allclose(
        value(library, sampled_softmax_loss, OWN, REST, reduction="none", **more), rows, rtol=1e-13
    )
    weighted = value(library, sampled_softmax_loss, OWN, REST, sample_weight=WEIGHTS, **EXPECTED)
    assert weighted == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS), rel=1e-13)


@each_library
def test_accidental_hits_are_left_out_where_labels_are_given(library):
    hit = Y[:, None] == SAMPLED
    kept = softmax_rows(OWN, np.where(hit, -np.inf, REST))
    found = value(library, sampled_softmax_loss, OWN, REST, labels=Y, sampled=SAMPLED, reduction="none")
    np.testing.assert_allclose(found, kept, rtol=1e-13)
    found = value(library, sampled_softmax_loss, OWN, REST, reduction="none")
    np.testing.assert_allclose(found, softmax_rows(OWN, REST), rtol=1e-13)
    asked = -log_expit(OWN) - np.sum(np.where(hit, 0, log_expit(-REST)), axis=1)
    for loss in (nce_loss, negative_sampling_loss):
        found = value(library, loss, OWN, REST, labels=Y, sampled=SAMPLED, reduction="none")
        np.testing.assert_allclose(found, asked, rtol=1e-13)


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss])
def test_an_accidental_hit_has_no_gradient_even_if_nothing_else_is_left(library, loss):
    lib = Library(library)
    with lib():
        y, sampled = lib.array(np.array([3])), lib.array(np.array([3, 3]))
        run = lambda a, b: loss(a, b, labels=y, sampled=sampled)  # noqa: E731
        a, b = lib.array(np.array([0.5])), lib.array(np.array([[0.5, 0.5]]))
        if library == "torch":
            a.requires_grad_(), b.requires_grad_()
            of_own, of_rest = lib.xp.autograd.grad(run(a, b), (a, b))
        else:
            of_own, of_rest = pytest.importorskip("jax").grad(run, argnums=(0, 1))(a, b)
    assert (lib.numpy(of_rest) == 0).all()
    expected = 0.0 if loss is sampled_softmax_loss else -1 / (1 + np.exp(0.5))
    np.testing.assert_allclose(lib.numpy(of_own), expected, rtol=1e-14)


@each_library
def test_every_row_may_have_a_sample_of_its_own(library):
    sampled = np.array([[1, 2], [0, 3], [6, 6], [4, 5], [0, 1]])
    rest = np.take_along_axis(Z, sampled, axis=1)
    u = np.where(sampled == Y[:, None], -np.inf, rest - LOG_Q[sampled])
    found = value(
        library,
        sampled_softmax_loss,
        OWN,
        rest,
        target_log_expected=LOG_Q[Y],
        sampled_log_expected=LOG_Q[sampled],
        labels=Y,
        sampled=sampled,
        reduction="none",
    )
    np.testing.assert_allclose(found, softmax_rows(OWN - LOG_Q[Y], u), rtol=1e-13, atol=1e-15)


@each_library
def test_nce_sums_over_the_sample_and_averages_rows(library):
    """TensorFlow returns the sums; a mean over the elements would be S + 1 times smaller."""
    rows = -log_expit(OWN - LOG_Q[Y]) - np.sum(log_expit(-(REST - LOG_Q[SAMPLED])), axis=1)
    given = (OWN, REST, LOG_Q[Y], LOG_Q[SAMPLED])
    np.testing.assert_allclose(value(library, nce_loss, *given, reduction="none"), rows, rtol=1e-13)
    assert value(library, nce_loss, *given) == pytest.approx(rows.mean(), rel=1e-13)
    assert value(library, nce_loss, *given, reduction="sum") == pytest.approx(rows.sum(), rel=1e-13)
    weighted = value(library, nce_loss, *given, sample_weight=WEIGHTS)
    assert weighted == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS), rel=1e-13)
    counted = value(library, nce_loss, *given, sample_weight=WEIGHTS, normalizer="count")
    assert counted == pytest.approx(np.mean(WEIGHTS * rows), rel=1e-13)


@each_library
def test_negative_sampling_is_nce_without_its_correction(library):
    rows = -log_expit(OWN) - np.sum(log_expit(-REST), axis=1)
    assert value(library, negative_sampling_loss, OWN, REST) == pytest.approx(rows.mean(), rel=1e-13)
    found = value(library, negative_sampling_loss, OWN, REST, sample_weight=WEIGHTS, reduction="sum")
    assert found == pytest.approx(np.sum(WEIGHTS * rows), rel=1e-13)


def test_nce_is_least_where_logits_are_log_probabilities_of_the_data():
    """In expectation over data p and noise q, k draws: the derivative by every logit is 0 at z = ln p."""
    p, q, k = RNG.dirichlet(np.ones(4)), RNG.dirichlet(np.ones(4)), 5
    z, log_expected = np.log(p), np.log(k * q)
    share = 1 / (1 + np.exp(-(z - log_expected)))
    np.testing.assert_allclose(p * (1 - share), k * q * share, rtol=1e-13)  # the paper's balance
    torch = pytest.importorskip("torch")
    at = torch.from_numpy(z).requires_grad_()
    log_expected, never, always = (
        torch.from_numpy(log_expected),
        at.new_full((4, 1), -1e4),
        at.new_full((4,), 1e4),
    )
    # class c as the label with weight p_c, and as each of k noise classes with weight q_c
    of_data, of_noise = torch.from_numpy(p), torch.from_numpy(k * q)
    data = nce_loss(at, never, log_expected, sample_weight=of_data, reduction="sum")
    noise = nce_loss(always, at[:, None], 0.0, log_expected[:, None], sample_weight=of_noise, reduction="sum")
    (slope,) = torch.autograd.grad(data + noise, at)
    np.testing.assert_allclose(slope.numpy(), 0, atol=1e-15)


@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss])
def test_the_derivative_is_that_of_the_formula(loss):
    torch = pytest.importorskip("torch")
    own, rest = (torch.from_numpy(x.copy()).requires_grad_() for x in (OWN, REST))
    given = {name: torch.from_numpy(x) for name, x in EXPECTED.items()}
    given |= {"labels": torch.from_numpy(Y), "sampled": torch.from_numpy(SAMPLED)}
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, **given), (own, rest))
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, reduction="none", **given), (own, rest))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss])
def test_half_precision_logits_are_corrected_in_float32(dtype, loss):
    torch = pytest.importorskip("torch")
    own, rest = (torch.from_numpy(x).to(getattr(torch, dtype)) for x in (OWN, REST))
    given = {name: torch.from_numpy(x) for name, x in EXPECTED.items()}
    found = loss(own, rest, **given)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(own.double(), rest.double(), **given).item(), rel=1e-6)


@each_library
def test_rows_without_weight_count_nothing_whatever_they_hold(library):
    own, rest, weights = OWN.copy(), REST.copy(), WEIGHTS.copy()
    own[1], rest[1], weights[1] = np.nan, np.inf, 0
    for loss, rows in (
        (sampled_softmax_loss, softmax_rows(OWN, REST)),
        (nce_loss, -log_expit(OWN) - np.sum(log_expit(-REST), axis=1)),
    ):
        found = value(library, loss, own, rest, sample_weight=weights)
        assert found == pytest.approx(np.sum(weights * rows) / np.sum(weights), rel=1e-13)


@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss, negative_sampling_loss])
def test_arguments_that_do_not_fit_are_refused_with_what_was_passed(loss):
    with pytest.raises(ValueError, match=r"\(5,\).*\(4, 3\)"):
        loss(OWN, REST[:4])
    with pytest.raises(ValueError, match="both labels and sampled"):
        loss(OWN, REST, labels=Y)
    with pytest.raises(ValueError, match=r"sampled \(2,\)"):
        loss(OWN, REST, labels=Y, sampled=SAMPLED[:2])
    with pytest.raises(TypeError, match="floating-point"):
        loss(Y, REST)


@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss])
def test_expected_counts_of_another_shape_are_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"^target_log_expected has shape \(5, 1\)"):
        loss(OWN, REST, target_log_expected=LOG_Q[Y][:, None])
    with pytest.raises(ValueError, match=r"^sampled_log_expected has shape \(5, 1\)"):
        loss(OWN, REST, sampled_log_expected=LOG_Q[Y][:, None])


@pytest.mark.full
def test_compiled_losses_are_those_of_eager_calls():
    jax = pytest.importorskip("jax")
    own, rest = (jax.numpy.asarray(x, "float32") for x in (OWN, REST))
    y, sampled = jax.numpy.asarray(Y), jax.numpy.asarray(SAMPLED)
    for loss in (sampled_softmax_loss, nce_loss, negative_sampling_loss):
        run = lambda a, b, y, s, loss=loss: loss(a, b, labels=y, sampled=s, sample_weight=a**2)  # noqa: E731
        np.testing.assert_allclose(jax.jit(run)(own, rest, y, sampled), run(own, rest, y, sampled), rtol=1e-6)


@pytest.mark.parametrize("loss", [sampled_softmax_loss, nce_loss])
def test_the_expected_counts_are_differentiable(loss):
    """They are taken off the logits: the slope by ``ln Q_y`` is ``1 − p`` of the label among the candidates."""
    torch = pytest.importorskip("torch")
    expected = {name: torch.from_numpy(x).requires_grad_() for name, x in EXPECTED.items()}
    loss(torch.from_numpy(OWN), torch.from_numpy(REST), reduction="sum", **expected).backward()
    own, rest = OWN - EXPECTED["target_log_expected"], REST - EXPECTED["sampled_log_expected"]
    if loss is nce_loss:
        slopes, others = np.exp(log_expit(-own)), -np.exp(log_expit(rest))
    else:
        total = logsumexp(np.concatenate([own[:, None], rest], axis=1), axis=1)
        slopes, others = 1 - np.exp(own - total), -np.exp(rest - total[:, None])
    np.testing.assert_allclose(expected["target_log_expected"].grad, slopes, rtol=1e-12)
    np.testing.assert_allclose(expected["sampled_log_expected"].grad, others.sum(axis=0), rtol=1e-12)
