// Arguments: logits, target, the prior if it has values, and the bias of classes if there is one, in the type that kernels
// compute in; of the pullback then the statistics, and their cotangents.
// Results: the statistics; or the gradients of the logits and, if it is asked for, of the soft target.
//
// All arrays lie row by row. Statistics have the floating type that the program computes in, the kernels float64.
#include "xla/rows.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>
#include <vector>

#include "common/memory.hpp"
#include "common/parallel.hpp"
#include "rows/few_classes.hpp"
#include "xla/numbers.hpp"

namespace ce::xla {
namespace {

// Attribute `problem`, numbers in this order; see _statistics/jax/kernel.py.
struct Settings {
  int64_t threads;
  int64_t axes_behind;  // how many axes of the logits come behind that of the classes
  int64_t form;         // of the target: 0 one label a row, 1 several, 2 a set of classes, 3 a mass for every class
  int64_t has_ignore, ignore_index;
  int64_t prior;        // 0 none, 1 the same for every class, 2 given
  int64_t statistics;   // bits: which there are
  int64_t cotangents;   // bits: which are given
  int64_t scale;        // of the logits: the bits of a double
  int64_t has_bias;
};

constexpr uintptr_t Statistics::* kStatistics[] = {
    &Statistics::log_odds,   &Statistics::top,           &Statistics::rest,        &Statistics::set_top,
    &Statistics::set_rest,   &Statistics::log_partition, &Statistics::L_above_top, &Statistics::prior_term,
    &Statistics::dense_term, &Statistics::dense_total,   &Statistics::entropy,
};
constexpr uintptr_t Cotangents::* kCotangents[] = {
    &Cotangents::log_odds,   &Cotangents::log_partition, &Cotangents::prior_term,
    &Cotangents::dense_term, &Cotangents::entropy,
};

double sum_of(const Buffer& x) {
  const bool wide = is_double(x);
  double total = 0.0;
  for (int64_t i = 0; i < x.sizes[0]; ++i)
    total += wide ? static_cast<const double*>(x.data)[i] : double(static_cast<const float*>(x.data)[i]);
  return total;
}

// A problem whose rows are taken in blocks: what a kernel needs in another type is converted block by block.
struct Problem {
  Settings settings;
  Shape shape;
  const Buffer& logits;
  const Buffer& target;
  Prior prior;
  Transform transform;
  int64_t k = 1;         // labels of a row
  int64_t next = 2;      // the first argument behind the problem
  int64_t largest = 0;   // rows of a block
  int64_t per_line = 1;  // blocks of rows that share their outer index

  explicit Problem(const Call& call) : logits(argument(call, 0)), target(argument(call, 1)) {
    read_settings(call, Type::kInt64, settings);
    shape = shape_of(logits, settings.axes_behind);
    if (settings.form == 1) k = target.sizes[target.rank - 1];
    if (has_labels()) check_labels(target);
    prior.present = settings.prior != 0;
    if (settings.prior == 2) {
      const Buffer& values = argument(call, next++);
      prior.values = address(values.data);
      prior.total = sum_of(values);
    }
    transform.scale = bit_cast<double>(settings.scale);
    if (settings.has_bias) transform.bias = address(argument(call, next++).data);
    largest = block_of_rows(shape, use_wide(view(logits, 0), shape), threads());
    if (shape.inner > 1) {
      largest = std::min(largest, shape.inner);
      per_line = (shape.inner + largest - 1) / largest;
    }
  }

  int threads() const { return int(settings.threads); }
  // Of an array in the shape of the logits, or of its first rows where these lie one behind the other.
  size_t bytes_of(const Buffer& x) const { return bytes_of(x, shape.rows()); }
  size_t bytes_of(const Buffer& x, int64_t rows) const {
    return size_t(rows * shape.classes * size_of(dtype_of(x.type)));
  }
  bool has_labels() const { return settings.form <= 1; }

  // An array in the shape of the logits, from the first entry of a row on.
  View view(const Buffer& x, int64_t row) const {
    View result = view_of(x, shape);
    result.address += uintptr_t(row_offset(result, shape, row) * size_of(result.dtype));
    return result;
  }
};

// Some of a problem's rows, as the kernels take them. With classes in front of other axes they share the outer index.
class Block {
 public:
  Block(const Problem& problem, int64_t begin, int64_t end, size_t planes)
      : shape(problem.shape.inner == 1 ? Shape{end - begin, problem.shape.classes, 1}
                                       : Shape{1, problem.shape.classes, end - begin}),
        prior(problem.prior), problem(problem), begin(begin), rows(end - begin),
        memory((planes + 1) * size_t(rows * problem.k)), free(memory.data()) {
    const Buffer& t = problem.target;
    if (problem.settings.form == 2) target.mask = problem.view(t, begin);
    if (problem.settings.form == 3) target.dense = problem.view(t, begin);
    if (!problem.has_labels()) return;
    target.k = problem.k;
    target.has_ignore = problem.settings.has_ignore;
    target.ignore_index = problem.settings.ignore_index;
    const int64_t first = begin * target.k, n = rows * target.k;
    if (t.type == Type::kInt64) {
      target.indices = address(static_cast<const int64_t*>(t.data) + first);
      return;
    }
    int64_t* labels = reinterpret_cast<int64_t*>(take(n));
    widen(static_cast<const int32_t*>(t.data) + first, labels, n);
    target.indices = address(labels);
  }

  // `each` numbers of every row, as doubles.
  uintptr_t doubles(const Buffer& x, int64_t each) {
    if (is_double(x)) return address(static_cast<const double*>(x.data) + begin * each);
    double* to = take(rows * each);
    widen(static_cast<const float*>(x.data) + begin * each, to, rows * each);
    return address(to);
  }

  // Memory for as many, which `store` rounds to their type.
  uintptr_t place_of(const Buffer& x, int64_t each) {
    return is_double(x) ? address(static_cast<const double*>(x.data) + begin * each) : address(take(rows * each));
  }
  void store(uintptr_t from, const Buffer& x, int64_t each) const {
    if (is_double(x)) return;
    round(pointer<const double>(from), static_cast<float*>(x.data) + begin * each, rows * each);
  }

  View view(const Buffer& x) const { return problem.view(x, begin); }

  Shape shape;
  Target target;
  const Prior& prior;

 private:
  const Problem& problem;
  int64_t begin, rows;
  Scratch memory;
  double* free;

  double* take(int64_t n) {
    double* taken = free;
    free += n;
    return taken;
  }
};

// A block may find no memory, and what is thrown in a thread has to be caught there.
template <class Work>
void in_blocks(const Problem& problem, const Work& work) {
  std::atomic<bool> out_of_memory{false};
  const auto guarded = [&](int64_t begin, int64_t end) {
    try {
      work(begin, end);
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    }
  };
  if (problem.shape.inner == 1) {
    parallel_blocks(problem.shape.rows(), problem.largest, problem.threads(), guarded);
  } else {
    parallel_blocks(problem.shape.outer * problem.per_line, 1, problem.threads(), [&](int64_t i, int64_t) {
      const int64_t line = i / problem.per_line * problem.shape.inner, at = i % problem.per_line * problem.largest;
      guarded(line + at, line + std::min(at + problem.largest, problem.shape.inner));
    });
  }
  if (out_of_memory) throw std::bad_alloc();
}

// How many numbers a row has of a statistic.
int64_t each(const Problem& problem, uintptr_t Statistics::* name) {
  return name == &Statistics::log_odds ? problem.k : 1;
}

}  // namespace

Error* statistics(Call* call) {
  return handled(call, [](const Call& call) {
    const Problem problem(call);
    std::vector<std::pair<uintptr_t Statistics::*, const Buffer*>> results;
    for (size_t i = 0; i < std::size(kStatistics); ++i)
      if (problem.settings.statistics >> i & 1)
        results.push_back({kStatistics[i], &result(call, int64_t(results.size()))});
    in_blocks(problem, [&](int64_t begin, int64_t end) {
      Block block(problem, begin, end, results.size());
      Statistics out;
      for (const auto& [name, x] : results) out.*name = block.place_of(*x, each(problem, name));
      row_statistics(block.view(problem.logits), block.shape, problem.transform, block.target, block.prior, out, 1);
      for (const auto& [name, x] : results) block.store(out.*name, *x, each(problem, name));
    });
  });
}

Error* pullback(Call* call) {
  return handled(call, [](const Call& call) {
    const Problem problem(call);
    std::vector<std::pair<uintptr_t Statistics::*, const Buffer*>> statistics;
    std::vector<std::pair<uintptr_t Cotangents::*, const Buffer*>> cotangents;
    int64_t next = problem.next;
    for (size_t i = 0; i < std::size(kStatistics); ++i)
      if (problem.settings.statistics >> i & 1) statistics.push_back({kStatistics[i], &argument(call, next++)});
    for (size_t i = 0; i < std::size(kCotangents); ++i)
      if (problem.settings.cotangents >> i & 1) cotangents.push_back({kCotangents[i], &argument(call, next++)});
    const Buffer& gradient = result(call, 0);
    LargePages pages(gradient.data, problem.bytes_of(gradient));
    in_blocks(problem, [&](int64_t begin, int64_t end) {
      Block block(problem, begin, end, statistics.size() + cotangents.size());
      Statistics saved;
      Cotangents upstream;
      for (const auto& [name, x] : statistics) saved.*name = block.doubles(*x, each(problem, name));
      for (const auto& [name, x] : cotangents)
        upstream.*name = block.doubles(*x, name == &Cotangents::log_odds ? problem.k : 1);
      Gradients out;
      out.logits = block.view(gradient);
      if (problem.shape.inner == 1) {
        const char* first = static_cast<const char*>(gradient.data);
        pages.prepare(first + problem.bytes_of(gradient, begin), first + problem.bytes_of(gradient, end));
      }
      if (call.results.size > 1) out.dense = block.view(result(call, 1));
      row_pullback(block.view(problem.logits), block.shape, problem.transform, block.target, block.prior, saved, upstream,
                   out, 1);
    });
  });
}

Error* gradients(Call* call) {
  return handled(call, [](const Call& call) {
    const Problem problem(call);
    const Buffer &log_odds = result(call, 0), &gradient = result(call, 1);
    in_blocks(problem, [&](int64_t begin, int64_t end) {
      Block block(problem, begin, end, 1);
      Statistics out;
      out.log_odds = block.place_of(log_odds, 1);
      few_classes_gradients(block.view(problem.logits), block.shape, block.target, out, block.view(gradient), 0,
                            end - begin);
      block.store(out.log_odds, log_odds, 1);
    });
  });
}

}  // namespace ce::xla
