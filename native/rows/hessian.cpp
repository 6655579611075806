// With masses a_j let m_j = a_j gain_j and n_j = dm_j / d log p_j. Then ∇ℓ = M p − m with M = Σ m_j, and
//
//   ∇²ℓ = M (diag p − p pᵀ) − Σ_j n_j (e_j − p)(e_j − p)ᵀ.
//
// Of the likeliest class 1 − p may vanish: it is what the others add up to.
#include "rows/hessian.hpp"

#include <algorithm>
#include <cmath>

#include "common/focal.hpp"

namespace ce {

RowDerivatives::RowDerivatives(const LabelLosses& of)
    : classes(of.classes),
      temperature(of.temperature),
      gamma(of.gamma),
      positive(of.positive),
      a(classes),
      u(classes),
      p(classes),
      rest(classes),
      m(classes) {}

void RowDerivatives::compute(const LabelLosses& of, const double* scores, int64_t label, double factor) {
  const int64_t C = classes;
  const double *offset = of.offsets.data() + C * label, *masses = of.masses.data() + C * label;
  for (int64_t c = 0; c < C; ++c) u[c] = scores[c] / temperature + offset[c];
  const int64_t likeliest = std::max_element(u.begin(), u.end()) - u.begin();
  top = u[likeliest];
  for (int64_t c = 0; c < C; ++c) p[c] = std::exp(u[c] - top);
  double others = 0.0;
  for (int64_t c = 0; c < C; ++c) others += c == likeliest ? 0.0 : p[c];
  const double total = 1.0 + others;
  if (gamma > 0.0) log_total = std::log1p(others);
  scale = factor;
  M = M_convex = 0.0;
  for (int64_t c = 0; c < C; ++c) {
    p[c] /= total;
    rest[c] = c == likeliest ? others / total : 1.0 - p[c];
    a[c] = m[c] = masses[c];
    if (gamma > 0.0 && m[c] != 0.0) {
      const double ratio = rest[c] > 0.0 ? minus_log_p(c) / rest[c] : 1.0;
      m[c] *= std::pow(rest[c], gamma) * (1.0 + gamma * p[c] * ratio);
    }
    M += m[c];
    M_convex += positive ? std::max(m[c], 0.0) : m[c];
  }
}

void RowDerivatives::hessian(double* numbers) const {
  const int64_t C = classes;
  const double by_scores = scale / temperature / temperature;
  for (int64_t b = 0; b < C; ++b) {
    const double of_p = by_scores * M_convex * p[b];
    numbers[b * C + b] = of_p * rest[b];
    for (int64_t c = b + 1; c < C; ++c) numbers[b * C + c] = -of_p * p[c];
  }
  if (gamma == 0.0) return;
  for (int64_t j = 0; j < C; ++j) {
    if (a[j] == 0.0) continue;
    double of_softmax, of_gain;
    focal_bends(gamma, p[j], rest[j], minus_log_p(j), -std::log(rest[j]), of_softmax, of_gain);
    const double bend = a[j] * of_gain;
    if (bend == 0.0 || (positive && bend < 0.0)) continue;
    const auto direction = [&](int64_t c) { return c == j ? 1.0 : -p[c] / rest[j]; };  // (e_j − p) / (1 − p_j)
    for (int64_t b = 0; b < C; ++b)
      for (int64_t c = b; c < C; ++c) numbers[b * C + c] += by_scores * bend * direction(b) * direction(c);
  }
}

}  // namespace ce
