#include "label_loss.hpp"

#include <algorithm>
#include <vector>

#include "few_classes.hpp"
#include "parallel.hpp"
#include "row_links.hpp"

namespace ce {
namespace {

uintptr_t address(const double* plane) { return reinterpret_cast<uintptr_t>(plane); }

// Planes of whole problems are counted from their first row on, a block's own from the block's.
uintptr_t address_from(const double* block, int64_t begin) {
  return address(block) - uintptr_t(begin) * sizeof(double);
}

Statistics statistics(const LabelPlanes& planes) {
  Statistics found;
  found.log_odds = address(planes.log_odds);
  found.top = address(planes.top);
  found.rest = address(planes.rest);
  return found;
}

int64_t kept_rows(const Target& target, int64_t begin, int64_t end) {
  if (!target.has_ignore) return end - begin;
  const int64_t* labels = reinterpret_cast<const int64_t*>(target.indices);
  return end - begin - std::count(labels + begin, labels + end, target.ignore_index);
}

// Blocks of rows whose work fits the cache, and as many of them at a time as a thread may take.
template <class Work>
void in_blocks(int64_t n, int64_t share, int threads, const Work& work) {
  const int64_t block = (share + kRowsOfASum - 1) / kRowsOfASum * kRowsOfASum;
  parallel_blocks(n, block, threads, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += kRowsOfASum) work(from, std::min(from + kRowsOfASum, end));
  });
}

void scale_slopes(const double* slope, double factor, int64_t n, double* out) {
  // A loss that counts for nothing has no gradient, even where a slope is NaN.
  for (int64_t i = 0; i < n; ++i) out[i] = factor == 0.0 ? 0.0 : factor * slope[i];
}

LabelTotals few_classes_loss(const View& logits, const Shape& shape, const Target& target, double gamma,
                             const LabelPlanes& planes, int threads) {
  struct Part {
    double loss;
    int64_t kept, bad_row;
  };
  const int64_t n = shape.rows();
  std::vector<Part> parts(size_t((n + kRowsOfASum - 1) / kRowsOfASum));
  in_blocks(n, block_of_rows(shape, false, threads), threads, [&](int64_t begin, int64_t end) {
    const int64_t rows = end - begin;
    double log_odds[kRowsOfASum], loss[kRowsOfASum];
    Statistics found = statistics(planes);
    found.log_odds = address_from(log_odds, begin);
    Part& part = parts[size_t(begin / kRowsOfASum)];
    part.bad_row = few_classes_statistics(logits, shape, Transform{}, target, found, begin, end);
    focal_rows(log_odds, rows, gamma, loss, planes.slope + begin, 1);
    part.loss = weighted_sum(loss, nullptr, rows);
    part.kept = kept_rows(target, begin, end);
  });
  LabelTotals totals{0.0, 0, -1};
  for (const Part& part : parts) {
    totals.loss += part.loss;
    totals.kept += part.kept;
    if (totals.bad_row < 0) totals.bad_row = part.bad_row;
  }
  return totals;
}

}  // namespace

LabelTotals label_loss(const View& logits, const Shape& shape, const Target& target, double gamma,
                       const LabelPlanes& planes, int threads) {
  if (has_few_classes(logits, shape, Transform{}, target))
    return few_classes_loss(logits, shape, target, gamma, planes, threads);
  const int64_t n = shape.rows();
  const int64_t bad_row =
      row_statistics(logits, shape, Transform{}, target, Prior{}, statistics(planes), threads);
  focal_rows(planes.log_odds, n, gamma, planes.work, planes.slope, threads);
  return {weighted_sum(planes.work, nullptr, n), kept_rows(target, 0, n), bad_row};
}

void label_loss_gradient(const View& logits, const Shape& shape, const Target& target, const LabelPlanes& planes,
                         double factor, const View& gradient, int threads) {
  const int64_t n = shape.rows();
  if (has_few_classes(logits, shape, Transform{}, target) && gradient.dtype == logits.dtype) {
    in_blocks(n, block_of_rows(shape, false, threads), threads, [&](int64_t begin, int64_t end) {
      double upstream[kRowsOfASum];
      scale_slopes(planes.slope + begin, factor, end - begin, upstream);
      few_classes_pullback(logits, shape, Transform{}, target, statistics(planes), address_from(upstream, begin),
                           gradient, begin, end);
    });
    return;
  }
  scale_slopes(planes.slope, factor, n, planes.work);
  Cotangents cotangents;
  cotangents.log_odds = address(planes.work);
  Gradients out;
  out.logits = gradient;
  row_pullback(logits, shape, Transform{}, target, Prior{}, statistics(planes), cotangents, out, threads);
}

}  // namespace ce
