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

struct DistributionChecks {
  bool valid = true;                  // all entries are finite and at least 0
  bool finite = true;                 // all sums are finite
  double p_miss = 0.0, q_miss = 0.0;  // how far a row's sum is from one, at most; of valid entries alone
};

// Writes the sum of each row.
DistributionChecks row_sums(const DistributionRows& in, double* values, int threads);

}  // namespace ce
