#include <nanobind/nanobind.h>

#include "matmul/product.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_product(nb::module_& m) {
  m.def("has_wide_vectors", &ce::has_wide_vectors);
  m.def("product",
        [](uintptr_t a, int64_t a_row, int64_t a_column, uintptr_t b, int64_t b_row, int64_t b_column, uintptr_t c,
           int64_t c_row, int64_t m, int64_t n, int64_t k, bool add, int threads) {
          ce::product({reinterpret_cast<const float*>(a), a_row, a_column},
                      {reinterpret_cast<const float*>(b), b_row, b_column}, reinterpret_cast<float*>(c), c_row, m, n, k,
                      add, threads);
        },
        "a"_a, "a_row"_a, "a_column"_a, "b"_a, "b_row"_a, "b_column"_a, "c"_a, "c_row"_a, "m"_a, "n"_a, "k"_a, "add"_a,
        "threads"_a, nb::call_guard<nb::gil_scoped_release>());
}
