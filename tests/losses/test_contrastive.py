"""Losses over similarities: denominators, anchors without positives, scales, and what peers get wrong."""

import math
import warnings

import numpy as np
import pytest
from scipy.special import log_expit, logsumexp

from crossentropy.losses.contrastive import info_nce, nt_xent, supervised_contrastive
from crossentropy.losses.image_text import clip_loss, siglip_loss
from losses.catalogue.libraries import Library

each_library = pytest.mark.parametrize("library", ["numpy", "torch", "jax"])

RNG = np.random.default_rng(5)
A, B = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3))
GROUPS = np.array([0, 1, 0, 2, 1, 0])  # the anchor of label 2 has no positive
WEIGHTS = np.array([0.5, 2.0, 1.25, 3.0, 0.75, 1.5])
E1 = np.eye(3)[:1]


def value(library, loss, *arrays, **options):
    lib = Library(library)
    with lib():
        return lib.numpy(loss(*map(lib.array, arrays), **{n: lib.array(x) for n, x in options.items()}))


def slopes(library, loss, *arrays):
    """Gradients of a loss by its arrays."""
    lib = Library(library)
    with lib():
        at = [lib.array(x) for x in arrays]
        if library == "torch":
            at = [x.requires_grad_() for x in at]
            found = lib.xp.autograd.grad(loss(*at).sum(), at)
        else:
            jax = pytest.importorskip("jax")
            found = jax.jit(jax.grad(lambda *x: loss(*x).sum(), argnums=tuple(range(len(at)))))(*at)
        return [lib.numpy(x) for x in found]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def grouped(z, groups, temperature, denominator="all", variant="out"):
    """Rows by their definition, an anchor and a positive at a time; None where there is no positive."""
    s = unit(z) @ unit(z).T / temperature
    rows = []
    for i in range(len(z)):
        positives = [p for p in range(len(z)) if p != i and groups[p] == groups[i]]
        negatives = [k for k in range(len(z)) if groups[k] != groups[i]]
        if not positives:
            rows.append(None)
        elif variant == "in":
            whole = logsumexp(s[i, [k for k in range(len(z)) if k != i]])
            rows.append(-np.log(np.mean(np.exp(s[i, positives] - whole))))
        elif denominator == "all":
            whole = logsumexp(s[i, [k for k in range(len(z)) if k != i]])
            rows.append(-np.mean(s[i, positives] - whole))
        else:
            rows.append(-np.mean([s[i, p] - logsumexp([s[i, p], *s[i, negatives]]) for p in positives]))
    return rows


def mean(rows):
    return np.mean([row for row in rows if row is not None])


NUMBER = np.array([np.sum(g == GROUPS) - 1 for g in GROUPS])  # of positives

# ------------------------------------------------------------------------------------------ denominators


@pytest.mark.parametrize("denominator", ["all", "negatives"])
@each_library
def test_several_positives_stand_among_everything_or_among_the_negatives(library, denominator):
    options = {"temperature": 0.3, "denominator": denominator}
    rows = grouped(A, GROUPS, 0.3, denominator)
    found = value(library, supervised_contrastive, A, GROUPS, reduction="none", **options)
    np.testing.assert_allclose(found, [row or 0.0 for row in rows], rtol=1e-12)
    assert value(library, supervised_contrastive, A, GROUPS, **options) == pytest.approx(
        mean(rows), rel=1e-12
    )
    both = grouped(np.concatenate([A, B]), np.tile(GROUPS, 2), 0.3, denominator)
    assert value(library, nt_xent, A, B, labels=GROUPS, **options) == pytest.approx(mean(both), rel=1e-12)


@each_library
def test_of_one_positive_each_both_denominators_are_simclrs(library):
    truth = mean(grouped(np.concatenate([A, B]), np.tile(np.arange(6), 2), 0.5))
    for options in ({}, {"denominator": "negatives"}, {"labels": np.arange(6)}):
        assert value(library, nt_xent, A, B, **options) == pytest.approx(truth, rel=1e-12)


def test_optax_ntxent_is_ours_by_pairs_against_negatives():
    """optax and pytorch-metric-learning average over pairs: anchors weigh as many as they have positives."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    with jax.enable_x64(True):
        peer = optax.losses.ntxent(jax.numpy.asarray(A), jax.numpy.asarray(GROUPS), temperature=0.3)
    found = supervised_contrastive(
        A, GROUPS, temperature=0.3, denominator="negatives", sample_weight=NUMBER.astype(float)
    )
    assert found == pytest.approx(float(peer), rel=1e-12)


def test_in_and_out_agree_on_one_positive_and_in_is_never_larger():
    one = np.array([0, 0, 1, 1, 2, 2])
    for groups in (one, GROUPS):
        out = supervised_contrastive(A, groups, temperature=0.3, reduction="none")
        inside = supervised_contrastive(A, groups, temperature=0.3, reduction="none", variant="in")
        expected = grouped(A, groups, 0.3, variant="in")
        np.testing.assert_allclose(inside, [row or 0.0 for row in expected], rtol=1e-12)
        assert (inside <= out + 1e-12).all()
        if groups is one:
            np.testing.assert_allclose(inside, out, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"variant": "in"}, {"denominator": "negatives"}])
def test_the_derivative_is_that_of_the_formula(options):
    torch = pytest.importorskip("torch")
    groups, T = torch.from_numpy(GROUPS), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    a, b = (torch.from_numpy(x.copy()).requires_grad_() for x in (A, B))
    for base in (None, 0.07):
        assert torch.autograd.gradcheck(
            lambda a, T, base=base: supervised_contrastive(
                a, groups, temperature=T, base_temperature=base, reduction="none", **options
            ),
            (a, T),
        )
    if "variant" not in options:
        assert torch.autograd.gradcheck(
            lambda a, b, T: nt_xent(a, b, temperature=T, labels=groups, **options), (a, b, T)
        )
        assert torch.autograd.gradcheck(lambda a, b, T: nt_xent(a, b, temperature=T, **options), (a, b, T))


@each_library
def test_the_anchor_is_no_class_of_its_own(library):
    """Its product with itself, here by far the largest, changes nothing, and has no gradient."""
    z = np.array([[30.0, 0.0], [1.0, 0.5], [0.25, 2.0]])
    groups = np.array([0, 0, 1])
    s = z @ z.T
    rows = [np.logaddexp(0, s[0, 2] - s[0, 1]), np.logaddexp(0, s[1, 2] - s[1, 0]), 0.0]
    options = {"temperature": 1.0, "normalize": False, "reduction": "none"}
    found = value(library, supervised_contrastive, z, groups, **options)
    np.testing.assert_allclose(found, rows, rtol=1e-12)
    if library != "numpy":
        lib = Library(library)
        (gradient,) = slopes(library, lambda x: supervised_contrastive(x, lib.array(groups), **options)[0], z)
        share = 1 / (1 + np.exp(s[0, 1] - s[0, 2]))
        np.testing.assert_allclose(gradient[0], share * (z[2] - z[1]), rtol=1e-10, atol=1e-16)


# ----------------------------------------------------------------------------- anchors without positives


@pytest.mark.parametrize("variant", ["out", "in"])
@each_library
def test_anchors_without_positives_are_in_neither_numerator_nor_count(library, variant):
    """SupContrast's first code was NaN of them; patched, it still divides by all anchors."""
    rows = grouped(A, GROUPS, 0.2, variant=variant)
    kept = np.array([row is not None for row in rows])
    rows = np.array([row or 0.0 for row in rows])
    given = {"temperature": 0.2, "variant": variant}
    found = value(library, supervised_contrastive, A, GROUPS, **given)
    assert found == pytest.approx(rows.sum() / 5, rel=1e-12)
    found = value(library, supervised_contrastive, A, GROUPS, sample_weight=WEIGHTS, **given)
    assert found == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS * kept), rel=1e-12)
    counted = value(
        library, supervised_contrastive, A, GROUPS, sample_weight=WEIGHTS, normalizer="count", **given
    )
    assert counted == pytest.approx(np.sum(WEIGHTS * rows) / 5, rel=1e-12)
    found = value(library, supervised_contrastive, A, GROUPS, normalizer=6.0, **given)
    assert found == pytest.approx(rows.sum() / 6, rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"variant": "in"}, {"denominator": "negatives"}])
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_batch_without_any_positive_costs_nothing(library, options):
    """optax: 0/0, NaN."""
    lib, singletons = Library(library), np.arange(6)
    assert value(library, supervised_contrastive, A, singletons, **options) == 0
    (gradient,) = slopes(library, lambda z: supervised_contrastive(z, lib.array(singletons), **options), A)
    assert (gradient == 0).all()
    with pytest.raises(ValueError, match="nothing to average"):
        value(library, supervised_contrastive, A, singletons, empty="raise", **options)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_an_anchor_without_negatives_is_right_at_once(library):
    """Against the negatives alone there is nothing to be told from: 0, and no NaN in any gradient."""
    lib, same = Library(library), np.zeros(6, dtype=int)
    loss = lambda z, T: supervised_contrastive(  # noqa: E731
        z, lib.array(same), temperature=T, denominator="negatives"
    )
    T = np.array(0.5)
    assert value(library, loss, A, T) == 0
    assert all((slope == 0).all() for slope in slopes(library, loss, A, T))


# -------------------------------------------------------------------------------------------- features


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_zero_vector_is_at_right_angles_to_all_and_has_a_finite_gradient(library):
    z, w = A.copy(), B.copy()
    z[2] = w[3] = 0
    lib = Library(library)
    for loss in (
        info_nce,
        nt_xent,
        lambda z, w: supervised_contrastive(z, lib.array(GROUPS)),
        lambda z, w: clip_loss(z, w, scale=10.0),
        lambda z, w: siglip_loss(z, w, scale=10.0, bias=-10.0),
    ):
        assert np.isfinite(value(library, loss, z, w))
        if loss in (info_nce, nt_xent):
            assert all(np.isfinite(x).all() for x in slopes(library, loss, z, w))
        else:
            assert np.isfinite(slopes(library, lambda z, loss=loss: loss(z, lib.array(w)), z)[0]).all()
    rows = value(library, info_nce, z, w, reduction="none")
    assert rows[2] == pytest.approx(math.log(6), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_features_are_widened_before_their_norms(dtype):
    """lightly#1259: squares of 1e-4 are 0 in float16, and an epsilon of 1e-8 too: NaN. Products are summed wide."""
    torch = pytest.importorskip("torch")
    a, b = (torch.from_numpy(1e-4 * x).to(getattr(torch, dtype)) for x in (A, B))
    found = nt_xent(a.requires_grad_(), b)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(nt_xent(a.detach().double(), b.double()).item(), rel=1e-5)
    found.backward()
    assert torch.isfinite(a.grad).all()


def test_features_may_be_taken_as_they_are():
    s = A @ B.T / 0.7
    expected = np.mean(logsumexp(s, axis=1) - np.diag(s))
    assert info_nce(A, B, temperature=0.7, normalize=False) == pytest.approx(expected, rel=1e-13)


def test_perfect_features_are_not_taken_for_probabilities():
    """Their cosines are rows of the identity, in [0, 1] with a sum of 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for T in (1.0, 0.1):
            info_nce(np.eye(4), np.eye(4), temperature=T)
        clip_loss(np.eye(4), np.eye(4), scale=1.0)
        torch = pytest.importorskip("torch")
        info_nce(torch.eye(4), torch.eye(4), temperature=1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_library
def test_pairs_that_agree_by_far_keep_the_digits_of_their_loss(library, dtype):
    lib = Library(library, dtype)
    twice, groups = np.vstack([np.eye(3)] * 2), np.tile(np.arange(3), 2)
    with lib():
        z = lib.array(np.eye(3))
        found = [
            lib.numpy(info_nce(z, z, temperature=0.025)),
            lib.numpy(clip_loss(z, z, scale=40.0)),
            lib.numpy(supervised_contrastive(lib.array(twice), lib.array(groups), temperature=0.025)),
        ]
    expected = np.log1p(np.array([2, 2, 4]) * np.exp(-40))
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


# --------------------------------------------------------------------------------------------- info_nce


@each_library
def test_negatives_are_everyones_or_each_querys_own(library):
    shared = RNG.normal(size=(4, 3))
    own = np.broadcast_to(shared, (6, 4, 3)).copy()
    own[2] = -own[2]
    rows = []
    for i in range(6):
        s = [unit(A)[i] @ unit(B)[i], *(unit(own[i]) @ unit(A)[i])]
        rows.append(logsumexp(np.array(s) / 0.1) - s[0] / 0.1)
    found = value(library, info_nce, A, B, negatives=own, reduction="none")
    np.testing.assert_allclose(found, rows, rtol=1e-11)
    found = value(library, info_nce, A, B, negatives=shared, reduction="none")
    np.testing.assert_allclose(np.delete(found, 2), np.delete(rows, 2), rtol=1e-11)


def test_info_nce_has_the_derivative_of_its_formula_by_everything():
    torch = pytest.importorskip("torch")
    a, b = (torch.from_numpy(x.copy()).requires_grad_() for x in (A, B))
    T = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    for shape in ((4, 3), (6, 4, 3)):
        n = torch.from_numpy(RNG.normal(size=shape)).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda a, b, n, T: info_nce(a, b, negatives=n, temperature=T, reduction="none"), (a, b, n, T)
        )
    assert torch.autograd.gradcheck(lambda a, b, T: info_nce(a, b, temperature=T), (a, b, T))
    assert torch.autograd.gradgradcheck(lambda a, b: info_nce(a, b, temperature=0.5), (a, b))


# ---------------------------------------------------------------------------------------- CLIP and SigLIP


@each_library
def test_clip_averages_both_directions_and_its_scale_is_no_logarithm(library):
    s = 14.0 * unit(A) @ unit(B).T
    rows = (logsumexp(s, axis=1) + logsumexp(s, axis=0)) / 2 - np.diag(s)
    np.testing.assert_allclose(
        value(library, clip_loss, A, B, scale=14.0, reduction="none"), rows, rtol=1e-11
    )
    for scale in (14.0, np.array(14.0)):
        assert value(library, clip_loss, A, B, scale=scale) == pytest.approx(rows.mean(), rel=1e-12)
    found = value(library, clip_loss, A, B, scale=14.0, sample_weight=WEIGHTS)
    assert found == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS), rel=1e-12)
    assert value(library, clip_loss, B, A, scale=14.0) == pytest.approx(rows.mean(), rel=1e-12)


def test_clips_scale_is_learnt_through_its_exponential_and_is_not_clamped():
    torch = pytest.importorskip("torch")
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    log_scale = torch.tensor(math.log(500.0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: clip_loss(a, b, scale=t.exp()), log_scale)
    s = 500 * unit(A) @ unit(B).T
    expected = np.mean((logsumexp(s, axis=1) + logsumexp(s, axis=0)) / 2 - np.diag(s))
    assert clip_loss(A, B, scale=500.0) == pytest.approx(expected, rel=1e-12)


@each_library
def test_siglip_sums_every_pair_and_divides_by_the_number_of_images(library):
    u = 10.0 * unit(A) @ unit(B).T - 10.0
    sign = 2 * np.eye(6) - 1
    rows = -log_expit(sign * u).sum(axis=1)
    given = {"scale": 10.0, "bias": -10.0}
    np.testing.assert_allclose(value(library, siglip_loss, A, B, reduction="none", **given), rows, rtol=1e-12)
    assert value(library, siglip_loss, A, B, **given) == pytest.approx(rows.sum() / 6, rel=1e-12)
    assert value(library, siglip_loss, A, B, reduction="sum", **given) == pytest.approx(rows.sum(), rel=1e-12)
    found = value(library, siglip_loss, A, B, sample_weight=WEIGHTS, **given)
    assert found == pytest.approx(np.sum(WEIGHTS * rows) / np.sum(WEIGHTS), rel=1e-12)
    # the identity that lets it be computed in pieces: Σ softplus(u), less the diagonal
    assert rows.sum() == pytest.approx(np.sum(np.logaddexp(0, u)) - np.trace(u), rel=1e-12)


def test_siglip_has_the_derivative_of_its_formula_by_everything():
    torch = pytest.importorskip("torch")
    a, b = (torch.from_numpy(x.copy()).requires_grad_() for x in (A, B))
    scale, bias = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (10.0, -10.0))
    assert torch.autograd.gradcheck(
        lambda a, b, s, t: siglip_loss(a, b, scale=s, bias=t), (a, b, scale, bias)
    )


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf")])
def test_a_scale_that_is_not_positive_is_refused_by_its_name(scale):
    with pytest.raises(ValueError, match=r"^scale is"):
        clip_loss(A, B, scale=scale)


def test_arguments_that_do_not_fit_are_refused_with_what_was_passed():
    for loss in (info_nce, nt_xent):
        with pytest.raises(ValueError, match=r"\(6, 3\).*\(5, 3\)"):
            loss(A, B[:5])
        with pytest.raises(TypeError, match="have dtype int64; pass floating-point"):
            loss(np.ones((2, 2), int), np.ones((2, 2)))
        with pytest.raises(ValueError, match="one feature vector in each row"):
            loss(A[0], B[0])
        with pytest.raises(ValueError, match="temperature is 0"):
            loss(A, B, temperature=0)
        with pytest.raises(ValueError, match="temperature has shape"):
            loss(A, B, temperature=np.ones(6))
    with pytest.raises(ValueError, match="one label for each row"):
        supervised_contrastive(A, GROUPS[:5])
    with pytest.raises(ValueError, match='"out" or "in"'):
        supervised_contrastive(A, GROUPS, variant="mean")
    with pytest.raises(ValueError, match='"all" or "negatives"'):
        nt_xent(A, B, denominator="positives")
    with pytest.raises(ValueError, match="base_temperature"):
        supervised_contrastive(A, GROUPS, base_temperature=0.0)
    with pytest.raises(ValueError, match="negatives have shape"):
        info_nce(A, B, negatives=np.ones((4, 2)))


@pytest.mark.full
def test_compiled_losses_are_those_of_eager_calls():
    jax = pytest.importorskip("jax")
    a, b, g = (jax.numpy.asarray(x) for x in (A.astype("float32"), B.astype("float32"), GROUPS))
    for loss in (
        lambda a, b, g: info_nce(a, b, sample_weight=a[:, 0] ** 2),
        lambda a, b, g: nt_xent(a, b),
        lambda a, b, g: nt_xent(a, b, labels=g, denominator="negatives"),
        lambda a, b, g: supervised_contrastive(a, g, variant="in", base_temperature=0.07),
        lambda a, b, g: clip_loss(a, b, scale=b[0, 0] ** 2),
        lambda a, b, g: siglip_loss(a, b, scale=b[0, 0] ** 2, bias=b[0, 1]),
    ):
        np.testing.assert_allclose(jax.jit(loss)(a, b, g), loss(a, b, g), rtol=2e-6)


# ------------------------------------------------------------------------------------------ no rows


NO_ROWS = np.zeros((0, 3))
NO_LABELS = np.zeros((0,), dtype=np.int64)
OF_NO_ROWS = {
    "info_nce": (info_nce, 2, {}),
    "info_nce of negatives": (info_nce, 2, {"negatives": A}),
    "nt_xent": (nt_xent, 2, {}),
    "nt_xent of groups": (nt_xent, 2, {"labels": NO_LABELS}),
    "nt_xent of negatives": (nt_xent, 2, {"labels": NO_LABELS, "denominator": "negatives"}),
    "supervised out": (supervised_contrastive, 1, {"labels": NO_LABELS}),
    "supervised in": (supervised_contrastive, 1, {"labels": NO_LABELS, "variant": "in"}),
    "clip_loss": (clip_loss, 2, {"scale": 2.0}),
    "siglip_loss": (siglip_loss, 2, {"scale": 2.0, "bias": -1.0}),
}
each_of_no_rows = pytest.mark.parametrize("case", OF_NO_ROWS.values(), ids=OF_NO_ROWS.keys())


def of_no_rows(lib, case, **options):
    loss, arrays, fixed = case
    fixed = {name: lib.array(x) if isinstance(x, np.ndarray) else x for name, x in fixed.items()}
    return lambda *at: loss(*at, **fixed, **options), [lib.array(NO_ROWS)] * arrays


@each_of_no_rows
@each_library
def test_the_mean_over_no_rows_is_what_empty_says(library, case):
    lib = Library(library)
    with lib():
        for empty, expected in (("zero", 0.0), ("nan", math.nan)):
            loss, at = of_no_rows(lib, case, empty=empty)
            np.testing.assert_array_equal(lib.numpy(loss(*at)), expected)
        loss, at = of_no_rows(lib, case, empty="raise")
        with pytest.raises(ValueError, match="nothing to average"):
            loss(*at)


@each_of_no_rows
@each_library
def test_of_no_rows_the_sum_is_nothing_and_there_are_no_losses(library, case):
    lib = Library(library)
    with lib():
        loss, at = of_no_rows(lib, case, reduction="sum")
        assert float(lib.numpy(loss(*at))) == 0
        loss, at = of_no_rows(lib, case, reduction="none")
        assert lib.numpy(loss(*at)).shape == (0,)


@each_of_no_rows
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_the_mean_over_no_rows_has_a_gradient_of_no_rows(library, case):
    lib = Library(library)
    with lib():
        loss, at = of_no_rows(lib, case)
        if library == "torch":
            at = [lib.array(NO_ROWS).requires_grad_() for _ in at]
            slopes = lib.xp.autograd.grad(loss(*at), at)
        else:
            slopes = pytest.importorskip("jax").grad(loss, argnums=tuple(range(len(at))))(*at)
        assert [tuple(slope.shape) for slope in slopes] == [(0, 3)] * len(at)


@pytest.mark.parametrize("empty", ["zero", "nan"])
def test_a_learnt_scale_has_a_gradient_of_zero_where_there_are_no_rows(empty):
    torch = pytest.importorskip("torch")
    scale = torch.tensor(2.0, requires_grad=True)
    none = torch.zeros(0, 3)
    losses = (
        clip_loss(none, none, scale=scale, empty=empty),
        siglip_loss(none, none, scale=scale, bias=-1.0, empty=empty),
        info_nce(none, none, temperature=scale, empty=empty),
        supervised_contrastive(none, none[:, 0].long(), temperature=scale, empty=empty),
    )
    for loss in losses:
        (slope,) = torch.autograd.grad(loss, scale)
        assert float(slope) == 0
