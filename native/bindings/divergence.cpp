#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "classes/curvature.hpp"
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
  m.def("curvature_rows",
        [](const ce::View& logits, const ce::Shape& shape, double scale, uintptr_t bias, uintptr_t factors,
           const ce::View& direction, const ce::View& out, int threads) {
          ce::curvature_rows({logits, shape, scale, ce::pointer<const double>(bias)},
                             ce::pointer<const double>(factors), direction, out, threads);
        },
        "logits"_a, "shape"_a, "scale"_a, "bias"_a, "factors"_a, "direction"_a, "out"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>());
}
