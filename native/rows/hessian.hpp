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

// The derivatives of one row's loss by its scores, times `scale`; computed anew, it is of another row.
class RowDerivatives {
 public:
  explicit RowDerivatives(const LabelLosses& of);
  void compute(const LabelLosses& of, const double* scores, int64_t label, double scale);
  double gradient(int64_t c) const { return scale / temperature * ((M - m[c]) * p[c] - m[c] * rest[c]); }
  void hessian(double* numbers) const;  // (C, C), on and above the diagonal
  const int64_t classes;

 private:
  const double temperature, gamma;
  const bool positive;
  std::vector<double> a, u, p, rest, m;
  double scale, top, log_total, M, M_convex;

  double minus_log_p(int64_t c) const { return top - u[c] + log_total; }
};

}  // namespace ce
