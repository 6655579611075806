"""On a platform without a build of the compiled part: right values by the formulas, one warning, and clear errors."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import crossentropy as ce

BLOCKED = 'import sys; sys.modules["crossentropy._kernels._native"] = None\n'
DATA = """
import numpy as np
random = np.random.default_rng(0)
z, y = random.normal(0, 5, (6, 5)), np.array([0, 1, 2, 3, 4, -1])
w, p = random.normal(size=(7, 5)), random.dirichlet(np.ones(5), 6)
"""


def without_kernels(code, *flags):
    """What a process without them prints."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", BLOCKED + DATA + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def values():
    """The expressions, and their values by the kernels."""
    expressions = {
        "softmax": "ce.softmax_cross_entropy(z, y, ignore_index=-1, label_smoothing=0.1, z_loss=0.01)",
        "gradient": "ce.loss_and_gradient(ce.softmax_cross_entropy, z, y, ignore_index=-1, temperature=2.0)[1]",
        "focal": "ce.loss_and_gradient(ce.losses.focal_loss, z, y, ignore_index=-1)[1]",
        "soft targets": "ce.loss_and_gradient(ce.softmax_cross_entropy, z, p)[1]",
        "rank": "ce.target_statistics(z, y, ignore_index=-1, rank=True).rank",
        "sigmoid": "ce.loss_and_gradient(ce.sigmoid_cross_entropy, z, z[::-1] > 0, pos_weight=3.0)[1]",
        "linear": "ce.linear_cross_entropy(z, w, y, ignore_index=-1)",
        "linear gradient": "ce.losses.linear_loss_and_gradients(z, w, y, ignore_index=-1)[1].weight",
        "label set": "ce.softmax_cross_entropy(z, ce.targets.LabelSet(z > 0))",
        "log loss": "ce.log_loss(p, y, ignore_index=-1)",
        "kl": "ce.kl_divergence(p, p[::-1])",
        "entropy": "ce.entropy(p)",
    }
    scope: dict = {"ce": ce}
    exec(DATA, scope)
    return expressions, {name: eval(code, scope) for name, code in expressions.items()}


def test_the_formulas_compute_what_the_kernels_compute():
    expressions, expected = values()
    code = f"""
    import json, warnings
    warnings.simplefilter("ignore")
    import crossentropy as ce
    print(json.dumps({{name: np.asarray(eval(code)).tolist() for name, code in {expressions!r}.items()}}))
    """
    found = json.loads(without_kernels(code).stdout)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-13, atol=1e-15, err_msg=name)


def test_pytorch_computes_and_differentiates():
    torch = pytest.importorskip("torch")
    code = """
    import json, torch, warnings
    warnings.simplefilter("ignore")
    import crossentropy as ce
    t, y = torch.tensor(z, requires_grad=True), torch.tensor(y)
    plain = ce.softmax_cross_entropy(t, y, ignore_index=-1)
    losses = plain, ce.linear_cross_entropy(t, torch.tensor(w), y, ignore_index=-1)
    print(json.dumps([torch.autograd.grad(loss, t)[0].tolist() for loss in losses]))
    """
    scope: dict = {}
    exec(DATA, scope)
    t, y = torch.tensor(scope["z"], requires_grad=True), torch.tensor(scope["y"])
    plain = torch.nn.functional.cross_entropy(t, y, ignore_index=-1)
    linear = torch.nn.functional.cross_entropy(t @ torch.tensor(scope["w"]).T, y, ignore_index=-1)
    expected = [torch.autograd.grad(loss, t)[0].tolist() for loss in (plain, linear)]
    np.testing.assert_allclose(json.loads(without_kernels(code).stdout), expected, rtol=1e-11, atol=1e-14)


def test_one_warning_says_what_is_lost_and_how_to_have_it():
    done = without_kernels(
        "import crossentropy as ce; ce.entropy(p); ce.softmax_cross_entropy(z, y, ignore_index=-1)"
    )
    assert done.stderr.count("RuntimeWarning") == 1
    assert "the compiled part of crossentropy does not load" in done.stderr
    assert "install a wheel for this platform" in done.stderr


def test_what_needs_the_kernels_says_so():
    code = """
    import warnings
    warnings.simplefilter("ignore")
    import crossentropy as ce
    try:
        ce.evaluation
    except ImportError as error:
        print(error)
    """
    assert without_kernels(code).stdout.startswith("crossentropy.evaluation needs the compiled part")


def test_the_configuration_says_that_nothing_is_compiled():
    code = "import warnings; warnings.simplefilter('ignore'); import crossentropy; crossentropy.show_config()"
    assert "not compiled" in without_kernels(code).stdout
