"""A loss is a few steps for Python, with any options that the kernels know: at ten classes that is what it costs."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import crossentropy as ce  # noqa: E402
import crossentropy.torch as ct  # noqa: E402
from crossentropy.links import Focal, GeneralizedCrossEntropy, Poly  # noqa: E402
from crossentropy.targets import LabelSet, Sparse  # noqa: E402

PACKAGE = str(Path(ce.__file__).parent)
FORWARD, BACKWARD = 30, 10
ROWS, CLASSES = 64, 10
of_classes, of_rows = torch.linspace(0.5, 1.5, CLASSES), torch.linspace(0.5, 1.5, ROWS)
labels = torch.arange(ROWS) % CLASSES
several = Sparse(torch.stack([labels, 9 - labels], -1), torch.full((ROWS, 2), 0.5))
mask = torch.arange(CLASSES).expand(ROWS, CLASSES) % 2 == 0

EVERYTHING = {
    "label_smoothing": 0.1,
    "smoothing_prior": of_classes / of_classes.sum(),
    "class_weight": of_classes,
    "sample_weight": of_rows,
    "ignore_index": 3,
    "temperature": of_rows,
    "softcap": 30.0,
    "logit_bias": of_classes,
    "margin": of_classes,
    "z_loss": 1e-4,
    "entropy_bonus": 0.01,
    "normalizer": of_rows,
}
OPTIONS = [
    {},
    *({name: value} for name, value in EVERYTHING.items()),
    {"temperature": 2.0},
    {"temperature": torch.tensor(2.0)},
    {"margin": 0.3},
    {"reduction": "none"},
    {"reduction": "sum"},
    {"normalizer": "count"},
    {"normalizer": 5.0},
    {"normalizer": torch.tensor(5)},
    {"validate": "none"},
    {"empty": "nan"},
    {"inplace": True},
    {"link": Focal(2.0)},
    {"link": GeneralizedCrossEntropy(0.7)},
    {"link": Poly(1.0)},
    {"labels": labels.to(torch.uint8)},
    {"labels": several},
    {"labels": LabelSet(mask)},
    EVERYTHING,
    {**EVERYTHING, "normalizer": "count", "link": Focal(2.0), "label_smoothing": 0.0},
    {name: value for name, value in EVERYTHING.items() if name != "normalizer"} | {"reduction": "none"},
    {"labels": several, **EVERYTHING},
    {
        "labels": LabelSet(mask),
        "temperature": of_rows,
        "softcap": 30.0,
        "logit_bias": of_classes,
        "z_loss": 0.1,
    },
]


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch):
    """Where TensorFlow is loaded, its tensors are looked for among the arguments, which is a few calls more."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


def entered(function):
    """What `function` returns, and the functions of this package that it entered."""
    names = []

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            names.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        value = function()
    finally:
        sys.setprofile(None)
    return value, names


def check(loss, shape):
    logits = torch.linspace(-3, 3, ROWS * CLASSES).reshape(shape).requires_grad_()
    loss(logits * 1)  # what is imported at first is imported
    z = logits * 1  # no leaf, so that it may be written over
    value, there = entered(lambda: loss(z))
    upstream = torch.ones_like(value)
    _, back = entered(lambda: torch.autograd.grad(value, logits, upstream))
    assert len(there) <= FORWARD, there
    assert len(back) <= BACKWARD, back


def named(options):
    return "-".join(f"{name}" for name in options) or "plain"


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_a_loss_enters_few_functions(options):
    options = dict(options)
    y = options.pop("labels", labels)
    check(lambda z: ce.softmax_cross_entropy(z, y, **options), (ROWS, CLASSES))


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "label_smoothing": 0.1}], ids=named)
def test_the_torch_face_does_so_for_images_too(options):
    y = labels.reshape(4, 4, 4)
    check(lambda z: ct.cross_entropy(z, y, **options), (4, CLASSES, 4, 4))
