// Products of float32 matrices.
#pragma once

#include <cstdint>

namespace ce {

// `at` + i·row + j·column are its entries.
struct Matrix {
  const float* at;
  int64_t row, column;
};

// Whether the processor has the 512-bit vectors that `product` is written for; without them it is right, and slow.
bool has_wide_vectors();

// c = a b, or c += a b with `add`, for a of (m, k), b of (k, n) and c of (m, n) with rows `c_row` apart.
//
// Every entry is the sum, in order, of sums of kDepth terms, in order, of fused multiply-adds. So its bits depend on
// its row of a and its column of b alone: not on the other rows and columns, its place among them, or the threads.
void product(const Matrix& a, const Matrix& b, float* c, int64_t c_row, int64_t m, int64_t n, int64_t k, bool add,
             int threads);

}  // namespace ce
