// Rows of one length at a time, as [class][row].
#pragma once

#include <cstdint>

#include "common/simd.hpp"
#include "evaluation/linear_softmax.hpp"

namespace ce {

constexpr int kTileRows = 16;

// Sums that stay in registers need a vector type: as arrays they would be stored and read again in each step.
constexpr int kLane = 8;
using Vector = double __attribute__((vector_size(8 * kLane)));
using Unaligned = double __attribute__((vector_size(8 * kLane), aligned(8), may_alias));

CE_INLINE const Unaligned& lanes(const double* x) { return *reinterpret_cast<const Unaligned*>(x); }
CE_INLINE Unaligned& lanes(double* x) { return *reinterpret_cast<Unaligned*>(x); }

// Adds Σ r x over so many rows, lane by lane, for two r and two x: of four products, each number is read twice.
template <int kCount>
CE_INLINE void add_products(const double* const (&r)[2], const double* const (&x)[2], double* const (&sums)[2][2]) {
  Vector total[2][2];
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 2; ++j) total[k][j] = lanes(sums[k][j]);
#pragma GCC unroll 8
  for (int l = 0; l < kCount; l += kLane) {
    const Vector r0 = lanes(r[0] + l), r1 = lanes(r[1] + l), x0 = lanes(x[0] + l), x1 = lanes(x[1] + l);
    total[0][0] += r0 * x0;
    total[0][1] += r0 * x1;
    total[1][0] += r1 * x0;
    total[1][1] += r1 * x1;
  }
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 2; ++j) lanes(sums[k][j]) = total[k][j];
}

// Reads the scores and the weights of n rows from `from` on; the first of them, without weight, stands in the place of
// those that are missing.
void load_tile(const LinearSoftmax& map, int64_t from, int64_t n, double* z, double* weight);

// u = W z + b.
void map_tile(const LinearSoftmax& map, int64_t classes, const double* z, double* u);

}  // namespace ce
