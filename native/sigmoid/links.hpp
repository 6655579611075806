// Links of the sigmoid family: what a loss makes of one element, and its derivative by the logit.
#pragma once

#include <cmath>

#include "common/focal.hpp"
#include "sigmoid/sigmoid.hpp"

namespace ce {

// p = σ(z) and its kin, each with full relative precision in both tails.
template <class T>
struct Logistic {
  T z, p, one_minus_p;
  T minus_log_p, minus_log_one_minus_p;  // softplus(−z), softplus(z)
};

template <class T>
CE_INLINE Logistic<T> logistic(T z, T e, T ln) {  // e^−|z| and ln(1 + e^−|z|)
  const bool up = z > T(0);
  const T large = T(1) / (T(1) + e);
  const T small = e * large;
  return {z, up ? large : small, up ? small : large, (up ? T(0) : -z) + ln, (up ? z : T(0)) + ln};
}

// What a link makes of an element: φ₊ and φ₋, and their derivatives by the logit.
template <class T>
struct Terms {
  T positive, negative;
  T positive_slope, negative_slope;
};

// The second derivatives of φ₊ and φ₋ by the logit, or with `positive` those of their terms that are not negative.
template <class T>
struct Bends {
  T positive, negative;
};

template <class T>
struct CrossEntropy {
  using Real = T;

  CE_INLINE explicit CrossEntropy(const SigmoidProblem&) {}

  CE_INLINE Terms<T> operator()(const Logistic<T>& s) const {
    return {s.minus_log_p, s.minus_log_one_minus_p, -s.one_minus_p, s.p};
  }

  CE_INLINE Terms<T> of_positive(const Logistic<T>& s) const { return (*this)(s); }

  CE_INLINE Bends<T> bends(const Logistic<T>& s, bool) const { return {s.p * s.one_minus_p, s.p * s.one_minus_p}; }
};

template <class T>
struct Focal {
  using Real = T;
  Constant<T> positive_gamma, negative_gamma;

  CE_INLINE explicit Focal(const SigmoidProblem& problem)
      : positive_gamma(Constant<T>(problem.positive_gamma)), negative_gamma(Constant<T>(problem.negative_gamma)) {}

  CE_INLINE Terms<T> operator()(const Logistic<T>& s) const {
    Terms<T> terms = of_positive(s);
    focal(negative_gamma, s.one_minus_p, s.p, s.minus_log_one_minus_p, s.minus_log_p, terms.negative,
          terms.negative_slope);
    return terms;
  }

  // The terms of a yes alone.
  CE_INLINE Terms<T> of_positive(const Logistic<T>& s) const {
    Terms<T> terms{};
    focal(positive_gamma, s.p, s.one_minus_p, s.minus_log_p, s.minus_log_one_minus_p, terms.positive,
          terms.positive_slope);
    terms.positive_slope = -terms.positive_slope;
    return terms;
  }

  CE_INLINE Bends<T> bends(const Logistic<T>& s, bool positive) const {
    return {bend(positive_gamma, s.p, s.one_minus_p, s.minus_log_p, s.minus_log_one_minus_p, positive),
            bend(negative_gamma, s.one_minus_p, s.p, s.minus_log_one_minus_p, s.minus_log_p, positive)};
  }

  CE_INLINE static T bend(T gamma, T p, T one_minus_p, T minus_log_p, T minus_log_one_minus_p, bool positive) {
    T of_sigmoid, of_gain;
    focal_bends(gamma, p, one_minus_p, minus_log_p, minus_log_one_minus_p, of_sigmoid, of_gain);
    return of_sigmoid + (positive && of_gain < T(0) ? T(0) : of_gain);
  }
};

// ln(1 + a/b), where a/b may be beyond the largest number.
template <class T>
CE_INLINE T log1p_quotient(T a, T b) {
  const bool small = b < 1e-290;
  const double scale = small ? 0x1p64 : 1.0, log_scale = small ? 44.36141955583650 : 0.0;
  return log1p_nonnegative(a / (b * scale)) + log_scale;
}

// Focal, with p_m = max(p − m, 0) for p in the negative term:
// φ₋ = p_m^γ (−log(1 − p_m)) and dφ₋/dz = p p_m^γ ((1 − p)/(1 − p_m) + γ (1 − p) (−log(1 − p_m))/p_m) for p > m.
//
// Where m is subnormal, so may be p_m and 1 − p_m, and their inverses infinite: none stands alone.
//
// The terms of a yes are those of Positive, Focal or, where γ₊ = 0, CrossEntropy.
template <template <class> class Positive, class T = double>
struct Asymmetric {
  using Real = T;
  Positive<T> unshifted;
  double gamma, shift;

  CE_INLINE explicit Asymmetric(const SigmoidProblem& problem)
      : unshifted(problem), gamma(problem.negative_gamma), shift(problem.negative_shift) {}

  CE_INLINE Terms<T> operator()(const Logistic<T>& s) const {
    Terms<T> terms = unshifted.of_positive(s);
    const T p_m = s.p - shift;
    const bool counts = !(p_m <= 0.0);  // NaN does
    const T one_minus_p_m = s.one_minus_p + shift;
    const T minus_log = log1p_quotient(p_m, one_minus_p_m);
    const T focus = exp_nonpositive(-gamma * log1p_quotient(one_minus_p_m, p_m));
    terms.negative = counts ? focus * minus_log : T(0.0);
    terms.negative_slope =
        counts ? s.p * focus * (s.one_minus_p / one_minus_p_m + gamma * s.one_minus_p * (minus_log / p_m)) : T(0.0);
    return terms;
  }
};

// With second derivatives: those of the derivatives, of duals. It has no bound of them.
struct AsymmetricBends : Asymmetric<Focal> {
  Asymmetric<Focal, Dual> of_duals;

  CE_INLINE explicit AsymmetricBends(const SigmoidProblem& problem) : Asymmetric<Focal>(problem), of_duals(problem) {}

  CE_INLINE Bends<double> bends(const Logistic<double>& s, bool) const {
    const double slope = s.p * s.one_minus_p;
    const Terms<Dual> terms = of_duals({{s.z, 1.0},
                                        {s.p, slope},
                                        {s.one_minus_p, -slope},
                                        {s.minus_log_p, -s.one_minus_p},
                                        {s.minus_log_one_minus_p, s.p}});
    return {terms.positive_slope.slope, terms.negative_slope.slope};
  }
};

// The same in single precision, where p − m would cancel. With ln(m/(1 − m)) = k and d = z − k it is p (1 − m) (1 − e^−d),
// all of whose factors have their digits: k is held as two numbers, of which the difference of z to the first is exact
// near k. Of shifts of at least kLeast all numbers are normal.
template <template <class> class Positive>
struct AsymmetricSingle {
  using Real = float;
  static constexpr double kLeast = 0x1p-64;
  Positive<float> unshifted;
  float gamma, shift, rest, high, low;

  CE_INLINE explicit AsymmetricSingle(const SigmoidProblem& problem)
      : unshifted(problem), gamma(float(problem.negative_gamma)), shift(float(problem.negative_shift)),
        rest(float(1.0 - problem.negative_shift)) {
    const double k = std::log(problem.negative_shift) - std::log1p(-problem.negative_shift);
    high = float(k);
    low = float(k - double(high));
  }

  CE_INLINE Terms<float> operator()(const Logistic<float>& s) const {
    Terms<float> terms = unshifted.of_positive(s);
    const float d = (s.z - high) - low;
    const bool counts = !(d <= 0.0f);  // NaN does
    const float p_m = -s.p * rest * expm1_nonpositive(d > 0.0f ? -d : 0.0f);
    const float one_minus_p_m = s.one_minus_p + shift;
    const bool up = p_m > one_minus_p_m;
    const float ratio = up ? one_minus_p_m / p_m : p_m / one_minus_p_m;
    const float small = log1p_unit(ratio), large = small - log_unit(ratio);  // −ln of the greater of the two, and of the less
    const float minus_log = up ? large : small;
    const float focus = exp_nonpositive(-gamma * (up ? small : large));
    const float slope =
        s.p * focus * (s.one_minus_p / one_minus_p_m + gamma * s.one_minus_p * (minus_log / p_m));
    terms.negative = counts ? focus * minus_log : 0.0f;
    terms.negative_slope = counts ? slope : 0.0f;
    return terms;
  }
};

}  // namespace ce
