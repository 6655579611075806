// The gradient and the whole Hessian of one row's softmax loss Σ_c a_c φ(log p_c), for cross-entropy and focal links.
#pragma once

#include <vector>

#include "rows/problem.hpp"

namespace ce {

// The losses of rows with one of C labels each, where p is the softmax of scores / temperature + offset.
struct LabelLosses {
  int64_t classes;
  double temperature, gamma;
  bool positive;                        // leaves out the negative terms of Hessians
  std::vector<double> offsets, masses;  // (C, C): a row for each label
};

// The derivatives of one row's loss by its scores, times `scale`.
class RowDerivatives {
 public:
  RowDerivatives(const LabelLosses& of, const double* scores, int64_t label, double scale);
  void gradient(double* numbers) const;  // (C)
  void hessian(double* numbers) const;   // (C, C)
  const int64_t classes;

 private:
  const double temperature, gamma, scale;
  const bool positive;
  std::vector<double> memory;
  double *a, *u, *p, *rest, *m;
  double top, log_total, M = 0.0, M_convex = 0.0;

  double minus_log_p(int64_t c) const { return top - u[c] + log_total; }
};

}  // namespace ce
