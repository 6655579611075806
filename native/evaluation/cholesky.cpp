#include "evaluation/cholesky.hpp"

#include <cmath>

#include "common/lanes.hpp"

namespace ce {
namespace {

constexpr int kRun = 16;

CE_CLONES double product(const double* __restrict x, const double* __restrict y, int64_t n) {
  alignas(64) double sum[kRun];
  for (int l = 0; l < kRun; ++l) sum[l] = 0.0;
  int64_t i = 0;
  for (; i + kRun <= n; i += kRun)
    for (int l = 0; l < kRun; ++l) sum[l] += x[i + l] * y[i + l];
  for (int l = 0; i + l < n; ++l) sum[l] += x[i + l] * y[i + l];
#pragma GCC unroll 4
  for (int half = kRun / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

CE_CLONES void subtract(double factor, const double* __restrict x, int64_t n, double* __restrict from) {
  for (int64_t i = 0; i < n; ++i) from[i] -= factor * x[i];
}

}  // namespace

bool cholesky_factor(double* a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double* row = a + i * n;
    for (int64_t j = 0; j < i; ++j) row[j] = (row[j] - product(row, a + j * n, j)) / a[j * n + j];
    const double square = row[i] - product(row, row, i);
    if (!(square > 0.0) || square == kInf<double>) return false;
    row[i] = std::sqrt(square);
  }
  return true;
}

void cholesky_solve(const double* factor, int64_t n, double* b) {
  for (int64_t i = 0; i < n; ++i) b[i] = (b[i] - product(factor + i * n, b, i)) / factor[i * n + i];
  for (int64_t i = n; i-- > 0;) {
    b[i] /= factor[i * n + i];
    subtract(b[i], factor + i * n, i, b);
  }
}

}  // namespace ce
