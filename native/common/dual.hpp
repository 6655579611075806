// Dual numbers x + x' ε with ε² = 0: a formula of them computes its value and its derivative in one direction at once.
//
// A gradient that is computed of logits u + v ε has the product of the second derivatives with v in its slopes. So a
// formula that is a template of its number has second derivatives without being written again.
#pragma once

#include <cmath>

#include "common/exp.hpp"
#include "common/lanes.hpp"

namespace ce {

struct Dual {
  double value = 0.0, slope = 0.0;

  Dual() = default;
  CE_INLINE Dual(double value, double slope = 0.0) : value(value), slope(slope) {}

  CE_INLINE Dual& operator+=(Dual x) { return *this = Dual(value + x.value, slope + x.slope); }
  CE_INLINE Dual& operator*=(Dual x) { return *this = Dual(value * x.value, slope * x.value + value * x.slope); }
};

// Numbers that are constant have versions of their own: 0 times the slope would be computed, and of ∞ be no number.
CE_INLINE Dual operator-(Dual x) { return {-x.value, -x.slope}; }
CE_INLINE Dual operator+(Dual x, Dual y) { return {x.value + y.value, x.slope + y.slope}; }
CE_INLINE Dual operator-(Dual x, Dual y) { return {x.value - y.value, x.slope - y.slope}; }
CE_INLINE Dual operator*(Dual x, Dual y) { return {x.value * y.value, x.slope * y.value + x.value * y.slope}; }
CE_INLINE Dual operator/(Dual x, Dual y) {
  const double quotient = x.value / y.value;
  return {quotient, (x.slope - quotient * y.slope) / y.value};
}
CE_INLINE Dual operator+(Dual x, double y) { return {x.value + y, x.slope}; }
CE_INLINE Dual operator+(double x, Dual y) { return y + x; }
CE_INLINE Dual operator-(Dual x, double y) { return {x.value - y, x.slope}; }
CE_INLINE Dual operator-(double x, Dual y) { return {x - y.value, -y.slope}; }
CE_INLINE Dual operator*(Dual x, double y) { return {x.value * y, x.slope * y}; }
CE_INLINE Dual operator*(double x, Dual y) { return y * x; }
CE_INLINE Dual operator/(Dual x, double y) { return {x.value / y, x.slope / y}; }
CE_INLINE Dual operator/(double x, Dual y) {
  const double quotient = x / y.value;
  return {quotient, -quotient * y.slope / y.value};
}
CE_INLINE bool operator<(Dual x, Dual y) { return x.value < y.value; }
CE_INLINE bool operator>(Dual x, Dual y) { return x.value > y.value; }
CE_INLINE bool operator<=(Dual x, Dual y) { return x.value <= y.value; }
CE_INLINE bool operator==(Dual x, Dual y) { return x.value == y.value; }
CE_INLINE bool operator!=(Dual x, Dual y) { return x.value != y.value; }

// What a formula multiplies by that does not depend on the logits, and what sums of a row are kept in.
template <class T>
struct NumberTypes {
  using Constant = T;
  using Wide = double;
};
template <>
struct NumberTypes<Dual> {
  using Constant = double;
  using Wide = Dual;
};
template <class T>
using Constant = typename NumberTypes<T>::Constant;
template <class T>
using Wide = typename NumberTypes<T>::Wide;

CE_INLINE float value_of(float x) { return x; }
CE_INLINE double value_of(double x) { return x; }
CE_INLINE double value_of(Dual x) { return x.value; }

// A number that is x, and so is its slope if it has one.
template <class T>
CE_INLINE T both(double x) {
  if constexpr (std::is_same_v<T, Dual>) return Dual(x, x);
  return T(x);
}

// The lesser, of a number and a constant.
template <class T>
CE_INLINE T at_most(T x, Constant<T> most) {
  return most < value_of(x) ? T(most) : x;
}

// Functions of common/exp.hpp, which take numbers apart into bits, and of the standard library.
CE_INLINE ReducedExp<Dual> reduce_exp(Dual x) {
  const ReducedExp<double> e = reduce_exp(x.value);
  return {e.n, {e.p, (1.0 + e.p) * x.slope}};
}
CE_INLINE double power_of_two(Dual n) { return power_of_two(n.value); }
CE_INLINE Dual exp_nonpositive(Dual x) {
  const double e = exp_nonpositive(x.value);
  return {e, e * x.slope};
}
CE_INLINE Dual expm1_nonpositive(Dual x) { return {expm1_nonpositive(x.value), exp_nonpositive(x.value) * x.slope}; }
CE_INLINE Dual exp2_shifted(Dual y, double floor, double magic) {
  const double e = exp2_shifted(y.value, floor, magic);
  return {e, e * (kLn2High + kLn2Low) * y.slope};
}
CE_INLINE Dual log1p_nonnegative(Dual x) { return {log1p_nonnegative(x.value), x.slope / (1.0 + x.value)}; }
CE_INLINE Dual log1p_unit(Dual x) { return log1p_nonnegative(x); }
CE_INLINE Dual exp(Dual x) {
  const double e = std::exp(x.value);
  return {e, e * x.slope};
}
CE_INLINE Dual expm1(Dual x) { return {std::expm1(x.value), std::exp(x.value) * x.slope}; }
CE_INLINE Dual log1p(Dual x) { return {std::log1p(x.value), x.slope / (1.0 + x.value)}; }
using std::exp;
using std::expm1;
using std::log1p;

}  // namespace ce
