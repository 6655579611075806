// `label_loss` as one call of plain numbers: even building the structs from Python would cost more than the loss.
#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "label_loss.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

ce::Target labels_at(uintptr_t address, bool has_ignore, int64_t ignore_index) {
  ce::Target target;
  target.indices = address;
  target.has_ignore = has_ignore;
  target.ignore_index = ignore_index;
  return target;
}

}  // namespace

void bind_label_loss(nb::module_& m) {
  using namespace ce;
  m.def(
      "label_loss",
      [](uintptr_t logits, int dtype, int64_t outer, int64_t classes, int64_t inner, int64_t outer_stride,
         int64_t class_stride, int64_t inner_stride, uintptr_t labels, bool has_ignore, int64_t ignore_index,
         double gamma, uintptr_t planes, int threads) {
        LabelTotals totals;
        {
          nb::gil_scoped_release release;
          const Shape shape{outer, classes, inner};
          totals = label_loss({logits, Dtype(dtype), outer_stride, class_stride, inner_stride}, shape,
                              labels_at(labels, has_ignore, ignore_index), gamma,
                              LabelPlanes(planes, shape.rows()), threads);
        }
        return std::make_tuple(totals.loss, totals.kept, totals.bad_row);
      },
      "logits"_a, "dtype"_a, "outer"_a, "classes"_a, "inner"_a, "outer_stride"_a, "class_stride"_a,
      "inner_stride"_a, "labels"_a, "has_ignore"_a, "ignore_index"_a, "gamma"_a, "planes"_a, "threads"_a);
  m.def(
      "label_loss_gradient",
      [](uintptr_t logits, int dtype, int64_t outer, int64_t classes, int64_t inner, int64_t outer_stride,
         int64_t class_stride, int64_t inner_stride, uintptr_t labels, bool has_ignore, int64_t ignore_index,
         uintptr_t planes, double factor, uintptr_t gradient, int64_t gradient_outer,
         int64_t gradient_class, int64_t gradient_inner, int threads) {
        const Shape shape{outer, classes, inner};
        label_loss_gradient({logits, Dtype(dtype), outer_stride, class_stride, inner_stride}, shape,
                            labels_at(labels, has_ignore, ignore_index), LabelPlanes(planes, shape.rows()),
                            factor,
                            {gradient, Dtype(dtype), gradient_outer, gradient_class, gradient_inner}, threads);
      },
      "logits"_a, "dtype"_a, "outer"_a, "classes"_a, "inner"_a, "outer_stride"_a, "class_stride"_a,
      "inner_stride"_a, "labels"_a, "has_ignore"_a, "ignore_index"_a, "planes"_a, "factor"_a,
      "gradient"_a, "gradient_outer"_a, "gradient_class"_a, "gradient_inner"_a, "threads"_a,
      nb::call_guard<nb::gil_scoped_release>());
}
