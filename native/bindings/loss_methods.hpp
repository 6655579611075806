// The methods of a loss of rows, as Python calls them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "rows/loss.hpp"

namespace nb = nanobind;

template <class Loss>
void bind_loss_methods(nb::class_<Loss>& loss) {
  using namespace nb::literals;
  loss.def("has_probabilities", &Loss::has_probabilities)
      .def(
          "evaluate",
          [](Loss& self, uintptr_t losses, int threads) {
            ce::RowLossTotals totals;
            {
              nb::gil_scoped_release release;
              totals = self.evaluate(losses, threads);
            }
            return std::make_tuple(totals.loss, totals.mass, totals.least_mass, totals.counted, totals.bad_row,
                                   totals.empty_row, totals.mass_error);
          },
          "losses"_a, "threads"_a)
      .def(
          "pullback",
          [](const Loss& self, uintptr_t logits, double factor, uintptr_t upstream, uintptr_t gradient, int dtype,
             int64_t outer_stride, int64_t class_stride, int64_t inner_stride, int threads) {
            self.pullback(logits, factor, ce::pointer<const double>(upstream),
                          {gradient, ce::Dtype(dtype), outer_stride, class_stride, inner_stride}, threads);
          },
          "logits"_a, "factor"_a, "upstream"_a, "gradient"_a, "dtype"_a, "outer_stride"_a, "class_stride"_a,
          "inner_stride"_a, "threads"_a, nb::call_guard<nb::gil_scoped_release>());
}
