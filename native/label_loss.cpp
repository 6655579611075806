#include "label_loss.hpp"

#include "parallel.hpp"
#include "row_links.hpp"

namespace ce {
namespace {

uintptr_t address(const double* plane) { return reinterpret_cast<uintptr_t>(plane); }

Statistics statistics(const LabelPlanes& planes) {
  Statistics found;
  found.log_odds = address(planes.log_odds);
  found.top = address(planes.top);
  found.rest = address(planes.rest);
  return found;
}

}  // namespace

LabelTotals label_loss(const View& logits, const Shape& shape, const Target& target, double gamma,
                       const LabelPlanes& planes, int threads) {
  const int64_t n = shape.rows();
  LabelTotals totals{0.0, n, -1};
  totals.bad_row = row_statistics(logits, shape, Transform{}, target, Prior{}, statistics(planes), threads);
  focal_rows(planes.log_odds, n, gamma, planes.work, planes.slope, threads);
  totals.loss = weighted_sum(planes.work, nullptr, n);
  if (target.has_ignore) {
    const int64_t* labels = reinterpret_cast<const int64_t*>(target.indices);
    for (int64_t i = 0; i < n; ++i) totals.kept -= labels[i] == target.ignore_index;
  }
  return totals;
}

void label_loss_gradient(const View& logits, const Shape& shape, const Target& target, const LabelPlanes& planes,
                         double factor, const View& gradient, int threads) {
  const int64_t n = shape.rows();
  // A loss that counts for nothing has no gradient, even where a slope is NaN.
  parallel_blocks(n, 65536, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) planes.work[i] = factor == 0.0 ? 0.0 : factor * planes.slope[i];
  });
  Cotangents cotangents;
  cotangents.log_odds = address(planes.work);
  Gradients out;
  out.logits = gradient;
  row_pullback(logits, shape, Transform{}, target, Prior{}, statistics(planes), cotangents, out, threads);
}

}  // namespace ce
