#include "matmul/product.hpp"

#include <algorithm>
#include <cstring>

#include "common/instruction_set.hpp"
#include "common/parallel.hpp"
#include "common/simd.hpp"

// A product keeps pace with the arithmetic if its operands come out of the nearest caches, in the order in which they
// are used. So they are copied into panels first, of kHeight rows of a and of kWidth columns of b, each kDepth deep,
//
//   panel[k][i] = a[row + i][depth + k],     panel[k][j] = b[depth + k][column + j],
//
// and a pair of panels makes a tile of c, which is held in registers meanwhile. The panels of kRows rows of a lie in the
// second cache, where one panel of b after the other passes by them, in the first. Threads share nothing and never wait
// for one another: waiting can take longer than making panels twice.

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CE_WIDE 1
#define CE_WIDE_CLONES __attribute__((target_clones("arch=x86-64-v4", "default")))
#else  // where it is not called
#define CE_WIDE 0
#define CE_WIDE_CLONES
#endif

namespace ce {
namespace {

constexpr int kHeight = 8, kWidth = 32, kDepth = 256;
constexpr int64_t kRows = 512, kColumns = 1024;            // of c that a thread makes at a time; fewer, down to
constexpr int64_t kFewestRows = 64, kFewestColumns = 128;  // these, if otherwise a thread would have none

using Vector = float __attribute__((vector_size(64)));
using Unaligned = float __attribute__((vector_size(64), aligned(4), may_alias));
constexpr int kVectors = kWidth / 16;

// ---- panels -------------------------------------------------------------------------------------------------------

// A row of a, or a column of b: entry k of line i is from[i·line + k·step].
struct Lines {
  const float* from;
  int64_t line, step;
};

#if CE_WIDE
using Eight = float __attribute__((vector_size(32)));
using UnalignedEight = float __attribute__((vector_size(32), aligned(4), may_alias));
using Places = int __attribute__((vector_size(32)));

// Eight entries of eight lines: to[k·width + i] = from[i·line + k].
CE_INLINE void transpose(const float* from, int64_t line, float* to, int width) {
  const Places even{0, 8, 1, 9, 4, 12, 5, 13}, odd{2, 10, 3, 11, 6, 14, 7, 15};
  const Places first{0, 1, 8, 9, 4, 5, 12, 13}, second{2, 3, 10, 11, 6, 7, 14, 15};
  const Places low{0, 1, 2, 3, 8, 9, 10, 11}, high{4, 5, 6, 7, 12, 13, 14, 15};
  Eight rows[8], pairs[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) rows[i] = *reinterpret_cast<const UnalignedEight*>(from + i * line);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shuffle(rows[i], rows[i + 1], even);
    pairs[i + 1] = __builtin_shuffle(rows[i], rows[i + 1], odd);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      rows[i + 2 * j] = __builtin_shuffle(pairs[i + j], pairs[i + j + 2], first);
      rows[i + 2 * j + 1] = __builtin_shuffle(pairs[i + j], pairs[i + j + 2], second);
    }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    *reinterpret_cast<UnalignedEight*>(to + k * width) = __builtin_shuffle(rows[k], rows[k + 4], low);
    *reinterpret_cast<UnalignedEight*>(to + (k + 4) * width) = __builtin_shuffle(rows[k], rows[k + 4], high);
  }
}
#endif

// The panel of some lines; zeros stand for those that are missing.
template <int kLines>
CE_INLINE void write_panel(const Lines& x, int64_t lines, int64_t depth, float* to) {
  int64_t k = 0;
  if (lines >= kLines && x.line == 1) {
    for (; k < depth; ++k) std::memcpy(to + k * kLines, x.from + k * x.step, kLines * sizeof(float));
  }
#if CE_WIDE
  if (lines >= kLines && x.step == 1) {
    for (; k + 8 <= depth; k += 8)
      for (int i = 0; i < kLines; i += 8) transpose(x.from + i * x.line + k, x.line, to + k * kLines + i, kLines);
  }
#endif
  for (; k < depth; ++k)
    for (int i = 0; i < kLines; ++i) to[k * kLines + i] = i < lines ? x.from[i * x.line + k * x.step] : 0.0f;
}

// ---- tiles --------------------------------------------------------------------------------------------------------

struct Output {
  float* at;
  int64_t row;
};

// c = or += Σ_k a[k] b[k]; what stands in missing rows and columns is left alone.
CE_INLINE void tile(const float* a, const float* b, int64_t depth, const Output& c, int64_t rows, int64_t columns,
                    bool add) {
  const bool whole = rows >= kHeight && columns >= kWidth;
  if (whole)
    for (int i = 0; i < kHeight; ++i)
      for (int j = 0; j < kVectors; ++j) __builtin_prefetch(c.at + i * c.row + 16 * j, 1);
  Vector sums[kHeight][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector line[kVectors];
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) line[j] = *reinterpret_cast<const Unaligned*>(b + k * kWidth + 16 * j);
#pragma GCC unroll 8
    for (int i = 0; i < kHeight; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) sums[i][j] += a[k * kHeight + i] * line[j];
  }
  if (whole) {
#pragma GCC unroll 8
    for (int i = 0; i < kHeight; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        Unaligned* to = reinterpret_cast<Unaligned*>(c.at + i * c.row + 16 * j);
        *to = add ? *to + sums[i][j] : sums[i][j];
      }
    return;
  }
  float spare[kHeight][kWidth];
  std::memcpy(spare, sums, sizeof(spare));
  for (int i = 0; i < std::min<int64_t>(rows, kHeight); ++i)
    for (int j = 0; j < std::min<int64_t>(columns, kWidth); ++j) {
      float& to = c.at[i * c.row + j];
      to = add ? to + spare[i][j] : spare[i][j];
    }
}

// c = or += a b of `rows` times `columns` entries.
CE_WIDE_CLONES void part(const Matrix& a, const Matrix& b, const Output& c, int64_t rows, int64_t columns, int64_t k,
                         bool add, float* a_panels) {
  alignas(64) float b_panel[kWidth * kDepth];
  for (int64_t x = 0; x < k; x += kDepth) {
    const int64_t depth = std::min<int64_t>(kDepth, k - x);
    for (int64_t i = 0; i < rows; i += kHeight)
      write_panel<kHeight>({a.at + i * a.row + x * a.column, a.row, a.column}, rows - i, depth, a_panels + i * depth);
    for (int64_t j = 0; j < columns; j += kWidth) {
      write_panel<kWidth>({b.at + x * b.row + j * b.column, b.column, b.row}, columns - j, depth, b_panel);
      for (int64_t i = 0; i < rows; i += kHeight)
        tile(a_panels + i * depth, b_panel, depth, {c.at + i * c.row + j, c.row}, rows - i, columns - j, add || x > 0);
    }
  }
}

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

int64_t up(int64_t n, int64_t step) { return pieces(n, step) * step; }

}  // namespace

bool has_wide_vectors() { return CE_WIDE && has_avx512(); }

void product(const Matrix& a, const Matrix& b, float* c, int64_t c_row, int64_t m, int64_t n, int64_t k, bool add,
             int threads) {
  if (m == 0 || n == 0) return;
  if (k == 0 && !add)
    for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * c_row, n, 0.0f);
  int64_t rows = kRows;
  const int64_t share = up(pieces(n, pieces(threads, pieces(m, rows))), kWidth);
  const int64_t columns = std::clamp(share, kFewestColumns, kColumns);
  while (rows > kFewestRows && pieces(m, rows) * pieces(n, columns) < threads) rows /= 2;
  const int64_t down = pieces(m, rows);
  parallel_blocks(down * pieces(n, columns), 1, threads, [&](int64_t task, int64_t) {
    alignas(64) static thread_local float panels[kRows * kDepth];
    const int64_t i = task % down * rows, j = task / down * columns;
    part({a.at + i * a.row, a.row, a.column}, {b.at + j * b.column, b.row, b.column}, {c + i * c_row + j, c_row},
         std::min(rows, m - i), std::min(columns, n - j), k, add, panels);
  });
}

}  // namespace ce
