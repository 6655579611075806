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

CE_CLONES double sum_block(const double* x, int64_t n) {
  alignas(64) double sum[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    alignas(64) double term[kLanes] = {};
    const int64_t left = n - i < kLanes ? n - i : kLanes;
    for (int64_t l = 0; l < left; ++l) term[l] = x[i + l];
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

double sum_of_rows(const double* x, int64_t n) {
  double total = 0.0;
  for (int64_t i = 0; i < n; i += kRowsOfASum) total += sum_block(x + i, std::min(kRowsOfASum, n - i));
  return total;
}

}  // namespace ce
