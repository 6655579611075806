"""Docstrings of public functions: every section, and in Returns the dtype and the unit."""

import importlib
import inspect
import re

import pytest

import crossentropy as ce

UNIT = re.compile(r"\bnats\b|\bdimensionless\b|units of ``log base``", re.IGNORECASE)
DTYPE = re.compile(r"\bfloat(64|32)\b|\bdtype\b", re.IGNORECASE)


def public_functions():
    """Public functions of the package and its faces by qualified name, each once."""
    modules = [ce.losses, ce.information, ce]
    if _has("torch"):
        modules += [ce.torch, ce.torch.distributed]
    functions = {}
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if name == "show_config":  # prints, and takes and returns nothing
                continue
            if inspect.isfunction(value) and value.__module__.startswith("crossentropy."):
                functions.setdefault(value, f"{module.__name__}.{name}")
    return {name: function for function, name in functions.items()}


def _has(library):
    try:
        importlib.import_module(library)
    except ImportError:
        return False
    return True


def public_callables():
    """All that can be called by a public name: functions, losses that are objects, links, targets, modules,
    estimators."""
    modules = [ce, ce.losses, ce.links, ce.targets, ce.information, ce.cross_entropy_method, ce.boosting]
    if _has("torch"):
        modules += [ce.torch, ce.torch.distributed]
    if _has("torch") and _has("sklearn"):
        modules += [ce.sklearn]
    if _has("jax"):
        modules += [ce.jax]
    found = {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in m.__all__}
    errors = {
        name for name, value in found.items() if isinstance(value, type) and issubclass(value, Exception)
    }
    return {name: value for name, value in found.items() if callable(value) and name not in errors}


FUNCTIONS = public_functions()
GENERATORS = {name for name, function in FUNCTIONS.items() if "Yields\n" in inspect.getdoc(function)}
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def section(name, title):
    """The text of one section of a NumPy docstring, empty if there is none."""
    text = inspect.getdoc(FUNCTIONS[name])
    match = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n[A-Z][A-Za-z ]+\n---|\Z)", text, re.DOTALL | re.MULTILINE)
    return match[1] if match else ""


def test_the_functions_are_found():
    assert len(FUNCTIONS) > 60
    assert section("crossentropy.losses.focal_loss", "Returns").startswith("array () or the rows' shape\n")


@each_function
def test_a_docstring_has_every_section(name):
    returns = "Yields" if name in GENERATORS else "Returns"
    assert not [title for title in ("Parameters", returns, "Raises", "Examples") if not section(name, title)]


@each_function
def test_what_is_returned_has_a_shape_a_dtype_and_a_unit(name):
    text = section(name, "Yields" if name in GENERATORS else "Returns")
    first, *described = text.split("\n")
    assert re.search(r"\(.*\)|shape|Tensor|TargetStatistics|Sparse|tuple|: ", first), text
    assert DTYPE.search("\n".join(described)), text
    assert UNIT.search("\n".join(described)), text


def parameters(function):
    """What a docstring says of each parameter."""
    text, names, found = inspect.getdoc(function), [], {}
    match = re.search(
        r"^Parameters\n-+\n(.*?)(?=\n\n[A-Z][A-Za-z ]+\n---|\Z)", text, re.DOTALL | re.MULTILINE
    )
    for line in (match[1] if match else "").split("\n"):
        if line and not line.startswith(" "):
            names = [name.strip().lstrip("*") for name in line.split(" : ")[0].split(",")]
            found |= dict.fromkeys(names, "")
        for name in names:
            found[name] += line[4:] + " " if line.startswith(" ") else ""
    return found


def referred_to(function, text):
    """The function that a parameter's text refers to by "As in `name`", if any."""
    match = re.match(r"As in `([\w.]+)`", text)
    if not match:
        return None
    first, *rest = match[1].split(".")
    value = ce if first == "crossentropy" else inspect.unwrap(function).__globals__.get(first)
    for name in rest:
        value = getattr(value, name)
    return value


@each_function
def test_a_parameter_refers_to_a_docstring_that_says_it(name):
    """And not to one that refers to a third."""
    chains = []
    for parameter, text in parameters(FUNCTIONS[name]).items():
        second = referred_to(FUNCTIONS[name], text)
        third = second and referred_to(second, parameters(second).get(parameter, ""))
        if third:
            chains.append((parameter, second.__qualname__, third.__qualname__))
    assert chains == []


def test_signatures_fit_a_screen():
    """As `help` writes them: at most ten lines of eighty characters."""
    lengths = {name: len(str(inspect.signature(value))) for name, value in public_callables().items()}
    assert {name: length for name, length in lengths.items() if length > 800} == {}
