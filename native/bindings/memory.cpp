#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "common/memory.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_memory(nb::module_& m) {
  m.def("acquire_memory",
        [](size_t bytes) {
          ce::Block* block = ce::acquire(bytes);
          nb::capsule owner(block, [](void* p) noexcept { ce::release(static_cast<ce::Block*>(p)); });
          return nb::ndarray<nb::array_api, uint8_t, nb::ndim<1>>(block->begin, {bytes}, owner);
        },
        "bytes"_a);
  m.def("release_kept_memory", &ce::release_kept);
}
