#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "sigmoid/sigmoid.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_sigmoid(nb::module_& m) {
  using ce::Dtype;
  using ce::SigmoidProblem;

  nb::class_<SigmoidProblem>(m, "SigmoidProblem", "Arrays by address, and what the loss is; see sigmoid.hpp.")
      .def(
          "__init__",
          [](SigmoidProblem* self, uintptr_t logits, int logits_type, uintptr_t labels, int labels_type,
             int64_t size, int64_t classes, int64_t inner, uintptr_t sample_weight, bool weight_per_row,
             uintptr_t positive_weight, uintptr_t negative_weight, double smoothing, double positive_gamma,
             double negative_gamma, double negative_shift) {
            new (self) SigmoidProblem{logits,          Dtype(logits_type), labels,
                                      Dtype(labels_type), size,            classes,
                                      inner,           sample_weight,        weight_per_row,
                                      positive_weight, negative_weight,      smoothing,
                                      positive_gamma,  negative_gamma,       negative_shift};
          },
          "logits"_a, "logits_type"_a, "labels"_a, "labels_type"_a, "size"_a, "classes"_a, "inner"_a,
          "sample_weight"_a, "weight_per_row"_a, "positive_weight"_a, "negative_weight"_a, "smoothing"_a,
          "positive_gamma"_a, "negative_gamma"_a, "negative_shift"_a);

  m.def(
      "sigmoid_loss",
      [](const SigmoidProblem& problem, uintptr_t losses, int threads) {
        ce::SigmoidTotals totals;
        {
          nb::gil_scoped_release release;
          totals = ce::sigmoid_loss(problem, losses, threads);
        }
        return std::make_tuple(totals.loss, totals.weight, totals.least_weight, totals.invalid_label);
      },
      "problem"_a, "losses"_a, "threads"_a,
      "Sum of the losses, sum of the weights, least weight if negative, first invalid label or -1.");

  m.def("sigmoid_gradient", &ce::sigmoid_gradient, "problem"_a, "scale"_a, "upstream"_a, "gradient"_a,
        "threads"_a, nb::call_guard<nb::gil_scoped_release>(),
        "Writes the gradient by the logits, times a scale or times one upstream factor for each element.");

  m.def("sigmoid_derivatives", &ce::sigmoid_derivatives, "problem"_a, "positive"_a, "first"_a, "second"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>(),
        "Writes the first and second derivative by each logit of its loss; returns the first invalid label or -1.");
}
