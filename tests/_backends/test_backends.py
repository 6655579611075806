"""Which library an array belongs to, without importing any."""

import subprocess
import sys

import numpy as np
import pytest

from crossentropy._arguments.arrays import as_arrays
from crossentropy._backends import (
    as_indices,
    constant,
    device,
    index_dtype,
    is_jax,
    is_numpy,
    is_torch,
    loss_dtype,
    namespace,
    total,
    widest_dtype,
)
from crossentropy._backends.conditions import first_true, is_true


def test_importing_it_imports_no_framework():
    code = (
        "import sys, crossentropy._backends; "
        "print(*({'torch', 'jax', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_asking_about_an_array_imports_no_framework():
    code = (
        "import sys, numpy, crossentropy._backends as b, crossentropy._backends.conditions as c; x = numpy.ones(2); "
        "b.namespace(x, 1.0), b.is_torch(x), c.is_true(b.total(x, 0) == 2); "
        "print(*({'torch', 'jax', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("value", [np.ones(2), np.float32(1.0), 1.0, 3, True, [0.5, 0.5], (1.0,)], ids=repr)
def test_numpys_and_pythons_values_belong_to_numpy(value):
    assert namespace(value).__name__ == "array_api_compat.numpy"
    assert not is_torch(value)


def test_only_arrays_and_numpys_scalars_are_numpys():
    assert is_numpy(np.ones(2))
    assert is_numpy(np.float64(1.0))
    assert not is_numpy(1.0)
    assert not is_numpy([1.0])


def test_a_tensor_belongs_to_torch_whatever_python_values_stand_beside_it():
    torch = pytest.importorskip("torch")
    assert namespace([1.0], torch.ones(2), 1.0, None).__name__ == "array_api_compat.torch"
    assert is_torch(torch.ones(2))
    assert is_torch(torch.nn.Parameter(torch.ones(2)))
    assert not is_numpy(torch.ones(2))


def test_a_strict_array_belongs_to_its_own_library():
    strict = pytest.importorskip("array_api_strict")
    assert namespace(strict.ones(2)) is strict


def test_arrays_of_two_libraries_are_refused_by_name():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"got numpy\.ndarray and torch\.Tensor; pass arrays of one library"):
        namespace(np.ones(2), torch.ones(2))


def test_a_value_that_is_no_array_is_refused_by_name():
    with pytest.raises(TypeError, match=r"got builtins\.dict; pass arrays of one library, for example numpy"):
        namespace({"p": 1.0})


def test_arrays_pass_through_untouched():
    x = np.ones(2, dtype=np.float32)
    assert as_arrays(x=x)[1][0] is x


def test_lists_become_float64_of_the_library_beside_them():
    torch = pytest.importorskip("torch")
    q = as_arrays(q=[0.3, 0.7], p=torch.ones(2))[1][0]
    assert q.dtype == torch.float64
    assert q.tolist() == [0.3, 0.7]
    _, (q,) = as_arrays(q=[0.3, 0.7])
    assert q.dtype == np.float64


def test_lists_of_integers_stay_integers():
    assert as_arrays(y=[1, 2])[1][0].dtype.kind == "i"


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_totals_are_added_up_in_float64(library):
    xp = pytest.importorskip(library)
    tenths = total(xp.full((10_000, 2), 1e-4, dtype=xp.float32), 0)
    assert tenths.dtype == xp.float64
    assert abs(float(tenths[0]) - 1e4 * float(np.float32(1e-4))) < 1e-12


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 0, 2), (1, 2, 3)])
def test_the_first_true_value_is_found(place):
    flags = np.zeros((2, 3, 4), dtype=bool)
    flags[place] = True
    flags[1, 2, 3] = True
    assert first_true(flags) == place


def test_values_that_can_be_read_are():
    assert is_true(np.asarray(True))
    assert not is_true(np.asarray(False))
    torch = pytest.importorskip("torch")
    assert is_true(torch.tensor(True))
    assert not is_true(torch.tensor(False))


def test_values_that_cannot_be_read_are_not_true():
    torch = pytest.importorskip("torch")
    seen = []
    torch.func.vmap(lambda x: (seen.append(is_true(x > 0)), x)[1])(torch.ones(3))
    assert seen == [False]
    assert not is_true(torch.ones((), dtype=torch.bool, device="meta"))


def test_a_compiled_function_reads_no_values():
    torch = pytest.importorskip("torch")

    @torch.compile(fullgraph=True, backend="eager")
    def sign(x):
        return -x if is_true(x > 0) else x

    assert float(sign(torch.ones(()))) == 1.0


def test_traced_jax_values_are_not_true():
    jax = pytest.importorskip("jax")
    assert float(jax.jit(lambda x: -x if is_true(x > 0) else x)(1.0)) == 1.0


# ----------------------------------------------------------------------------------------------- JAX


def test_an_array_of_jax_is_one_while_it_is_traced_too():
    jax = pytest.importorskip("jax")
    seen = []
    jax.jit(lambda x: (seen.append(is_jax(x)), x)[1])(jax.numpy.ones(2))
    assert seen == [True]
    assert is_jax(jax.numpy.ones(2))
    assert not is_jax(np.ones(2))


def test_numpys_arrays_beside_those_of_jax_become_jaxs():
    jnp = pytest.importorskip("jax").numpy
    xp, arrays = as_arrays(a=np.ones(2, dtype=np.float32), b=jnp.ones(2), c=np.float32(1), d=0.5)
    assert xp is jnp
    assert all(is_jax(x) for x in arrays)


def test_traced_values_may_be_combined_with_new_arrays_beside_them():
    jax = pytest.importorskip("jax")
    added = jax.jit(lambda x: x + jax.numpy.arange(2.0, device=device(x)))(jax.numpy.ones(2))
    assert added.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("wide", [False, True])
def test_types_are_the_widest_that_jax_has_been_told_to_keep(wide):
    jax = pytest.importorskip("jax")
    owner = jax if hasattr(jax, "enable_x64") else jax.experimental
    with owner.enable_x64(wide):
        x = jax.numpy.ones(2, dtype="float32")
        assert np.dtype(widest_dtype(x)) == ("float64" if wide else "float32")
        assert np.dtype(index_dtype(x)) == ("int64" if wide else "int32")
        assert as_indices(jax.numpy.ones(2, dtype="int8")).dtype == index_dtype(x)
        assert np.dtype(loss_dtype(x)) == "float32"
        assert total(x, 0).dtype == widest_dtype(x)


def test_a_constant_has_no_derivative():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    assert not constant(torch.ones(1, requires_grad=True)).requires_grad
    assert jax.grad(lambda x: x * constant(x))(3.0) == 3.0
    x = np.ones(1)
    assert constant(x) is x


# --------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("longdouble", "float64")],
)
def test_losses_are_float32_or_float64(dtype, expected):
    if dtype == "longdouble" and np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("a long double of 64 bits")
    assert np.dtype(loss_dtype(np.ones(1, dtype=dtype))) == expected


def test_labels_of_the_right_type_are_not_copied():
    y = np.zeros(2, dtype=np.int64)
    assert as_indices(y) is y
    assert as_indices(y.astype(np.uint8)).dtype == np.int64
