"""Each number of an explanation is the true one, and it is shown."""

import json
import warnings

import mpmath as mp
import numpy as np
import pytest

import crossentropy as ce

Z = [2.0, 1.0, -1.0]


def truth(z, q, *, temperature=1, margin=0, bias=(0, 0, 0), softcap=None, at=0):
    """p, the cross-entropy, H(p), H(q) and ln Σ e^u, in fifty digits."""
    z = [mp.mpf(x) for x in z]
    if softcap:
        z = [softcap * mp.tanh(x / softcap) for x in z]
    u = [(x - margin * (c == at)) / temperature + b for c, (x, b) in enumerate(zip(z, bias, strict=True))]
    total = mp.fsum(map(mp.exp, u))
    p = [mp.exp(x) / total for x in u]
    plogp = lambda a, b: mp.fsum(-x * mp.log(y) for x, y in zip(a, b, strict=True) if x)  # noqa: E731
    return p, plogp(q, p), plogp(p, p), plogp(q, q), mp.log(total)


@pytest.mark.parametrize(("z", "temperature"), [([0.0, 0.0, 0.0], 1.0), ([10.0, 0.0], 10.0)])
def test_logits_of_which_some_step_looks_like_probabilities_give_no_warning(z, temperature):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ce.explain(z, 0, temperature=temperature)


def test_logits_that_are_probabilities_give_one_warning():
    with pytest.warns(UserWarning, match="the logits are probabilities already") as caught:
        ce.explain([0.2, 0.8], 0, temperature=2.0)
    assert len(caught) == 1


def test_the_numbers_of_a_plain_loss_are_those_of_mpmath():
    with mp.workdps(50):
        p, loss, H, _, L = truth(Z, [1, 0, 0])
        e = ce.explain(Z, 0)
        np.testing.assert_allclose(e.probabilities, [float(x) for x in p], rtol=4e-16)
        assert e.loss == pytest.approx(float(loss), rel=4e-16)
        assert e.loss_bits == pytest.approx(float(loss / mp.log(2)), rel=4e-16)
        assert e.entropy == pytest.approx(float(H), rel=1e-15)
        assert e.log_partition == pytest.approx(float(L), rel=4e-16)
        assert e.log_odds_against == pytest.approx(float(mp.log(mp.expm1(loss))), rel=4e-16)
        np.testing.assert_allclose(
            e.gradient, [float(x - q) for x, q in zip(p, [1, 0, 0], strict=True)], rtol=4e-16
        )
        for c, change in enumerate(e.unit_changes):
            higher = [x + (i == c) for i, x in enumerate(Z)]
            assert change == pytest.approx(float(truth(higher, [1, 0, 0])[1] - loss), rel=1e-14)


def test_transforms_are_applied_in_their_order_and_each_is_shown():
    options = {"softcap": 3.0, "margin": 0.5, "temperature": 2.0, "logit_bias": [0.1, 0.2, 0.3]}
    e = ce.explain(Z, 1, **dict(reversed(options.items())))
    assert [step.name for step in e.transforms] == list(options)
    capped = 3 * np.tanh(np.asarray(Z) / 3)
    expected = [capped, capped - [0, 0.5, 0], (capped - [0, 0.5, 0]) / 2]
    expected.append(expected[-1] + [0.1, 0.2, 0.3])
    for step, logits in zip(e.transforms, expected, strict=True):
        np.testing.assert_allclose(step.logits, logits, rtol=1e-14)
    with mp.workdps(50):
        p, loss, *_ = truth(Z, [0, 1, 0], temperature=2, margin=0.5, bias=(0.1, 0.2, 0.3), softcap=3, at=1)
        np.testing.assert_allclose(e.probabilities, [float(x) for x in p], rtol=1e-14)
        assert e.loss == pytest.approx(float(loss), rel=1e-14)


def test_cross_entropy_is_entropy_and_divergence_of_a_smoothed_label():
    e = ce.explain(Z, 0, label_smoothing=0.3, smoothing_prior=[0.5, 0.25, 0.25])
    np.testing.assert_allclose(e.target, [0.85, 0.075, 0.075], rtol=1e-15)
    with mp.workdps(50):
        _, loss, _, H, _ = truth(Z, [mp.mpf(x) for x in e.target.tolist()])
        assert (e.cross_entropy, e.target_entropy) == (
            pytest.approx(float(loss), rel=1e-14),
            pytest.approx(float(H), rel=1e-14),
        )
        assert e.kl_divergence == pytest.approx(float(loss - H), rel=1e-14)


def test_what_options_contribute_adds_up_to_the_loss():
    options = {
        "temperature": 0.5,
        "label_smoothing": 0.1,
        "class_weight": [1.0, 2.0, 4.0],
        "sample_weight": 3.0,
        "link": ce.links.Focal(2.0),
        "z_loss": 0.01,
        "entropy_bonus": 0.1,
    }
    e = ce.explain(Z, 2, **options)
    assert [c.name for c in e.contributions] == ["cross-entropy", *options]
    assert sum(c.change for c in e.contributions) == pytest.approx(e.loss, rel=1e-14)
    assert e.contributions[0].loss == pytest.approx(3.349012, abs=1e-6)  # ln(1 + e + e⁻² …) + 1, by hand
    assert e.contributions[-1].loss == e.loss
    weight = dict(options, sample_weight=[3.0])
    assert e.loss == ce.softmax_cross_entropy(np.asarray([Z]), np.asarray([2]), reduction="sum", **weight)


def test_probabilities_are_explained_by_their_logarithms():
    e = ce.explain(probabilities=[0.2, 0.3, 0.5], labels=1)
    assert e.loss == pytest.approx(float(-mp.log(mp.mpf("0.3"))), rel=4e-16)
    np.testing.assert_allclose(e.probabilities, [0.2, 0.3, 0.5], rtol=4e-16)
    assert ce.explain(probabilities=[0.0, 1.0], labels=0).loss == np.inf


def test_the_usual_formula_has_no_digit_where_the_label_is_certain():
    e = ce.explain([20.0, 0.0], 0)
    assert (e.digits.usual_loss, e.digits.usual_gradient) == (0, 0)
    assert min(e.digits.loss, e.digits.gradient) > 6.9
    assert e.loss == pytest.approx(float(mp.log1p(mp.exp(-20))), rel=4e-16)


def test_one_row_of_several_is_explained_with_its_own_label_weight_and_name():
    torch = pytest.importorskip("torch")
    z, y = torch.tensor([[0.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 1])
    e = ce.explain(z, y, row=1, sample_weight=[5.0, 2.0], classes=["cat", "dog"])
    assert e.loss == pytest.approx(2 * np.log1p(np.exp(-2)), rel=1e-14)
    assert (e.label, "dog (label)" in str(e)) == (1, True)
    assert ce.explain(z, ["cat", "dog"], row=1, classes=["cat", "dog"]).label == 1


def test_of_many_classes_the_label_and_the_most_probable_are_shown():
    z = np.linspace(0, 9, 10_000)
    e = ce.explain(z, 5)
    assert (len(e.shown), e.shown[0], e.shown[-1]) == (12, 5, 9999)
    assert len(e.unit_changes) == 12
    assert "9,988 less probable classes are not shown" in str(e)


def test_all_forms_have_the_loss_and_the_page_asks_for_nothing():
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    e = ce.explain(Z, "<b>", classes=["<b>", "x", "y"], link=ce.links.Focal(1.0))
    text, fragment, page = str(e), e._repr_html_(), e.to_html()
    assert all("0.102824" in form for form in (text, fragment, page))
    assert "default-src 'none'" in page
    assert "&lt;b&gt; (label)" in page
    assert "<b>" not in page + fragment
    assert json.loads(json.dumps(e.to_dict()))["options"] == {"link": "Focal(gamma=1.0)"}


@pytest.mark.parametrize("label", [True, np.True_, [True], np.asarray([True])])
def test_a_yes_is_the_label_1(label):
    assert str(ce.explain([2.0, 1.0], label)) == str(ce.explain([2.0, 1.0], 1))


def test_logits_beyond_float32_have_no_digits_in_it():
    e = ce.explain([1e300, -1e300, 0.0], 1)
    assert e.loss == 2e300
    assert e.digits.loss == e.digits.usual_loss == 0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([2.0], 0), {}, r"pass both classes: \[0, z\]"),
        ((None, 0), {}, "pass either logits or probabilities"),
        ((Z,), {}, "labels are missing"),
        ((Z, 3), {}, r"label 3 .*outside \[0, 3\)"),
        ((Z, 0), {"row": 1}, "row is 1, and there are 1 rows"),
        ((Z, "cow"), {"classes": ["cat", "dog", "hen"]}, "'cow'.* none of the classes"),
        ((Z, "cat"), {"classes": ["cat", "dog", "hen"], "temperature": 0.0}, "temperature is 0"),
        ((Z, "cat"), {"classes": ["cat", "dog", "cat"]}, "two are called the same"),
        ((Z, "cat"), {}, "labels is 'cat'; pass the number of the class"),
        ((Z, [0.5, 0.5]), {}, "a distribution over 2 classes, and there are 3"),
        (([1.0, np.nan, 0.0], 0), {}, "logit of class 1 is nan"),
        (([1.0, 0.0, np.inf], 0), {}, "logit of class 2 is inf"),
        (([-np.inf, -np.inf], 0), {}, "all logits are -inf"),
        ((Z, 0), {"classes": ["cat"]}, "classes names 1 classes, and there are 3"),
        ((Z, 0), {"temperature": 0.0}, "temperature is 0"),
        (([Z, Z], [0, 1]), {"row": 1, "sample_weight": [0.5]}, r"sample_weight has shape \(1,\).* 2 rows"),
        ((Z, 0), {"reduction": "sum"}, "no argument reduction"),
        ((None, 0), {"probabilities": [0.5, 0.6]}, "sum to 1.1; pass a distribution"),
        (([Z, Z], [0]), {"row": 1}, r"labels have shape \(1,\), and there are 2 rows"),
    ],
)
def test_an_error_says_what_to_pass(arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ce.explain(*arguments, **options)


def test_an_array_that_is_more_than_its_numbers_is_refused():
    """The mask would be lost, and the loss be that of other classes."""
    with pytest.raises(TypeError, match="mask"):
        ce.explain(np.ma.masked_array([2.0, 1.0, -1.0], [False, True, False]), 0)


def test_a_divergence_is_finite_where_a_probability_underflows():
    """Of q = (1/2, 1/2) and logits (−800, 0): H(q, p) = 400, and H(q) = ln 2."""
    assert ce.explain([-800.0, 0.0], [0.5, 0.5]).kl_divergence == pytest.approx(400 - np.log(2), rel=1e-15)
