// With masses a_j let m_j = a_j gain_j and n_j = dm_j / d log p_j. Then ∇ℓ = M p − m with M = Σ m_j, and
//
//   ∇²ℓ = M (diag p − p pᵀ) − Σ_j n_j (e_j − p)(e_j − p)ᵀ.
//
// Of the likeliest class 1 − p may vanish: it is what the others add up to.
#include "rows/hessian.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/focal.hpp"

namespace ce {

void row_hessian(const RowHessian& row, double* gradient, double* hessian) {
  const int64_t C = row.classes;
  std::vector<double> memory(4 * C);
  double *u = memory.data(), *p = u + C, *rest = p + C, *m = rest + C;
  for (int64_t c = 0; c < C; ++c) u[c] = row.scores[c] / row.temperature + row.offset[c];
  const int64_t top = std::max_element(u, u + C) - u;
  double others = 0.0;
  for (int64_t c = 0; c < C; ++c) {
    p[c] = std::exp(u[c] - u[top]);
    if (c != top) others += p[c];
  }
  const double total = 1.0 + others, log_total = std::log1p(others);
  for (int64_t c = 0; c < C; ++c) {
    p[c] /= total;
    rest[c] = c == top ? others / total : 1.0 - p[c];
  }
  double M = 0.0, M_convex = 0.0;
  for (int64_t c = 0; c < C; ++c) {
    m[c] = row.masses[c];
    if (row.gamma > 0.0 && m[c] != 0.0) {
      const double minus_log_p = u[top] - u[c] + log_total;
      const double ratio = rest[c] > 0.0 ? minus_log_p / rest[c] : 1.0;
      m[c] *= std::pow(rest[c], row.gamma) * (1.0 + row.gamma * p[c] * ratio);
    }
    M += m[c];
    M_convex += row.positive ? std::max(m[c], 0.0) : m[c];
  }
  const double by_score = row.scale / row.temperature, by_scores = by_score / row.temperature;
  for (int64_t c = 0; c < C; ++c) gradient[c] = by_score * ((M - m[c]) * p[c] - m[c] * rest[c]);
  for (int64_t b = 0; b < C; ++b)
    for (int64_t c = 0; c < C; ++c)
      hessian[b * C + c] = by_scores * M_convex * p[b] * (b == c ? rest[b] : -p[c]);
  if (row.gamma == 0.0) return;
  for (int64_t j = 0; j < C; ++j) {
    const double a = row.masses[j];
    if (a == 0.0) continue;
    const double minus_log_p = u[top] - u[j] + log_total, minus_log_rest = -std::log(rest[j]);
    double of_softmax, of_gain;
    focal_bends(row.gamma, p[j], rest[j], minus_log_p, minus_log_rest, of_softmax, of_gain);
    const double bend = a * of_gain;
    if (bend == 0.0 || (row.positive && bend < 0.0)) continue;
    const double scale = by_scores * bend;
    const auto direction = [&](int64_t c) { return c == j ? 1.0 : -p[c] / rest[j]; };  // (e_j − p) / (1 − p_j)
    for (int64_t b = 0; b < C; ++b)
      for (int64_t c = 0; c < C; ++c) hessian[b * C + c] += scale * direction(b) * direction(c);
  }
}

}  // namespace ce
