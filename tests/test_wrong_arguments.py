"""Every public function with every wrong argument of a list: the error names the argument, as its caller knows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import Parameter, signature
from typing import Any, get_args

import numpy as np
import pytest

import crossentropy as ce
from crossentropy._arguments.errors import keywords
from losses.catalogue.case import CLASSES, LABELS, ROWS, SOFT, logits
from losses.catalogue.table import CASES, HELPERS

NAN = float("nan")
HEAD = {"hidden": logits(1, (ROWS, 3)), "weight": logits(2, (CLASSES, 3)), "labels": LABELS}

# How each public function is called: its positional arguments by name, and its keywords.
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear_cross_entropy": (HEAD, {}),
    "linear_loss_and_gradients": (HEAD, {}),
    "linear_target_statistics": (HEAD, {}),
    "entropy": ({"p": SOFT}, {}),
    "perplexity": ({"p": SOFT}, {}),
    "cross_entropy": ({"p": SOFT, "q": SOFT[::-1]}, {}),
    "kl_divergence": ({"p": SOFT, "q": SOFT[::-1]}, {}),
    "js_divergence": ({"p": SOFT, "q": SOFT[::-1]}, {}),
    "mutual_information": ({"joint": SOFT / SOFT.sum()}, {}),
}
for case in CASES:
    if case.make is None and case.loss not in CALLS and "numpy" in case.libraries:
        CALLS[case.loss] = dict(case.inputs), {**case.given, **case.parameters}
for helper in HELPERS:
    names = list(signature(getattr(ce.losses, helper.function)).parameters)
    CALLS[helper.function] = dict(zip(names, helper.arrays, strict=False)), dict(helper.options)

OF_TENSORS = {"linear_row_losses", "linear_distillation_losses", "ctc_loss"}  # below
ELSEWHERE = OF_TENSORS | {"explain", "show_config"}  # of one row: tests/_explain; of no arguments
COUNTING = (
    "balanced_weights",
    "class_balanced_weights",
    "logit_adjustment",
    "ldam_margins",
)  # however many classes
WITHOUT = {"loss_and_gradient"}  # whose arguments are those of the loss that it is given


class Head:
    """A module, as frameworks have them."""

    weight = np.ones((CLASSES, 3))

    def __call__(self, x: Any) -> Any:
        return x


def a_function(x: Any) -> Any:
    return x


EagerTensor = type(
    "EagerTensor",
    (),
    {
        "__module__": "tensorflow.python.framework.ops",
        "shape": (ROWS, CLASSES),
        "ndim": 2,
        "dtype": "float32",
    },
)

NO_ARRAYS = ("balanced", {0: 1.0, 1: 2.0}, Head(), a_function, EagerTensor())
NO_NUMBERS = ("0.1", [0.1, 0.2], {}, a_function, np.ones(3))
NO_INTEGERS = ("1", 1.5, [1], {})
NO_WORDS = ("nonsense", None, 3)

FLOATING = (
    "logits",
    "cosines",
    "student",
    "teacher",
    "clean",
    "real_logits",
    "fake_logits",
    "image",
    "text",
    "hidden",
)
FLOATING += (
    "features",
    "queries",
    "keys",
    "first",
    "second",
    "target_logits",
    "sampled_logits",
    "p",
    "q",
    "joint",
)
FLOATING += ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected", "probabilities")
LABELED = ("labels", "actions")
VECTORS = ("class_weight", "logit_bias", "smoothing_prior", "counts", "importance", "pos_weight")
OF_ROWS = ("sample_weight", "advantages", "old_log_prob", "mask", "real_weight", "fake_weight")
OTHER_ARRAYS = ("weight", "bias", "transition", "negatives", "log_probabilities", "sampled")
EXPECTED = ("target_log_expected", "sampled_log_expected")
WORDS = ("reduction", "empty", "validate", "direction", "denominator", "variant", "kind")
INTEGERS = ("axis", "ignore_index", "shift", "iterations", "order", "k")
FLAGS = (
    "inplace",
    "keepdims",
    "normalize",
    "entropy",
    "rank",
    "squared_temperature",
    "saturating",
    "detach",
    "renormalize",
)
OTHERS = (
    "classes",
    "low_rank",
    "axes",
    "augmented",
    "link",
    "negative_link",
    "normalizer",
    "temperature",
    "margin",
    "options",
)
NUMBERS = {
    "label_smoothing": (-0.1, 1.5, NAN),
    "softcap": (0, -1.0, NAN),
    "scale": (0, -1.0, NAN),
    "z_loss": (NAN, float("inf")),
    "entropy_bonus": (NAN,),
    "alpha": (-0.5, NAN),
    "beta": (-0.5, NAN),
    "label_weight": (-0.5, 1.5, NAN),
    "consistency_weight": (NAN,),
    "forward_weight": (-0.5, NAN),
    "reverse_weight": (-0.5, NAN),
    "active_weight": (-0.5, NAN),
    "passive_weight": (-0.5, NAN),
    "rebalancing": (-0.5, 1.5, NAN),
    "offset": (NAN,),
    "slope": (NAN,),
    "gamma": (-1.0, NAN),
    "gamma_positive": (-1.0, NAN),
    "gamma_negative": (-1.0, NAN),
    "q": (0, -1.0, 2.0, NAN),
    "truncation": (-0.5, 2.0, NAN),
    "epsilon": (-3.0, NAN),
    "log_zero": (1.0, NAN),
    "order": (0, -1),
    "tau": (NAN,),
    "t": (NAN,),
    "t1": (2.5, NAN),
    "t2": (-1.0, NAN),
    "iterations": (-1,),
    "negative_shift": (-0.1, 1.0, NAN),
    "memory_budget": (-1, NAN),
    "skip_below": (-0.1, 1.0, NAN),
    "total": (0.0, NAN),
    "midpoint": (NAN,),
    "kappa": (NAN,),
    "negative_scale": (0, -1.0, NAN),
    "balance": (NAN,),
    "clip": (0, -0.1, NAN),
    "largest": (-0.5, NAN),
    "base_temperature": (0, -1.0, NAN),
    "keep": (0, -1, 1.5, NAN),
    "base": (0, -1.0, 1.0, NAN),
}
ALLOWED = {
    ("log_loss", "ignore_index"),
}
UNKNOWN = (
    "alpha",
    "weight",
    "eps",
    "from_logits",
    "y_true",
    "y_pred",
    "size_average",
    "reductions",
    "frobnicate",
)


def wrong(name: str, function: str, value: Any, parameter: Parameter) -> Iterator[Any]:
    """Values that this argument of a function cannot have."""
    default = parameter.default
    optional = default is None or type(None) in get_args(parameter.annotation)
    if name in FLOATING and isinstance(value, np.ndarray):
        yield from NO_ARRAYS
        if not optional:
            yield None
        if name not in ("p", "q", "joint", "probabilities") and not name.endswith(("chosen", "rejected")):
            yield np.ones(value.shape, dtype=int)
    elif name in LABELED:
        yield from NO_ARRAYS
        if not optional:
            yield None
        if value is not None and function not in ("nt_xent", "supervised_contrastive"):
            yield np.ones((2, 2, 2), dtype=int)
        if value is LABELS:
            yield from (LABELS[:-1], LABELS.astype(float), np.eye(CLASSES, dtype=int)[LABELS], LABELS - 100)
    elif name in VECTORS:
        yield from NO_ARRAYS
        yield np.ones((CLASSES, CLASSES))
        if function not in COUNTING:
            yield np.ones(17)
    elif name in OF_ROWS:
        yield from (*NO_ARRAYS, np.ones(17), np.ones((3, 3, 3)))
    elif name in OTHER_ARRAYS and not isinstance(value, (int, float)):
        yield from NO_ARRAYS
    elif name in EXPECTED:
        yield from (*NO_ARRAYS, np.ones(17))
    elif name in WORDS:
        yield from NO_WORDS
        if name == "reduction":
            yield from ("batchmean", "avg")
    elif name == "temperature":
        yield from (0, -1.0, NAN, "hot", np.ones(17), {}, a_function)
    elif name == "margin":
        yield from (*NO_ARRAYS, np.ones(17))
    elif name == "normalizer":
        yield from ("weigth", None, {}, a_function, np.ones(17))
    elif name in ("link", "negative_link"):
        yield from ("focal", ce.links.Focal, 2.0)
    elif name == "axes":
        yield from ((0,), "01", (0, 0), (0, 7))
    if (name in INTEGERS and (function, name) not in ALLOWED) or (
        isinstance(default, int) and not isinstance(default, bool)
    ):
        yield from NO_INTEGERS
    if name == "axis":
        yield from (7, None)
    if name in NUMBERS and {int, float} & {parameter.annotation, *get_args(parameter.annotation)}:
        yield from (number for number in NUMBERS[name] if (function, name, number) not in ALLOWED)
        if name not in INTEGERS:
            yield from (value for value in NO_NUMBERS if name != "epsilon" or not isinstance(value, list))
        if not optional:
            yield None


def public() -> dict[str, Callable[..., Any]]:
    found = {}
    for module in (ce, ce.losses):
        for name in module.__all__:
            own = getattr(module, name)
            if callable(own) and not isinstance(own, type) and name not in WITHOUT:
                found[name] = own
    return found


def test_every_public_function_and_argument_is_in_the_table():
    known = {*FLOATING, *LABELED, *VECTORS, *OF_ROWS, *OTHER_ARRAYS, *EXPECTED, *WORDS, *INTEGERS, *FLAGS}
    known |= {*OTHERS, *NUMBERS}
    for name, function in public().items():
        assert name in CALLS or name in ELSEWHERE, name
        if name not in ELSEWHERE:
            assert known >= set(keywords(function)), name


def called(name: str, function: Callable[..., Any], changed: dict[str, Any]) -> Any:
    positional, given = CALLS[name]
    given = {**given, **changed}
    arguments = [given.pop(own, value) for own, value in positional.items()]
    return function(*arguments, **given)


def words_of(value: Any) -> list[str]:
    """What an error can call a value by: one of these."""
    if hasattr(value, "shape") and isinstance(value, np.ndarray):
        low = [f"{value.ravel()[i]:.6g}" for i in (0, np.argmin(value))] if value.size else []
        return [str(value.shape), str(value.dtype), *low, f"{len(value)} classes"]
    if value is None or isinstance(value, (str, int, float, list, tuple)) or value == {}:
        return [repr(value), str(value), type(value).__name__]
    return [type(value).__name__, getattr(value, "__name__", "?")]


def faults_of(error: Exception, name: str, own: str, value: Any, arguments: set[str]) -> list[str]:
    """What an error about an argument lacks."""
    message, faults = str(error), []
    if not isinstance(error, (TypeError, ValueError)) or isinstance(error, UnicodeError):
        faults.append(f"is a {type(error).__name__}")
    if not re.search(rf"\b{own.removesuffix('s')}s?\b", message):
        faults.append("does not name the argument")
    first = re.match(r"(?:got )?(\w+)", message)
    if first and first[1] in ALL_ARGUMENTS - arguments:
        faults.append(f"blames {first[1]}, which is no argument")
    if not any(word in message for word in words_of(value)):
        faults.append("does not say what was passed")
    if not re.search(r"[;.,:] \w", message):
        faults.append("does not say what to write instead")
    return faults


ALL_ARGUMENTS = {own for function in public().values() for own in keywords(function)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_the_error_names_the_argument_says_what_was_passed_and_what_to_write(name: str):
    function = public()[name]
    called(name, function, {})
    arguments = keywords(function)
    positional, given = CALLS[name]
    failures = []
    for own, parameter in arguments.items():
        base = {**positional, **given}.get(own, parameter.default)
        for value in wrong(own, name, base, parameter):
            shown = f"{own}={value!r}".replace("\n", "")[:60]
            try:
                called(name, function, {own: value})
            except Exception as error:
                faults = faults_of(error, name, own, value, set(arguments))
                if faults:
                    failures.append(
                        f"{shown}: {', '.join(faults)}: {type(error).__name__}: {str(error)[:200]}"
                    )
            else:
                failures.append(f"{shown}: no error")
    assert not failures, f"{len(failures)}\n" + "\n".join(failures)


@pytest.mark.parametrize("name", CALLS)
def test_a_keyword_that_a_function_does_not_have_is_answered_with_those_that_it_has(name: str):
    function = public()[name]
    arguments = keywords(function)
    for unknown in UNKNOWN:
        if unknown in arguments:
            continue
        with pytest.raises(TypeError, match=rf"^{name} has no argument {unknown}\b") as caught:
            called(name, function, {unknown: 1.0})
        assert all(re.search(rf"\b{own}\b", str(caught.value)) for own in arguments if own != "options")


def test_functions_of_tensors_name_their_arguments_too():
    torch = pytest.importorskip("torch")
    hidden, weight = (torch.from_numpy(HEAD[own]) for own in ("hidden", "weight"))
    head = {"hidden": hidden, "weight": weight}
    steps, labels, one = (
        torch.randn(1, 3, CLASSES),
        torch.ones(1, 1, dtype=torch.long),
        torch.ones(1, dtype=torch.long),
    )
    aligned = {"logits": steps, "labels": labels, "input_lengths": 3 * one, "label_lengths": one}
    calls = {
        "linear_row_losses": {"loss": lambda z, rows: z.sum(-1), **head},
        "linear_distillation_losses": {**head, "teacher_hidden": hidden, "teacher_weight": weight},
        "ctc_loss": aligned,
    }
    assert set(calls) == OF_TENSORS
    for name, given in calls.items():
        function = public()[name]
        function(**given)
        with pytest.raises(TypeError, match=rf"^{name} has no argument alpha\b"):
            function(**given, alpha=1.0)
        for own in given.keys() - {"loss"}:
            for value in (*NO_ARRAYS[:4], None):
                with pytest.raises((TypeError, ValueError)) as caught:
                    function(**{**given, own: value})
                assert not faults_of(caught.value, name, own, value, set(keywords(function)))
