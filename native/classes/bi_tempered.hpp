// The bi-tempered logistic loss of a row, for t1 ≤ 1 < t2:
//
//   ℓ = Σ_c q_c (log_t1 q_c − log_t1 p_c) − (q_c^(2−t1) − p_c^(2−t1))/(2 − t1)     p_c = exp_t2(u_c − λ), Σ_c p_c = 1
//
// With the largest logit taken off, λ = s ≥ 0 is the root of log_t2 Σ exp_t2(u − s), a convex falling function, so that
// Newton's method rises to it from 0. It is kept from the loss to its derivatives.
#pragma once

#include "classes/formulas.hpp"
#include "evaluation/logarithm.hpp"

namespace ce {

template <class T>
struct BiTempered {
  using Real = T;
  static constexpr bool kMasses = true, kWeighted = false, kTimesMass = false, kAsks = false;
  static constexpr int kKept = 1;
  const double t1, t2;
  const int steps;  // of Newton's, at most, before the last two

  explicit BiTempered(const FormulaNumbers& n) : t1(n.parameter), t2(n.factor), steps(n.steps) {
    double own = 1.0, with = 1.0, factorial = 1.0;  // (1 − t1)^(k − 1), (2 − t1)^(k − 1), (−1)^k k!
    for (int k = 2; k < kTerms + 2; ++k) {
      own *= 1.0 - t1;
      with *= 2.0 - t1;
      factorial *= k == 2 ? 2 : -k;
      series[k - 2] = (with - own) / factorial;
    }
  }

  CE_INLINE double loss(LossRow<T>& row) const {
    double *const u = row.u, *const p = row.e, *const q = row.a;
    subtract_top(row);
    *row.kept = normalizer(row);
    const double log_top = log_exp(0.0, *row.kept, t2 - 1.0), q_top = q[row.top];
    q[row.top] = 0.0;
    fill_logs(row, *row.kept);
    double sum = 0.0;
    for (int64_t c = 0; c < row.width; c += kRowLanes) {
      int any = 0;
      for (int l = 0; l < kRowLanes; ++l) any |= q[c + l] != 0.0;
      if (any) {
        for (int l = 0; l < kRowLanes; ++l) p[c + l] = divergence_of(q[c + l], u[c + l]);
      } else {
        for (int l = 0; l < kRowLanes; ++l) p[c + l] = exp_nonpositive((2.0 - t1) * u[c + l]) / (2.0 - t1);
      }
      sum += sum_of_line(p + c);
    }
    return sum + divergence_of(q_top, log_top);
  }

  // With g_c = ∂ℓ/∂p_c p_c^t2 = p_c^(t2−t1) (p_c − q_c) and v_c = p_c^t2: ∂ℓ/∂u_c = g_c − v_c Σ g/Σ v. Of the top p − q is
  // (1 − q) − (1 − p), whose terms have all their digits.
  CE_INLINE void pull(LossRow<T>& row, double factor) const {
    T *const u = row.u, *const g = row.e, *const q = row.a;
    subtract_top(row);
    const T s = normalizer_at(row, *row.kept);
    const T log_top = log_exp(T(0.0), s, t2 - 1.0), q_top = labeled(q[row.top]), p_top = exp(log_top);
    q[row.top] = T(0.0);
    const T of_g = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      const T log_p = log_exp(u[c], s, t2 - 1.0), p = exp_nonpositive(log_p);
      u[c] = p / (1.0 + (t2 - 1.0) * (s - u[c]));
      return g[c] = exp_nonpositive((t2 - t1) * log_p) * (p - labeled(q[c]));
    });
    const T of_v = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) { return u[c]; });
    const T g_top = exp((t2 - t1) * log_top) * ((1.0 - q_top) + expm1(log_top));
    const T v_top = p_top / (1.0 + (t2 - 1.0) * s), all = of_v + v_top, mean = (of_g + g_top) / all;
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l) u[c + l] = factor * (g[c + l] - u[c + l] * mean);
    u[row.top] = factor * (g_top * (of_v / all) - v_top * (of_g / all));
  }

 private:
  static constexpr int kTerms = 15;         // of the series in x that are enough for |x| < ¼
  static constexpr double kSettled = 1e-6;  // the relative change of s from which on a step gives all digits
  double series[kTerms];

  // A mass below 0 counts as none.
  static CE_INLINE T labeled(T q) { return q <= 0.0 ? T(0.0) : q; }

  static CE_INLINE void subtract_top(const LossRow<T>& row) {
    T* const u = row.u;
    const T top = u[row.top];
    const double scale = row.scale;
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l) u[c + l] = (u[c + l] - top) * scale;
    u[row.top] = T(-kInf<double>);
  }

  // log exp_t2(x) = −log(1 + (t2 − 1)(−x))/(t2 − 1) of x = u − s ≤ 0.
  static CE_INLINE T log_exp(T u, T s, double rate) {
    return -log1p_nonnegative(rate * (s - u)) / rate;
  }

  CE_INLINE void fill_logs(const LossRow<T>& row, double s) const {
    const double rate = t2 - 1.0;
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l) row.u[c + l] = log_exp(row.u[c + l], s, rate);
  }

  // −log_t1 of a logarithm that is at most 0.
  CE_INLINE double minus_log(double log) const {
    const double power = -expm1_nonpositive((1.0 - t1) * log) / (1.0 - t1);
    return t1 == 1.0 ? -log : power;
  }

  CE_INLINE double normalizer(const LossRow<T>& row) const {
    double s = 0.0;
    bool settled = false;
    for (int i = 0; i < steps && !settled; ++i) {
      const double before = s;
      s = newton(row, s);
      settled = !(std::abs(s - before) > kSettled * s);  // as a NaN is
    }
    for (int i = settled; i < 2; ++i) s = newton(row, s);
    return s;
  }

  // s as a function of the logits, of which it is known where they are: a step of Newton's has its derivative.
  CE_INLINE T normalizer_at(const LossRow<T>& row, double s) const {
    if constexpr (std::is_same_v<T, Dual>) return newton(row, T(s));
    return T(s);
  }

  // The next s. The sum is formed less one, so that it keeps its digits where one class has it all.
  CE_INLINE T newton(const LossRow<T>& row, T s) const {
    const double rate = t2 - 1.0;
    const T *const u = row.u, log_top = log_exp(T(0.0), s, rate);
    T* const e = row.e;
    const T rest = sum_row<T>(row.width, [u, e, s, rate](int64_t c) __attribute__((always_inline)) {
      return e[c] = exp_nonpositive(log_exp(u[c], s, rate));
    });
    // Σ p^t2, where p^(t2 − 1) = 1/(1 + (t2 − 1)(s − u)).
    const T others = sum_row<T>(row.width, [u, e, s, rate](int64_t c) __attribute__((always_inline)) {
      return e[c] / (1.0 + rate * (s - u[c]));
    });
    const T slope = others + exp(log_top) / (1.0 + rate * s);
    const T log_sum = log1p(expm1(log_top) + rest);
    return s - expm1(-rate * log_sum) / rate * exp(t2 * log_sum) / slope;
  }

  // What a class adds to the loss, at least 0. With p = q e^(−x) it is q^(2−t) (h(1 − t) − h(2 − t)), where h(a) =
  // (1 − e^(−a x))/a, t = t1. Near x = 0, where the two cancel, it is the difference of their series.
  CE_INLINE double divergence_of(double q, double log_p) const {
    const bool labeled = !(q <= 0.0);
    const double log_q = labeled ? log_probability(q) : 0.0;
    const double power_q = labeled ? exp_nonpositive((2.0 - t1) * log_q) : 0.0;
    const double x = log_q - log_p;
    const bool near = labeled && (x < 0.0 ? -x : x) < 0.25;
    const double close = near ? x : 0.0;
    double sum = 0.0;
#pragma GCC unroll 15
    for (int k = kTerms - 1; k >= 0; --k) sum = sum * close + series[k];
    const double own = labeled ? q * (minus_log(log_p) - minus_log(log_q)) : 0.0;
    const double rest = (exp_nonpositive((2.0 - t1) * log_p) - power_q) / (2.0 - t1);
    return near ? power_q * close * close * sum : own + rest;
  }
};

}  // namespace ce
