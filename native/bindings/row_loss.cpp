// `RowLoss` made of plain numbers: even building its parts from Python would cost more than the loss.
#include <nanobind/stl/vector.h>

#include "bindings/loss_methods.hpp"

using namespace nb::literals;

namespace {

const double* doubles(uintptr_t address) { return reinterpret_cast<const double*>(address); }

}  // namespace

void bind_row_loss(nb::module_& m) {
  using namespace ce;
  nb::class_<RowLoss> loss(m, "RowLoss");
  loss.def("__init__",
           [](RowLoss* self, uintptr_t logits, int dtype, int64_t outer, int64_t classes, int64_t inner,
              int64_t outer_stride, int64_t class_stride, int64_t inner_stride, const Transform& transform,
              uintptr_t labels, int64_t k, bool has_ignore, int64_t ignore_index, uintptr_t mask, int link,
              std::vector<double> link_numbers, uintptr_t link_a, uintptr_t link_b, double smoothing,
              uintptr_t smoothing_prior, double z_loss, double entropy_bonus, uintptr_t class_weight, bool single_weight,
              uintptr_t masses, uintptr_t sample_weight, uintptr_t divisors) {
             Target target;
             target.indices = labels;
             target.k = k;
             target.has_ignore = has_ignore;
             target.ignore_index = ignore_index;
             if (mask) target.mask = {mask, Dtype::kFloat32, classes * inner, inner, 1};
             new (self) RowLoss({logits, Dtype(dtype), outer_stride, class_stride, inner_stride},
                                {outer, classes, inner}, transform, target,
                                {{LinkKind(link), std::move(link_numbers), doubles(link_a), doubles(link_b)}, smoothing,
                                 doubles(smoothing_prior), z_loss, entropy_bonus,
                                 single_weight ? nullptr : doubles(class_weight), doubles(masses),
                                 doubles(sample_weight), doubles(divisors)},
                                single_weight ? reinterpret_cast<const float*>(class_weight) : nullptr);
           },
           "logits"_a, "dtype"_a, "outer"_a, "classes"_a, "inner"_a, "outer_stride"_a, "class_stride"_a,
           "inner_stride"_a, "transform"_a, "labels"_a, "k"_a, "has_ignore"_a, "ignore_index"_a,
           "mask"_a, "link"_a, "link_numbers"_a, "link_a"_a, "link_b"_a, "smoothing"_a,
           "smoothing_prior"_a, "z_loss"_a, "entropy_bonus"_a, "class_weight"_a,
           "single_weight"_a, "masses"_a, "sample_weight"_a, "divisors"_a);
  bind_loss_methods(loss);
}
