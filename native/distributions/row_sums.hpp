// Sums over the classes of rows of distributions: entropies and divergences.
#pragma once

#include <cstdint>

#include "common/lanes.hpp"

namespace ce {

// What is summed: −p ln p, −p ln q, and p ln(p/q) − p + q, once and to the mean of both, (KL(p‖m) + KL(q‖m)).
enum class Quantity : int { kEntropy, kCrossEntropy, kDivergence, kJensenShannon };

// Rows of C probabilities, one after the other, all of one dtype. Where there are factors, one for each row, the
// second distribution is the factor times row i / period of q.
struct DistributionRows {
  Quantity quantity;
  uintptr_t p, q;
  Dtype dtype;
  int64_t rows, classes;
  const double* factors;
  int64_t period;
};

// Writes the sum of each row, and the sums of p and of q; tells whether all entries are finite and at least 0.
bool row_sums(const DistributionRows& in, double* values, double* p_sums, double* q_sums, int threads);

}  // namespace ce
