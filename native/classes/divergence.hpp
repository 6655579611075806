// Divergences between the softmaxes of several rows of logits, and their derivatives by the logits.
#pragma once

#include <vector>

#include "rows/problem.hpp"

namespace ce {

// KL(p₂ ‖ p₁), KL(p₁ ‖ p₂), and of any number of rows 1/K Σ_i KL(p_i ‖ m) to their mean m.
enum class DivergenceOf : int { kForward, kReverse, kJensenShannon };

// Of logits times `scale`, all of one shape. Rows that are not alive, if `alive` is given, count for nothing.
struct DivergenceRows {
  DivergenceOf kind;
  std::vector<View> logits;
  Shape shape;
  double scale;
  const uint8_t* alive;
};

// The divergence of every row, NaN if one of its logits is, and its derivatives by the logits, for each of the gradients
// that has an address: none of them if there are none. The second of two that are compared by KL is a constant.
void divergence_rows(const DivergenceRows& in, double* values, const std::vector<View>& gradients, int threads);

// The derivatives of these derivatives, times `upstream` of every row, by the logits along directions, for each of the
// outs that has an address; logits whose direction has none are constant. Of all kinds but kForward, whose second
// derivative is that of curvature.hpp.
void divergence_rows_along(const DivergenceRows& in, const double* upstream, const std::vector<View>& directions,
                           const std::vector<View>& outs, int threads);

}  // namespace ce
