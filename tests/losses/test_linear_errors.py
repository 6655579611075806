"""What a linear head refuses, and what it says to pass instead."""

import numpy as np
import pytest

import crossentropy as ce

torch = pytest.importorskip("torch")

from linear_heads import each_strategy, head, random  # noqa: E402

H, W, Y = (x.detach() for x in head(6, 5, 41))


def batch():
    return H.reshape(2, 3, 5), W, Y.reshape(2, 3)


def refused(error, message, hidden=H, weight=W, target=Y, **options):
    for function in (ce.linear_cross_entropy, ce.linear_target_statistics):
        if function is ce.linear_target_statistics and not set(options) <= {"bias", "low_rank", "shift"}:
            continue
        with pytest.raises(error, match=message):
            function(hidden, weight, target, **options)


def test_a_weight_of_other_shape():
    refused(
        ValueError, r"hidden has shape \(6, 5\) and weight \(5, 41\).*as torch.nn.Linear keeps it", weight=W.T
    )
    refused(ValueError, r"weight \(41, 6\)", weight=random(41, 6))
    refused(ValueError, r"weight \(41, 1, 5\)", weight=W[:, None])
    refused(ValueError, r"hidden has shape \(\)", hidden=torch.tensor(1.0))


def test_a_bias_of_other_shape():
    refused(ValueError, r"bias has shape \(40,\); pass one number for each of the 41", bias=random(40))
    refused(ValueError, r"bias has shape \(41, 1\)", bias=random(41, 1))


@pytest.mark.parametrize("shapes", [((5, 2), (2, 41)), ((2, 5), (2, 41)), ((2, 5), (41, 3)), ((5,), (41,))])
def test_factors_of_other_shapes(shapes):
    refused(ValueError, r"pass \(A, B\) with A \(r, D\)", low_rank=tuple(random(*shape) for shape in shapes))


NO_PAIRS = {
    "a number": (1, "low_rank is 1"),
    "a matrix": (random(2, 5), r"low_rank is a torch.Tensor of shape \(2, 5\)"),
    "one matrix": ((random(2, 5),), "low_rank is"),
    "nothing in it": ((), r"low_rank is \(\)"),
    "None in it": ((None, None), r"low_rank is \(None, None\)"),
}


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize(("update", "words"), NO_PAIRS.values(), ids=NO_PAIRS)
def test_an_update_that_is_no_pair(update, words, library):
    parts = (H, W, Y) if library == "torch" else [x.numpy() for x in (H, W, Y)]
    refused(TypeError, rf"{words}.*; pass \(A, B\) with A \(r, D\)", *parts, low_rank=update)


@pytest.mark.parametrize("part", ["weight", "bias", "A of low_rank", "B of low_rank"])
def test_parts_of_another_dtype(part):
    dtype = lambda name: torch.float32 if name == part else torch.float64  # noqa: E731
    refused(
        TypeError,
        f"{part} has dtype torch.float32 and hidden torch.float64; .* convert one of them",
        weight=W.to(dtype("weight")),
        bias=random(41, dtype=dtype("bias")),
        low_rank=(random(2, 5, dtype=dtype("A of low_rank")), random(41, 2, dtype=dtype("B of low_rank"))),
    )


def test_integer_hidden_states():
    refused(TypeError, "floating-point", hidden=H.long(), weight=W.long())


def test_parts_of_another_library():
    for change in ({"hidden": H.numpy()}, {"weight": W.numpy()}):
        refused(TypeError, r"torch\.Tensor|torch\.as_tensor|numpy", **change)


@each_strategy
@pytest.mark.parametrize("label", [41, -1, 1 << 40])
def test_a_label_outside_the_classes(label, budget):
    hidden, weight, y = batch()
    y = y.clone()
    y[1, 2] = label
    with pytest.raises(ValueError, match=rf"label {label} at row \(1, 2\) is outside \[0, 41\)"):
        ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget)
    with pytest.raises(ValueError, match=rf"label {label} at row"):
        ce.linear_cross_entropy(hidden, weight, y, shift=1, memory_budget=budget)
    with pytest.raises(ValueError, match=rf"label {label} at row"):
        ce.linear_target_statistics(hidden, weight, y)


@each_strategy
@pytest.mark.parametrize("label", [41, -1, 1 << 40])
def test_a_label_outside_the_classes_that_nobody_checks_makes_its_row_nan(label, budget):
    hidden, weight, _ = head(6, 5, 41)
    y = Y.clone()
    y[4] = label
    losses = ce.linear_cross_entropy(
        hidden, weight, y, validate="none", reduction="none", memory_budget=budget
    )
    (by_hidden,) = torch.autograd.grad(losses.sum(), hidden)
    assert losses.isnan().nonzero().flatten().tolist() == [4]
    assert by_hidden.isnan().all(1).nonzero().flatten().tolist() == [4]


def test_labels_of_other_shapes_and_dtypes():
    refused(ValueError, r"labels have shape \(5,\)", target=Y[:5])
    refused(TypeError, "floating labels are probabilities", target=Y.double())
    refused(ValueError, r"shape \(6, 40\)", target=random(6, 40).softmax(-1))
    refused(TypeError, "OneHot", target=torch.nn.functional.one_hot(Y, 41))


def test_probabilities_that_do_not_sum_to_one():
    masses = torch.eye(41, dtype=torch.float64)[Y]
    masses[2] *= 0.9
    refused(ValueError, "the probabilities of row 2 sum to 0.9", target=masses)


@pytest.mark.parametrize("shift", [-1, 4])
def test_a_shift_beyond_the_sequence(shift):
    hidden, weight, y = batch()
    refused(ValueError, f"shift is {shift}.*length of the last axis", hidden, weight, y, shift=shift)


def test_a_shift_of_one_row():
    refused(ValueError, "shift is 1", hidden=H[0], target=Y[0], shift=1)


def test_a_shift_of_labels_that_were_cut_already():
    hidden, weight, y = batch()
    refused(ValueError, r"labels have shape \(2, 2\).*\(2, 3\)", hidden, weight, y[:, 1:], shift=1)


@pytest.mark.parametrize("form", ["Probabilities", "OneHot", "LabelSet", "floating"])
def test_a_shift_of_targets_that_would_be_copied(form):
    hidden, weight, y = batch()
    one_hot = torch.nn.functional.one_hot(y, 41)
    target = {
        "Probabilities": lambda: ce.targets.Probabilities(one_hot.double()),
        "OneHot": lambda: ce.targets.OneHot(one_hot),
        "LabelSet": lambda: ce.targets.LabelSet(one_hot.bool()),
        "floating": one_hot.double,
    }[form]()
    refused((ValueError, TypeError), "shift is given with", hidden, weight, target, shift=1)


def test_a_budget_below_zero():
    refused(ValueError, "memory_budget is -1; it is a number of bytes", memory_budget=-1)
    refused(ValueError, "memory_budget is nan; it is a number of bytes", memory_budget=float("nan"))
    refused(TypeError, "memory_budget is '64MB', of type str; it is a number of bytes", memory_budget="64MB")


def test_a_budget_may_be_written_as_a_float():
    hidden, weight, y = head()
    for budget in (1e3, np.int64(1000)):
        assert ce.linear_cross_entropy(hidden, weight, y, memory_budget=budget).isfinite()


def test_options_of_other_shapes():
    refused(ValueError, r"sample_weight has shape \(5,\)", sample_weight=random(5))
    refused(ValueError, r"class_weight has shape \(40,\)", class_weight=random(40))
    refused(ValueError, "normalizer has shape", normalizer=random(5).exp())
    refused(ValueError, "temperature has shape", temperature=random(5).exp())
    refused(ValueError, "logit_bias has shape", logit_bias=random(40))
    refused(ValueError, "smoothing_prior has shape", label_smoothing=0.1, smoothing_prior=random(40))


def test_options_that_say_nothing():
    refused(ValueError, "temperature is 0", temperature=0.0)
    refused(ValueError, "the temperature of row 3 is -1", temperature=torch.tensor([1.0, 1, 1, -1, 1, 1]))
    refused(ValueError, "label_smoothing is 2", label_smoothing=2)
    refused(ValueError, "reduction is 'median'", reduction="median")
    refused(ValueError, "validate is 'maybe'", validate="maybe")
    refused(TypeError, "link is", link=ce.links.Focal)
    refused(ValueError, "divides by nothing", reduction="sum", normalizer=3)


@each_strategy
def test_weights_of_a_negative_sum(budget):
    hidden, weight, y = head(6, 5, 41)
    with pytest.raises(ValueError, match='normalizer="count"'):
        ce.linear_cross_entropy(hidden, weight, y, sample_weight=random(6), memory_budget=budget)


@each_strategy
def test_a_mean_of_nothing_that_is_to_raise(budget):
    hidden, weight, y = head(6, 5, 41)
    with pytest.raises(ValueError, match="nothing to average"):
        ce.linear_cross_entropy(
            hidden, weight, y, sample_weight=torch.zeros(6), empty="raise", memory_budget=budget
        )


def test_a_rank_among_several():
    with pytest.raises(ValueError, match="rank=True needs one label"):
        ce.linear_target_statistics(H, W, torch.eye(41, dtype=torch.float64)[Y], rank=True)


def test_parts_on_another_device():
    refused(ValueError, "weight is on meta and hidden on cpu; move one of them", weight=W.to("meta"))
    refused(ValueError, "bias is on meta", bias=random(41).to("meta"))
