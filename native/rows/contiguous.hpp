// Rows of many classes with nothing between memory and the sum: no transform but a scale, nothing copied but a few
// lines. This is what plain cross-entropy over a vocabulary runs on.
#pragma once

#include <vector>

#include "rows/log_sum.hpp"

namespace ce {

constexpr int64_t kMostStraightTargets = 4;

// The sums over the classes off target: ln Σ e^{scale·u} with the largest u kept out, its top in units before the
// scale, and for a prior w the sums Σ w (top − u) and Σ w. A prior without values counts 1 a class.
struct StraightSums {
  LogSum sum;
  double depth_sum = 0.0, mass = 0.0;
};

// A row to be summed: where it starts, its labels, and where the u of each of them goes.
struct StraightTask {
  int64_t offset;
  const int64_t* labels;
  double scale;
  double* targets;
};
// n rows of k labels each; `masses` are those of the prior's chunks.
void sum_straight_rows(const View& logits, int64_t classes, int64_t k, const Prior& prior, const double* masses,
                       const StraightTask* tasks, int n, StraightSums* sums);

// Σ w over every chunk of a row, the same for all rows; none of a prior without values.
std::vector<double> masses_of_chunks(const Prior& prior, const Shape& shape, bool is_double);

// to_c = factor·2^{(u_c − base)·rate} − gain·w_c, with 2^shift in the exponential, whose inverse is in `factor`.
struct StraightGradient {
  int64_t from, to;  // where the row and its gradient start
  double base, rate, factor;
  int shift;
  bool with_prior;  // of all rows or of none
  double gain;      // times the prior, or if that has no values as it is
  uintptr_t prior;  // T[classes]
};
void pull_straight_rows(const View& logits, int64_t classes, const StraightGradient* rows, int n,
                        const View& gradient);

}  // namespace ce
