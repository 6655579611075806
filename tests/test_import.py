"""Importing the package is quick, and touches no framework."""

import doctest
import importlib
import os
import subprocess
import sys
import textwrap

import pytest

FRAMEWORKS = (
    "torch",
    "jax",
    "tensorflow",
    "keras",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "typer",
    "triton",
    "xgboost",
    "lightgbm",
    "catboost",
    "pyspark",
    "ray",
    "transformers",
)


def python(code, *flags, **environment):
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_importing_takes_less_than_the_import_of_numpy():
    """In the processor's time, the least of seven each: a busy machine only adds to it. The first run compiles."""
    code = """
    from time import process_time
    start = process_time()
    import numpy
    middle = process_time()
    import crossentropy
    print(middle - start, process_time() - middle)
    """
    runs = [python(code, PYTHONDONTWRITEBYTECODE="") for _ in range(7)]
    numpys, ours = zip(*(map(float, run.split()) for run in runs), strict=True)
    assert min(ours) < min(numpys)


def test_the_example_of_the_package_runs():
    """It is not collected as others are, since that search takes every attribute and imports every face."""
    import crossentropy

    result = doctest.testmod(crossentropy)
    assert (result.failed, result.attempted > 0) == (0, True)


def test_importing_and_using_numpy_touches_no_framework():
    loaded = python(
        """
        import sys
        import numpy as np
        import crossentropy as ce
        z, y = np.zeros((2, 3)), np.array([0, 1])
        ce.softmax_cross_entropy(z, y)
        ce.sigmoid_cross_entropy(z, np.ones((2, 3), dtype=int))
        ce.log_loss(np.full((2, 3), 1 / 3), y)
        ce.entropy([0.5, 0.5])
        print(*sys.modules)
        """
    ).split()
    assert not [name for name in FRAMEWORKS if name in loaded]


@pytest.mark.parametrize("module", ["crossentropy.losses", "crossentropy._statistics", "crossentropy.links"])
def test_a_floor_can_be_imported_alone(module):
    assert python(f"import sys, {module}; print('torch' in sys.modules)").strip() == "False"


def test_numpy_losses_work_where_torch_cannot_be_imported():
    out = python(
        """
        import sys
        sys.modules["torch"] = None  # import torch raises ImportError
        import numpy as np
        import crossentropy as ce
        z, y = np.log([[0.5, 0.25, 0.25]]), np.array([0])
        print(round(float(ce.softmax_cross_entropy(z, y)), 12))
        print(ce.loss_and_gradient(ce.softmax_cross_entropy, z, y)[1].round(12).tolist())
        print(ce.softmax_cross_entropy(z, np.array([[0.5, 0.5, 0.0]]), link=ce.links.Focal()).shape)
        print(ce.target_statistics(z, y, rank=True).rank.tolist())
        print(round(float(ce.sigmoid_cross_entropy(np.zeros(1), np.array([1]))), 12))
        print(round(float(ce.log_loss(np.array([[0.5, 0.25, 0.25]]), y)), 12))
        """
    )
    assert out.split("\n")[:6] == [
        "0.69314718056",
        "[[-0.5, 0.25, 0.25]]",
        "()",
        "[0]",
        "0.69314718056",
        "0.69314718056",
    ]


def test_every_public_name_is_there():
    import crossentropy as ce

    for package in (ce, ce.losses, ce.links):
        assert all(hasattr(package, name) for name in package.__all__)
    assert ce.__version__
    assert not hasattr(ce, "no_such_name")


def test_the_names_of_the_losses_are_those_of_their_modules():
    from crossentropy import losses

    modules = {name: importlib.import_module(f"crossentropy.losses.{name}") for name in losses.NAMES}
    assert {name: sorted(module.__all__) for name, module in modules.items()} == {
        name: sorted(names) for name, names in losses.NAMES.items()
    }


def test_the_top_level_is_what_the_design_says():
    import crossentropy as ce

    losses = {"softmax_cross_entropy", "sigmoid_cross_entropy", "linear_cross_entropy", "log_loss"}
    helpers = {"target_statistics", "linear_target_statistics", "loss_and_gradient", "show_config", "explain"}
    quantities = set(ce.information.__all__)
    modules = {"losses", "links", "targets", "information", "cross_entropy_method", "evaluation", "doctor"}
    assert set(ce.__all__) == losses | helpers | quantities | modules


def test_dir_shows_the_public_names_and_no_others():
    import crossentropy as ce

    assert dir(ce) == sorted([*ce.__all__, "boosting", "jax", "keras", "sklearn", "torch", "transformers"])
    assert dir(ce.losses) == sorted(ce.losses.__all__)
    assert dir(ce.links) == sorted(ce.links.__all__)


def test_dir_of_the_face_shows_the_public_names_and_no_others():
    pytest.importorskip("torch")
    import crossentropy as ce

    assert dir(ce.torch) == sorted([*ce.torch.__all__, "distributed"])


def test_dir_of_the_face_for_scikit_learn_shows_its_public_names():
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    import crossentropy as ce

    assert dir(ce.sklearn) == sorted(ce.sklearn.__all__)


def test_the_face_for_boosted_trees_imports_no_library_before_it_is_asked_for_one():
    loaded = python(
        "import crossentropy.boosting as b, sys; b.SoftmaxObjective(); print(*sys.modules)"
    ).split()
    assert not [name for name in FRAMEWORKS if name in loaded]
    assert python("import crossentropy as ce; print(*dir(ce.boosting))").split() == [
        "SigmoidObjective",
        "SoftmaxObjective",
    ]


def test_the_face_for_jax_shows_its_public_names_and_touches_no_other_framework():
    pytest.importorskip("jax")
    import crossentropy as ce

    assert dir(ce.jax) == sorted(ce.jax.__all__)
    loaded = python(
        """
        import sys, crossentropy.jax
        import jax.numpy as jnp
        crossentropy.jax.softmax_cross_entropy_with_integer_labels(jnp.zeros((2, 3)), jnp.array([0, 1]))
        print(*sys.modules)
        """
    ).split()
    assert not {"torch", "optax", "keras"} & set(loaded)


def test_every_import_of_all_names_touches_no_framework():
    loaded = python("from crossentropy import *; import sys; print(*sys.modules)").split()
    assert not [name for name in FRAMEWORKS if name in loaded]


def test_a_face_is_an_attribute_that_imports_its_framework_when_it_is_asked_for():
    pytest.importorskip("torch")
    out = python(
        """
        import sys
        import crossentropy as ce
        dir(ce)
        print("torch" in sys.modules)
        print(ce.torch.CrossEntropyLoss.__name__, ce.torch.distributed.__name__)
        """
    )
    assert out.split() == ["False", "CrossEntropyLoss", "crossentropy.torch.distributed"]


@pytest.mark.parametrize(
    ("face", "missing"),
    [
        ("torch", "torch"),
        ("jax", "jax"),
        ("keras", "keras"),
        ("sklearn", "sklearn"),
        ("sklearn", "torch"),
        ("transformers", "transformers"),
    ],
)
def test_a_face_without_its_framework_names_the_extra(face, missing):
    out = python(
        f"""
        import sys

        class Missing:
            def find_spec(self, name, *_):
                if name == "{missing}":
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        import crossentropy as ce
        try:
            ce.{face}
        except ImportError as error:
            print(error)
        """
    )
    assert f'pip install "crossentropy[{face}]"' in out


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_an_objective_without_its_library_names_the_extra(library):
    out = python(
        f"""
        import sys

        class Missing:
            def find_spec(self, name, *_):
                if name == "{library}":
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        from crossentropy.boosting import SoftmaxObjective
        try:
            SoftmaxObjective().{library}
        except ImportError as error:
            print(error)
        """
    )
    assert f'pip install "crossentropy[{library}]"' in out
