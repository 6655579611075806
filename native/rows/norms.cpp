#include "rows/norms.hpp"

#include <cmath>

#include "common/parallel.hpp"

namespace ce {
namespace {

constexpr int64_t kBlock = 32768;  // entries of the rows that a thread takes at a time
constexpr int kParts = 16;         // partial sums of a row, each of a place modulo 16

template <class Term>
CE_INLINE double sum_of(int64_t width, const Term& term) {
  alignas(64) double part[kParts] = {};
  int64_t c = 0;
  for (; c + kParts <= width; c += kParts)
    for (int i = 0; i < kParts; ++i) part[i] += term(c + i);
  for (int i = 0; c + i < width; ++i) part[i] += term(c + i);
  for (int half = kParts / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) part[i] += part[i + half];
  return part[0];
}

template <class T>
CE_CLONES void divide_rows(const T* x, int64_t n, int64_t width, T* y, double* norms) {
  for (int64_t row = 0; row < n; ++row, x += width, y += width) {
    const double square =
        sum_of(width, [=](int64_t c) __attribute__((always_inline)) { return double(x[c]) * double(x[c]); });
    const double norm = square == 0.0 ? 1.0 : std::sqrt(square);
    for (int64_t c = 0; c < width; ++c) y[c] = T(double(x[c]) / norm);
    norms[row] = norm;
  }
}

template <class T>
CE_CLONES void pull_rows(const T* x, int64_t n, int64_t width, const double* norms, const T* g, T* dx) {
  for (int64_t row = 0; row < n; ++row, x += width, g += width, dx += width) {
    const double norm = norms[row];
    const double along = sum_of(width, [=](int64_t c) __attribute__((always_inline)) {
      return double(g[c]) * (double(x[c]) / norm);
    });
    for (int64_t c = 0; c < width; ++c) dx[c] = T((double(g[c]) - double(x[c]) / norm * along) / norm);
  }
}

template <class Work>
void in_parallel(Dtype dtype, int64_t n, int64_t width, int threads, const Work& work) {
  parallel_blocks(n, rows_with(kBlock, width), threads, [&](int64_t begin, int64_t end) {
    dtype == Dtype::kFloat64 ? work(double(), begin, end) : work(float(), begin, end);
  });
}

}  // namespace

void divide_by_norms(uintptr_t x, Dtype dtype, int64_t n, int64_t width, uintptr_t y, double* norms, int threads) {
  in_parallel(dtype, n, width, threads, [&](auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    divide_rows(pointer<const T>(x) + begin * width, end - begin, width, pointer<T>(y) + begin * width, norms + begin);
  });
}

void pull_from_norms(uintptr_t x, Dtype dtype, int64_t n, int64_t width, const double* norms, uintptr_t upstream,
                     uintptr_t gradient, int threads) {
  in_parallel(dtype, n, width, threads, [&](auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    pull_rows(pointer<const T>(x) + begin * width, end - begin, width, norms + begin,
              pointer<const T>(upstream) + begin * width, pointer<T>(gradient) + begin * width);
  });
}

}  // namespace ce
