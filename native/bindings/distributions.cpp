#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include "distributions/row_sums.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_distributions(nb::module_& m) {
  m.def("distribution_sums",
        [](int quantity, uintptr_t p, uintptr_t q, int dtype, int64_t rows, int64_t classes, uintptr_t factors,
           int64_t period, uintptr_t values, int threads) {
          const ce::DistributionRows in{ce::Quantity(quantity), p, q, ce::Dtype(dtype), rows, classes,
                                        ce::pointer<const double>(factors), period};
          const auto checks = ce::row_sums(in, ce::pointer<double>(values), threads);
          return std::tuple(checks.valid, checks.finite, checks.p_miss, checks.q_miss);
        },
        "quantity"_a, "p"_a, "q"_a, "dtype"_a, "rows"_a, "classes"_a, "factors"_a, "period"_a, "values"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>());
}
