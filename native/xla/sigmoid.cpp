// Arguments: logits, labels, and then those of sample weights, w₊ and w₋ that there are. Results: the losses, or the sums of
// those of a row, and their derivatives by the logits if there is a second. All but labels have the logits' type, float32
// or float64.
#include "xla/sigmoid.hpp"

#include "common/memory.hpp"
#include "sigmoid/sigmoid.hpp"
#include "xla/handler.hpp"

namespace ce::xla {
namespace {

// Attribute `problem`, numbers in this order; see _engine/sigmoid/jax_elements.py.
struct Settings {
  double threads;
  double classes, inner;
  double has_sample_weight, weight_per_row;
  double class_weights;  // how many: none, w₊, or w₊ and w₋
  double smoothing;
  double positive_gamma, negative_gamma;
  double negative_shift;
  double summed;  // whether the losses are sums over the classes and what lies behind them
};

struct Elements {
  SigmoidProblem problem{};
  int threads;
  int64_t together;  // losses that are summed

  explicit Elements(const Call& call) {
    Settings settings;
    read_settings(call, Type::kFloat64, settings);
    threads = int(settings.threads);
    const Buffer &logits = argument(call, 0), &labels = argument(call, 1);
    int64_t next = 2;
    const auto weights = [&](bool present) { return present ? address(argument(call, next++).data) : 0; };
    problem.logits = address(logits.data);
    problem.logits_type = dtype_of(logits.type);
    problem.labels = address(labels.data);
    problem.labels_type = dtype_of(labels.type);
    problem.size = 1;
    for (int64_t i = 0; i < logits.rank; ++i) problem.size *= logits.sizes[i];
    problem.classes = int64_t(settings.classes);
    problem.inner = int64_t(settings.inner);
    problem.sample_weight = weights(settings.has_sample_weight != 0.0);
    problem.weight_per_row = settings.weight_per_row != 0.0;
    problem.positive_weight = weights(settings.class_weights >= 1.0);
    problem.negative_weight = weights(settings.class_weights >= 2.0);
    problem.smoothing = settings.smoothing;
    problem.positive_gamma = settings.positive_gamma;
    problem.negative_gamma = settings.negative_gamma;
    problem.negative_shift = settings.negative_shift;
    together = settings.summed != 0.0 ? problem.classes * problem.inner : 1;
  }
};

// The address of a result of so many elements, whose memory is new in every step.
uintptr_t place_of(const Buffer& x, int64_t size) {
  char* first = static_cast<char*>(x.data);
  const size_t bytes = size_t(size * size_of(dtype_of(x.type)));
  LargePages(first, bytes).prepare(first, first + bytes);
  return address(first);
}

}  // namespace

Error* sigmoid_losses(Call* call) {
  return handled(call, [](const Call& call) {
    const Elements elements(call);
    const int64_t size = elements.problem.size;
    const uintptr_t losses = place_of(result(call, 0), size / elements.together);
    const uintptr_t slopes = call.results.size > 1 ? place_of(result(call, 1), size) : 0;
    sigmoid_loss(elements.problem, losses, elements.threads, slopes, elements.together);
  });
}

}  // namespace ce::xla
