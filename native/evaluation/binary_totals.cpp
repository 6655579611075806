// Blocks of rows that stay in the nearest cache while everything is done with them.
#include "evaluation/exact_sum.hpp"
#include "evaluation/row_scores.hpp"

namespace ce {
namespace {

constexpr int64_t kBlock = 2048;

// Appends the rows with a high loss to the first `count`; few have one.
CE_CLONES int64_t add_high(const double* loss, int64_t n, int64_t first, const HighLosses& high, int64_t count) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t m = n - i < kLanes ? n - i : kLanes;
    double highest = 0.0;
    for (int64_t l = 0; l < m; ++l) highest = loss[i + l] > highest ? loss[i + l] : highest;
    if (highest < high.limit) continue;
    for (int64_t l = 0; l < m; ++l) {
      if (loss[i + l] < high.limit) continue;
      high.places[count] = first + i + l;
      high.loss[count++] = loss[i + l];
    }
  }
  return count;
}

}  // namespace

int64_t binary_totals(const BinaryRows& rows, bool narrow, const RowScores& out, const BinaryTotals& totals,
                      const HighLosses& high) {
  alignas(64) double loss[kBlock], p[kBlock], q[kBlock];
  alignas(64) int64_t wide[kBlock];
  int64_t count = 0;
  for (int64_t i = 0; i < rows.n; i += kBlock) {
    const int64_t n = rows.n - i < kBlock ? rows.n - i : kBlock;
    const auto at = [&](double* array, double* otherwise) { return array ? array + i : otherwise; };
    RowScores block = {};
    block.loss = at(out.loss, loss);
    block.entropy = at(out.entropy, nullptr);
    block.brier = at(out.brier, nullptr);
    block.brier_excess = at(out.brier_excess, nullptr);
    block.correct = at(out.correct, nullptr);
    block.probability = at(out.probability, p);
    block.complement = at(out.complement, q);
    const int64_t* y = narrow ? wide : pointer<const int64_t>(rows.labels) + i;
    if (narrow)
      for (int64_t j = 0; j < n; ++j) wide[j] = pointer<const int8_t>(rows.labels)[i + j];
    const uintptr_t prediction = rows.prediction + uintptr_t(i * size_of(rows.dtype));
    binary_scores({prediction, rows.dtype, rows.kind, reinterpret_cast<uintptr_t>(y), false, n}, block, totals.fixed);
    exact_moments(block.loss, y, n, totals.moments, totals.special);
    octave_counts(block.loss, n, totals.octave_bits, totals.octave_low, totals.octave_places, totals.octaves);
    bin_counts(block.probability, y, n, totals.bin_count, totals.bins);
    if (totals.grid) grid_counts(block.probability, block.complement, y, n, 1, 1, totals.grid_bits, totals.grid);
    count = add_high(block.loss, n, i, high, count);
  }
  return count;
}

}  // namespace ce
