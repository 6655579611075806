// What the losses of a block of rows are weighed by, and how they are stored.
#pragma once

#include "rows/loss.hpp"

namespace ce {

// A weight of 0 makes 0 of anything.
CE_INLINE double product(double weight, double value) { return weight == 0.0 ? 0.0 : weight * value; }

// What the rows of a block are weighed by, kLanes of them at a time, a lane for each.
class RowWeights {
 public:
  CE_INLINE RowWeights(const Target& target, const RowTerms& terms, int64_t classes)
      : target(target), terms(terms), classes(classes) {}

  alignas(64) double row[kLanes];  // ω, or ω/N, of an ignored row 0
  uint8_t counts[kLanes];

  CE_INLINE void begin(int64_t first_row, int count) {
    first = first_row;
    rows = count;
    for (int l = 0; l < rows; ++l) counts[l] = true;
    for (int l = 0; target.has_ignore && l < rows; ++l)
      for (int64_t j = 0; j < target.k; ++j) counts[l] &= labels(l)[j] != target.ignore_index;
    for (int l = 0; l < rows; ++l) {
      const double own = terms.sample_weight ? terms.sample_weight[first + l] : 1.0;
      row[l] = counts[l] ? own : 0.0;
    }
    for (int l = 0; terms.divisors && l < rows; ++l) {
      const double N = terms.divisors[first + l];
      row[l] = product(row[l], N == 0.0 ? 0.0 : 1.0 / N);
    }
  }

  // a_j of every row.
  CE_INLINE void shares(int64_t j, double* share) const {
    for (int l = 0; l < rows; ++l) share[l] = counts[l] ? 1.0 : 0.0;
    if (terms.class_weight)
      for (int l = 0; l < rows; ++l) {
        const int64_t y = labels(l)[j];
        if (counts[l] && uint64_t(y) < uint64_t(classes)) share[l] = terms.class_weight[y];
      }
    if (terms.masses)
      for (int l = 0; l < rows; ++l)
        if (counts[l]) share[l] *= terms.masses[(first + l) * target.k + j];
  }

 private:
  const Target& target;
  const RowTerms& terms;
  const int64_t classes;
  int64_t first;
  int rows;

  CE_INLINE const int64_t* labels(int l) const {
    return reinterpret_cast<const int64_t*>(target.indices) + (first + l) * target.k;
  }
};

// In the dtype of losses, rounded once.
CE_INLINE void store_losses(uintptr_t to, Dtype logits, int64_t row, int rows, const double* loss) {
  if (logits == Dtype::kFloat64)
    for (int l = 0; l < rows; ++l) reinterpret_cast<double*>(to)[row + l] = loss[l];
  else
    for (int l = 0; l < rows; ++l) reinterpret_cast<float*>(to)[row + l] = float(loss[l]);
}

}  // namespace ce
