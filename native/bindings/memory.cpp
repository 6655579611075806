#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <vector>

#include "common/lanes.hpp"
#include "common/memory.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// float32 numbers as float64 ones, in memory of their own.
struct Widened {
  Widened(uintptr_t from, int64_t n) : values(ce::pointer<const float>(from), ce::pointer<const float>(from) + n) {}
  std::vector<double> values;
};

bool all_positive(uintptr_t address, int dtype, int64_t n) {
  bool wrong = false;
  ce::with_floating(ce::Dtype(dtype), [&](auto stored) {
    const auto* x = ce::pointer<const decltype(stored)>(address);
    for (int64_t i = 0; i < n; ++i) wrong |= !(ce::widen(x[i]) > 0);  // NaN too
  });
  return !wrong;
}

// Where the first element of a NumPy array is.
uintptr_t address(nb::handle array) {
  Py_buffer view;
  if (PyObject_GetBuffer(array.ptr(), &view, PyBUF_STRIDES) != 0) {  // NumPy exports no buffer of bfloat16
    PyErr_Clear();
    return nb::cast<uintptr_t>(array.attr("__array_interface__")["data"][nb::int_(0)]);
  }
  const auto found = reinterpret_cast<uintptr_t>(view.buf);
  PyBuffer_Release(&view);
  return found;
}

}  // namespace

void bind_memory(nb::module_& m) {
  m.def("acquire_memory",
        [](size_t bytes) {
          ce::Block* block = ce::acquire(bytes);
          nb::capsule owner(block, [](void* p) noexcept { ce::release(static_cast<ce::Block*>(p)); });
          return nb::ndarray<nb::array_api, uint8_t, nb::ndim<1>>(block->begin, {bytes}, owner);
        },
        "bytes"_a);
  m.def("release_kept_memory", &ce::release_kept);
  nb::class_<Widened>(m, "Widened")
      .def(nb::init<uintptr_t, int64_t>(), "address"_a, "n"_a)
      .def_prop_ro("address", [](const Widened& x) { return reinterpret_cast<uintptr_t>(x.values.data()); });
  m.def("address", &address, "array"_a);
  m.def("all_positive", &all_positive, "address"_a, "dtype"_a, "n"_a);
}
