// Arguments of a loss: logits, target, and then those of class weights, smoothing prior and table of masses that there are;
// of its pullback then what the formula has kept, if anything, and the cotangents of the losses. The results are the loss
// of every row and, if there is a second, what is kept; or the gradient of the logits.
//
// Arguments of a divergence: the logits, and then which rows count, if not all. Results: the divergence of every row, and
// its derivatives by those of the logits that are asked for, in float32 for logits of half precision.
//
// All arrays lie row by row. Losses and class vectors have the floating type that the program computes in.
#include "xla/classes.hpp"

#include <cstring>
#include <optional>
#include <vector>

#include "classes/class_loss.hpp"
#include "classes/divergence.hpp"
#include "common/memory.hpp"
#include "xla/numbers.hpp"

namespace ce::xla {
namespace {

// Attribute `problem` of a loss, numbers in this order; see _engine/softmax/jax_classes.py.
struct LossSettings {
  double threads;
  double axes_behind;  // how many axes of the logits come behind that of the classes
  double soft;         // whether the target is a mass for every class, not a label
  double has_ignore, ignore_index;
  double formula, parameter, factor, steps;
  double scale;
  double smoothing;
  double has_class_weight, has_prior, has_table;
};

// Of a divergence; see _engine/divergence/jax_rows.py.
struct DivergenceSettings {
  double threads;
  double axes_behind;
  double kind;
  double scale;
  double inputs;  // how many logits
  double wanted;  // bits: by which there are derivatives
};

// The numbers of an array as doubles, which are where they were or in memory of its own.
class Doubles {
 public:
  explicit Doubles(const Buffer& x) : at(static_cast<const double*>(x.data)) {
    if (is_double(x)) return;
    memory.emplace(size_t(entries(x)));
    widen(static_cast<const float*>(x.data), memory->data(), entries(x));
    at = memory->data();
  }
  const double* data() const { return at; }

 private:
  const double* at;
  std::optional<Scratch> memory;
};

// Memory for a double of every row, which `store` rounds to the type of the result.
class RowResult {
 public:
  explicit RowResult(const Buffer& x) : x(x) {
    if (!is_double(x)) memory.emplace(size_t(entries(x)));
  }
  double* data() const { return memory ? memory->data() : static_cast<double*>(x.data); }
  void store() const {
    if (memory) round(memory->data(), static_cast<float*>(x.data), entries(x));
  }

 private:
  const Buffer& x;
  std::optional<Scratch> memory;
};

struct Loss {
  LossSettings settings;
  const Buffer& logits;
  Shape shape;
  int64_t next = 2;  // the first argument behind the problem
  std::vector<int64_t> labels;
  std::optional<Doubles> class_weight, prior;
  std::optional<ClassLoss> loss;

  explicit Loss(const Call& call) : logits(argument(call, 0)) {
    read_settings(call, Type::kFloat64, settings);
    shape = shape_of(logits, int64_t(settings.axes_behind));
    const Buffer& given = argument(call, 1);
    Target target;
    target.has_ignore = settings.has_ignore != 0.0;
    target.ignore_index = int64_t(settings.ignore_index);
    if (settings.soft != 0.0) {
      target.dense = view_of(given, shape);
    } else {
      check_labels(given);
      target.indices = address(given.data);
      if (given.type == Type::kInt32) {
        labels.resize(size_t(shape.rows()));
        widen(static_cast<const int32_t*>(given.data), labels.data(), shape.rows());
        target.indices = address(labels.data());
      }
    }
    RowTerms terms;
    terms.smoothing = settings.smoothing;
    if (settings.has_class_weight != 0.0) terms.class_weight = class_weight.emplace(argument(call, next++)).data();
    if (settings.has_prior != 0.0) terms.smoothing_prior = prior.emplace(argument(call, next++)).data();
    if (settings.has_table != 0.0)
      target.dense = view_of(argument(call, next++), {shape.classes, shape.classes, 1});
    const FormulaNumbers numbers{settings.parameter, settings.factor, int(settings.steps)};
    loss.emplace(ClassFormula{Formula(int(settings.formula)), numbers, settings.scale}, view_of(logits, shape), shape,
                 target, terms);
  }

  int threads() const { return int(settings.threads); }
};

// Memory that is new in every step; `prepare` is called before it is written.
void prepare(const Buffer& x) {
  char* first = static_cast<char*>(x.data);
  const size_t bytes = size_t(entries(x) * size_of(dtype_of(x.type)));
  LargePages(first, bytes).prepare(first, first + bytes);
}

}  // namespace

Error* class_losses(Call* call) {
  return handled(call, [](const Call& call) {
    const Loss problem(call);
    const RowResult losses(result(call, 0));
    problem.loss->evaluate_rows(losses.data(), problem.threads());
    losses.store();
    if (call.results.size == 1) return;
    const std::vector<double>& kept = problem.loss->kept_numbers();
    std::memcpy(result(call, 1).data, kept.data(), kept.size() * sizeof(double));
  });
}

Error* class_pullback(Call* call) {
  return handled(call, [](const Call& call) {
    Loss problem(call);
    if (call.arguments.size == problem.next + 2) {
      const Buffer& kept = argument(call, problem.next++);
      problem.loss->keep(static_cast<const double*>(kept.data), entries(kept) / 2);
    }
    const Doubles upstream(argument(call, problem.next));
    const Buffer& gradient = result(call, 0);
    prepare(gradient);
    problem.loss->pullback(address(problem.logits.data), 1.0, upstream.data(), view_of(gradient, problem.shape),
                           problem.threads());
  });
}

Error* divergence(Call* call) {
  return handled(call, [](const Call& call) {
    DivergenceSettings settings;
    read_settings(call, Type::kFloat64, settings);
    const int64_t inputs = int64_t(settings.inputs);
    const Shape shape = shape_of(argument(call, 0), int64_t(settings.axes_behind));
    DivergenceRows in{DivergenceOf(int(settings.kind)), {}, shape, settings.scale, nullptr};
    for (int64_t i = 0; i < inputs; ++i) in.logits.push_back(view_of(argument(call, i), shape));
    if (call.arguments.size > inputs) in.alive = static_cast<const uint8_t*>(argument(call, inputs).data);
    std::vector<View> gradients;
    const int64_t wanted = int64_t(settings.wanted);
    for (int64_t i = 0, next = 1; wanted && i < inputs; ++i) {
      gradients.emplace_back();
      if (!(wanted >> i & 1)) continue;
      const Buffer& slopes = result(call, next++);
      prepare(slopes);
      gradients.back() = view_of(slopes, shape);
    }
    const RowResult values(result(call, 0));
    divergence_rows(in, values.data(), gradients, int(settings.threads));
    values.store();
  });
}

}  // namespace ce::xla
