#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "classes/divergence.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

ce::DivergenceRows rows_of(int kind, std::vector<ce::View> logits, const ce::Shape& shape, double scale,
                           uintptr_t alive) {
  return {ce::DivergenceOf(kind), std::move(logits), shape, scale, ce::pointer<const uint8_t>(alive)};
}

}  // namespace

void bind_divergence(nb::module_& m) {
  const auto free_threads = nb::call_guard<nb::gil_scoped_release>();
  m.def("divergence_rows",
        [](int kind, std::vector<ce::View> logits, const ce::Shape& shape, double scale, uintptr_t alive,
           uintptr_t values, int threads) {
          ce::divergence_rows(rows_of(kind, std::move(logits), shape, scale, alive), ce::pointer<double>(values),
                              threads);
        },
        "kind"_a, "logits"_a, "shape"_a, "scale"_a, "alive"_a, "values"_a, "threads"_a, free_threads);
  m.def("divergence_slopes",
        [](int kind, std::vector<ce::View> logits, const ce::Shape& shape, double scale, uintptr_t alive,
           uintptr_t upstream, std::vector<ce::View> gradients, int threads) {
          ce::divergence_slopes(rows_of(kind, std::move(logits), shape, scale, alive),
                                ce::pointer<const double>(upstream), gradients, threads);
        },
        "kind"_a, "logits"_a, "shape"_a, "scale"_a, "alive"_a, "upstream"_a, "gradients"_a, "threads"_a,
        free_threads);
}
