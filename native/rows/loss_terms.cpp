#include "rows/loss_terms.hpp"

#include <algorithm>

#include "rows/log_sum.hpp"
#include "common/parallel.hpp"

namespace ce {
namespace {

CE_CLONES void focal_block(const double* D, int64_t n, double gamma, double* loss, double* slope) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) focal_lanes(D + i, gamma, loss + i, slope + i);
  if (i == n) return;
  alignas(64) double odds[kLanes] = {}, losses[kLanes], slopes[kLanes];
  std::memcpy(odds, D + i, size_t(n - i) * sizeof(double));
  focal_lanes(odds, gamma, losses, slopes);
  std::memcpy(loss + i, losses, size_t(n - i) * sizeof(double));
  std::memcpy(slope + i, slopes, size_t(n - i) * sizeof(double));
}

// The products of up to kLanes rows' j-th numbers.
CE_INLINE void weigh_lanes(const WeightedRows& rows, int64_t first, int count, int64_t j, double* out) {
  alignas(64) double weight[kLanes];
  const int64_t k = rows.k, at = first * k + j;
  for (int l = 0; l < count; ++l) weight[l] = rows.factor;
  if (rows.row_weights)
    for (int l = 0; l < count; ++l) weight[l] *= rows.row_weights[first + l];
  if (rows.weights)
    for (int l = 0; l < count; ++l) weight[l] *= rows.weights[at + l * k];
  for (int l = 0; l < count; ++l) out[l] = weight[l];
  if (rows.values)
    for (int l = 0; l < count; ++l) out[l] = weight[l] == 0.0 ? 0.0 : weight[l] * rows.values[at + l * k];
}

CE_CLONES void weigh_block(const WeightedRows& rows, int64_t begin, int64_t end, double* out) {
  for (int64_t i = begin; i < end; i += kLanes)
    for (int64_t j = 0; j < rows.k; ++j) {
      alignas(64) double term[kLanes];
      const int count = int(std::min<int64_t>(kLanes, end - i));
      weigh_lanes(rows, i, count, j, term);
      for (int l = 0; l < count; ++l) out[(i + l) * rows.k + j] = term[l];
    }
}

CE_CLONES void add_block(const WeightedRows& rows, int64_t begin, int64_t end, double* sums) {
  for (int64_t i = begin; i < end; i += kLanes)
    for (int64_t j = 0; j < rows.k; ++j) {
      alignas(64) double term[kLanes];
      const int count = int(std::min<int64_t>(kLanes, end - i));
      weigh_lanes(rows, i, count, j, term);
      for (int l = 0; l < count; ++l) sums[i + l] += term[l];
    }
}

CE_CLONES double sum_block(const double* x, const double* weights, int64_t n) {
  alignas(64) double sum[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    alignas(64) double term[kLanes] = {};
    const int64_t left = n - i < kLanes ? n - i : kLanes;
    if (weights) {
      for (int64_t l = 0; l < left; ++l) term[l] = weights[i + l] == 0.0 ? 0.0 : weights[i + l] * x[i + l];
    } else {
      for (int64_t l = 0; l < left; ++l) term[l] = x[i + l];
    }
    for (int l = 0; l < kLanes; ++l) sum[l] += term[l];
  }
  return sum_lanes(sum);
}

}  // namespace

void focal_rows(const double* log_odds, int64_t n, double gamma, double* loss, double* slope, int threads) {
  parallel_blocks(n, kRowsOfASum, threads, [&](int64_t begin, int64_t end) {
    focal_block(log_odds + begin, end - begin, gamma, loss + begin, slope + begin);
  });
}

void weigh_rows(const WeightedRows& rows, double* out, int threads) {
  parallel_blocks(rows.n, kRowsOfASum, threads,
                  [&](int64_t begin, int64_t end) { weigh_block(rows, begin, end, out); });
}

void add_rows(const WeightedRows& rows, double* sums, int threads) {
  parallel_blocks(rows.n, kRowsOfASum, threads,
                  [&](int64_t begin, int64_t end) { add_block(rows, begin, end, sums); });
}

double weighted_sum(const double* x, const double* weights, int64_t n) {
  double total = 0.0;
  for (int64_t i = 0; i < n; i += kRowsOfASum)
    total += sum_block(x + i, weights ? weights + i : nullptr, std::min(kRowsOfASum, n - i));
  return total;
}

}  // namespace ce
