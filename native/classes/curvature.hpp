// Second derivatives of losses that are linear but for the log-partition of their rows, such as cross-entropy.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// Logits times `scale`, plus a bias of the classes if there is one.
struct CurvatureRows {
  View logits;
  Shape shape;
  double scale;
  const double* bias;
};

// f p ⊙ (v − p · v) with p the softmax of a row, f its factor and v its direction: NaN where a row is no distribution,
// and 0 where f is 0, whatever the row holds.
void curvature_rows(const CurvatureRows& in, const double* factors, const View& direction, const View& out, int threads);

}  // namespace ce
