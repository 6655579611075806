// Rows of many classes with nothing between memory and the sum: no transform but a scale, nothing copied but a few
// lines. This is what plain cross-entropy over a vocabulary runs on.
#pragma once

#include "log_sum.hpp"

namespace ce {

constexpr int64_t kMostStraightTargets = 4;

// The sums over the classes off target: ln Σ e^{scale·u} with the largest u kept out, its top in units before the
// scale, and for a prior w the sums Σ w (top − u) and Σ w. A prior without values counts 1 a class.
struct StraightSums {
  LogSum sum;
  double depth_sum = 0.0, mass = 0.0;
};

// `targets` receives the u of each of the k labels.
StraightSums sum_straight_row(const View& logits, int64_t offset, int64_t classes, const int64_t* labels, int64_t k,
                              double scale, bool with_prior, uintptr_t prior, double* targets);

// to_c = factor·2^{(u_c − base)·rate} − gain·w_c, with 2^shift in the exponential, whose inverse is in `factor`.
struct StraightGradient {
  double base, rate, factor;
  int shift;
  bool with_prior;
  double gain;      // times the prior, or if that has no values as it is
  uintptr_t prior;  // T[classes]
};
void pull_straight_row(const View& logits, int64_t offset, int64_t classes, const StraightGradient& row,
                       const View& gradient, int64_t gradient_offset);

}  // namespace ce
