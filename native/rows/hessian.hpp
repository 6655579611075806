// The gradient and the whole Hessian of one row's softmax loss Σ_c a_c φ(log p_c), for cross-entropy and focal links.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// Arrays of C doubles; p is the softmax of scores / temperature + offset, and the derivatives are by the scores, times
// `scale`. The Hessian is C × C, with `positive` without its negative terms.
struct RowHessian {
  const double *scores, *offset, *masses;
  int64_t classes;
  double temperature, gamma, scale;
  bool positive;
};

void row_hessian(const RowHessian&, double* gradient, double* hessian);

}  // namespace ce
