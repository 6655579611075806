// `ClassLoss` made of plain numbers, with the methods of `RowLoss`.
#include "bindings/loss_methods.hpp"
#include "classes/class_loss.hpp"

using namespace nb::literals;

void bind_class_loss(nb::module_& m) {
  using namespace ce;
  nb::class_<ClassLoss> loss(m, "ClassLoss");
  loss.def("__init__",
           [](ClassLoss* self, int formula, double parameter, double factor, int steps, uintptr_t logits, int dtype,
              int64_t outer, int64_t classes, int64_t inner, int64_t outer_stride, int64_t class_stride,
              int64_t inner_stride, double scale, uintptr_t labels, bool has_ignore, int64_t ignore_index, const View* masses,
              double smoothing, uintptr_t smoothing_prior, uintptr_t class_weight, bool single_weight,
              uintptr_t sample_weight, uintptr_t divisors) {
             Target target;
             target.indices = labels;
             target.has_ignore = has_ignore;
             target.ignore_index = ignore_index;
             if (masses) target.dense = *masses;
             RowTerms terms;
             terms.smoothing = smoothing;
             terms.smoothing_prior = pointer<const double>(smoothing_prior);
             terms.class_weight = single_weight ? nullptr : pointer<const double>(class_weight);
             terms.sample_weight = pointer<const double>(sample_weight);
             terms.divisors = pointer<const double>(divisors);
             new (self) ClassLoss({Formula(formula), {parameter, factor, steps}, scale},
                                  {logits, Dtype(dtype), outer_stride, class_stride, inner_stride},
                                  {outer, classes, inner}, target, terms,
                                  single_weight ? pointer<const float>(class_weight) : nullptr);
           },
           "formula"_a, "parameter"_a, "factor"_a, "steps"_a, "logits"_a, "dtype"_a, "outer"_a, "classes"_a, "inner"_a,
           "outer_stride"_a, "class_stride"_a, "inner_stride"_a, "scale"_a, "labels"_a, "has_ignore"_a,
           "ignore_index"_a, "masses"_a.none(), "smoothing"_a, "smoothing_prior"_a, "class_weight"_a,
           "single_weight"_a, "sample_weight"_a, "divisors"_a);
  bind_loss_methods(loss);
  loss.def("pullback_along",
           [](const ClassLoss& self, uintptr_t logits, double factor, uintptr_t upstream, const View& direction,
              const View& out, int threads) {
             self.pullback_along(logits, factor, pointer<const double>(upstream), direction, out, threads);
           },
           "logits"_a, "factor"_a, "upstream"_a, "direction"_a, "out"_a, "threads"_a,
           nb::call_guard<nb::gil_scoped_release>());
}
