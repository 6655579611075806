// The row kernels as Python functions of addresses: who owns an array, and that it is the right one, is the
// caller's to know.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>

#include <vector>

#include "classes/curvature.hpp"
#include "rows/checks.hpp"
#include "rows/loss_terms.hpp"
#include "rows/norms.hpp"
#include "rows/problem.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_rows(nb::module_& m) {
  using namespace ce;
  nb::class_<View>(m, "View")
      .def("__init__",
           [](View* self, uintptr_t address, int dtype, int64_t outer, int64_t classes, int64_t inner) {
             new (self) View{address, static_cast<Dtype>(dtype), outer, classes, inner};
           },
           "address"_a, "dtype"_a, "outer_stride"_a, "class_stride"_a, "inner_stride"_a);
  nb::class_<Shape>(m, "Shape")
      .def("__init__",
           [](Shape* self, int64_t outer, int64_t classes, int64_t inner) {
             new (self) Shape{outer, classes, inner};
           },
           "outer"_a, "classes"_a, "inner"_a);
  nb::class_<Transform>(m, "Transform")
      .def("__init__",
           [](Transform* self, double scale, uintptr_t temperatures, double softcap, uintptr_t bias, double margin,
              uintptr_t class_margin) {
             new (self) Transform{scale, temperatures, softcap, bias, margin, class_margin};
           },
           "scale"_a = 1.0, "temperatures"_a = 0, "softcap"_a = 0.0, "bias"_a = 0, "margin"_a = 0.0,
           "class_margin"_a = 0);
  nb::class_<Target>(m, "Target")
      .def("__init__",
           [](Target* self, uintptr_t indices, int64_t k, bool has_ignore, int64_t ignore_index, bool foreign,
              const View* mask, const View* dense, uintptr_t class_weight) {
             new (self) Target{indices,
                               k,
                               has_ignore,
                               ignore_index,
                               foreign,
                               mask ? *mask : View{},
                               dense ? *dense : View{},
                               class_weight};
           },
           "indices"_a = 0, "k"_a = 1, "has_ignore"_a = false, "ignore_index"_a = 0, "foreign"_a = false,
           "mask"_a = nb::none(), "dense"_a = nb::none(), "class_weight"_a = 0);
  nb::class_<Prior>(m, "Prior")
      .def("__init__",
           [](Prior* self, bool present, uintptr_t values, double total) {
             new (self) Prior{present, values, total};
           },
           "present"_a = false, "values"_a = 0, "total"_a = 1.0);
  nb::class_<Statistics>(m, "Statistics")
      .def("__init__",
           [](Statistics* self, uintptr_t log_odds, uintptr_t top, uintptr_t rest, uintptr_t set_top,
              uintptr_t set_rest, uintptr_t log_partition, uintptr_t L_above_top, uintptr_t prior_term,
              uintptr_t dense_term, uintptr_t dense_total, uintptr_t entropy, uintptr_t argmax, uintptr_t rank) {
             new (self) Statistics{log_odds, top, rest, set_top, set_rest, log_partition, L_above_top,
                                   prior_term, dense_term, dense_total, entropy, argmax, rank};
           },
           "log_odds"_a = 0, "top"_a = 0, "rest"_a = 0, "set_top"_a = 0, "set_rest"_a = 0, "log_partition"_a = 0,
           "L_above_top"_a = 0, "prior_term"_a = 0, "dense_term"_a = 0, "dense_total"_a = 0,
           "entropy"_a = 0, "argmax"_a = 0, "rank"_a = 0);
  nb::class_<Cotangents>(m, "Cotangents")
      .def("__init__",
           [](Cotangents* self, uintptr_t log_odds, uintptr_t log_partition, uintptr_t prior_term,
              uintptr_t dense_term, uintptr_t entropy) {
             new (self) Cotangents{log_odds, log_partition, prior_term, dense_term, entropy};
           },
           "log_odds"_a = 0, "log_partition"_a = 0, "prior_term"_a = 0, "dense_term"_a = 0, "entropy"_a = 0);
  nb::class_<Gradients>(m, "Gradients")
      .def("__init__",
           [](Gradients* self, const View& logits, const View* dense, uintptr_t scale, uintptr_t target,
              bool before_transform) {
             new (self) Gradients{logits, dense ? *dense : View{}, scale, target, before_transform};
           },
           "logits"_a, "dense"_a = nb::none(), "scale"_a = 0, "target"_a = 0, "before_transform"_a = false);

  const auto free_threads = nb::call_guard<nb::gil_scoped_release>();
  m.def("row_statistics", &row_statistics, "logits"_a, "shape"_a, "transform"_a, "target"_a, "prior"_a, "out"_a,
        "threads"_a, free_threads);
  m.def("row_pullback", &row_pullback, "logits"_a, "shape"_a, "transform"_a, "target"_a, "prior"_a, "saved"_a,
        "upstream"_a, "out"_a, "threads"_a, free_threads);
  m.def("row_curvature", &row_curvature, "logits"_a, "shape"_a, "transform"_a, "target"_a, "prior"_a, "upstream"_a,
        "direction"_a, "out"_a, "tangents"_a, "threads"_a, free_threads);
  m.def("focal_rows",
        [](uintptr_t log_odds, int64_t n, double gamma, uintptr_t loss, uintptr_t slope, int threads) {
          focal_rows(reinterpret_cast<const double*>(log_odds), n, gamma, reinterpret_cast<double*>(loss),
                     reinterpret_cast<double*>(slope), threads);
        },
        "log_odds"_a, "n"_a, "gamma"_a, "loss"_a, "slope"_a, "threads"_a, free_threads);
  m.def("divide_by_norms",
        [](uintptr_t x, int dtype, int64_t n, int64_t width, uintptr_t y, uintptr_t norms, int threads) {
          divide_by_norms(x, Dtype(dtype), n, width, y, pointer<double>(norms), threads);
        },
        "x"_a, "dtype"_a, "n"_a, "width"_a, "y"_a, "norms"_a, "threads"_a, free_threads);
  m.def("pull_from_norms",
        [](uintptr_t x, int dtype, int64_t n, int64_t width, uintptr_t norms, uintptr_t upstream, uintptr_t gradient,
           int threads) {
          pull_from_norms(x, Dtype(dtype), n, width, pointer<const double>(norms), upstream, gradient, threads);
        },
        "x"_a, "dtype"_a, "n"_a, "width"_a, "norms"_a, "upstream"_a, "gradient"_a, "threads"_a, free_threads);
  m.def("sum_of_rows",
        [](uintptr_t x, int64_t n) { return sum_of_rows(reinterpret_cast<const double*>(x), n); },
        "x"_a, "n"_a, free_threads);
  m.def("rows_with_any",
        [](const View& mask, const Shape& shape, uintptr_t has_any, int threads) {
          rows_with_any(mask, shape, reinterpret_cast<uint8_t*>(has_any), threads);
        },
        "mask"_a, "shape"_a, "has_any"_a, "threads"_a, free_threads);
  m.def("are_probabilities", &are_probabilities, "x"_a, "shape"_a, free_threads);
  m.def("probability_rows",
        [](const View& probabilities, const Shape& shape, uintptr_t labels, uintptr_t sums, uintptr_t picked,
           int threads) {
          probability_rows(probabilities, shape, reinterpret_cast<const int64_t*>(labels),
                           reinterpret_cast<double*>(sums), reinterpret_cast<double*>(picked), threads);
        },
        "probabilities"_a, "shape"_a, "labels"_a, "sums"_a, "picked"_a, "threads"_a, free_threads);
}
