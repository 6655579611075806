#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "classes/divergence.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_divergence(nb::module_& m) {
  m.def("divergence_rows",
        [](int kind, std::vector<ce::View> logits, const ce::Shape& shape, double scale, uintptr_t alive,
           uintptr_t values, const std::vector<ce::View>& gradients, int threads) {
          const ce::DivergenceRows in{ce::DivergenceOf(kind), std::move(logits), shape, scale,
                                      ce::pointer<const uint8_t>(alive)};
          ce::divergence_rows(in, ce::pointer<double>(values), gradients, threads);
        },
        "kind"_a, "logits"_a, "shape"_a, "scale"_a, "alive"_a, "values"_a, "gradients"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>());
  m.def("divergence_rows_along",
        [](int kind, std::vector<ce::View> logits, const ce::Shape& shape, double scale, uintptr_t alive,
           uintptr_t upstream, const std::vector<ce::View>& directions, const std::vector<ce::View>& outs,
           int threads) {
          const ce::DivergenceRows in{ce::DivergenceOf(kind), std::move(logits), shape, scale,
                                      ce::pointer<const uint8_t>(alive)};
          ce::divergence_rows_along(in, ce::pointer<const double>(upstream), directions, outs, threads);
        },
        "kind"_a, "logits"_a, "shape"_a, "scale"_a, "alive"_a, "upstream"_a, "directions"_a, "outs"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>());
}
