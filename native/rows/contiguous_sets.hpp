// Rows of many classes with a set of right ones, read where they lie: both sides of the set in one pass.
#pragma once

#include "rows/log_sum.hpp"

namespace ce {

// ln Σ e^{scale·u} off the set and on it, each with its largest u kept out, tops in units before the scale.
struct SetSums {
  LogSum off, on;
};
SetSums sum_straight_set(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask, double scale);

// to_c = factor·2^{(u_c − base)·rate}, with a base and a factor off the set and on it, and 2^shift in the
// exponential, whose inverse is in the factors.
struct SetGradient {
  double base[2], factor[2];
  double rate;
  int shift;
};
void pull_straight_set(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,
                       const SetGradient& row, const View& gradient, int64_t gradient_offset);

}  // namespace ce
