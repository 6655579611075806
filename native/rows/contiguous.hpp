// Rows of many classes with nothing between memory and the sum: no transform but a scale and a bias, nothing copied but
// a few lines. This is what plain cross-entropy over a vocabulary runs on, with labels or with a label set.
#pragma once

#include <vector>

#include "rows/log_sum.hpp"

namespace ce {

constexpr int64_t kMaxContiguousLabels = 4;

// What lies beside the logits of a row: nothing, the prior (1 a class, or T[classes]), a label set's mask, or a bias.
enum class Beside { kNothing, kUniformPrior, kVectorPrior, kLabelSet, kBias };

// Whether there is at most one of a label set, a prior and a bias, and no other transform but a scale.
inline bool has_one_beside(const Transform& transform, bool has_set, bool with_prior) {
  return transform.softcap == 0.0 && (!transform.bias || !(has_set || with_prior));
}
inline Beside beside_of(const Transform& transform, bool has_set, bool with_prior, uintptr_t prior) {
  if (transform.bias) return Beside::kBias;
  if (has_set) return Beside::kLabelSet;
  return !with_prior ? Beside::kNothing : !prior ? Beside::kUniformPrior : Beside::kVectorPrior;
}

// What is the same for all rows.
struct ContiguousProblem {
  View logits;
  int64_t classes;
  Beside beside;
  int64_t k;                   // labels of a row
  uintptr_t values;            // T[classes], of the prior or the bias
  const double* prior_masses;  // of the prior's chunks
};

// A row to be summed: where it starts, and its labels and where the u of each of them goes, or its mask. With a bias,
// u = factor·z + bias and the scale is 1; without, u is z.
struct ContiguousRow {
  int64_t offset;
  double scale, factor;
  const int64_t* labels;
  double* targets;
  const uint8_t* mask;
};

// ln Σ e^{scale·u} off target, and on it with a label set, with the largest u kept out and tops in units before the
// scale. For a prior w also Σ w (top − u) and Σ w off target; without values it counts 1 a class.
struct ContiguousSums {
  LogSum off, on;
  double depth_sum, mass;
};
void sum_contiguous_rows(const ContiguousProblem& problem, const ContiguousRow* rows, int n, ContiguousSums* sums);

// Σ w over every chunk of a row, the same for all rows; none of a prior without values.
std::vector<double> masses_of_chunks(const Prior& prior, const Shape& shape, bool is_double);

// ∂z_c = α·2^{scale (u_c − base)/ln 2} − gain·w_c, with 2^shift in the exponential, whose inverse is in α. Base and α
// are those off target and, with a label set, on it. The prior w is 1 a class if it has no values.
struct ContiguousGradient {
  int64_t from, to;  // where the row and its gradient start
  double base[2], alpha[2], scale, factor;
  int shift;
  double gain;
  const uint8_t* mask;
};
void pullback_contiguous_rows(const ContiguousProblem& problem, const ContiguousGradient* rows, int n,
                              const View& gradient);

}  // namespace ce
