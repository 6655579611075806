// Exponential, logarithm and their kin for arguments of one sign, branch-free so that loops over them vectorise.
//
// Polynomials are near-minimax (Chebyshev) fits; their own error is below 0.15 units in the last place.
// NaN goes through everything; the comparisons are written so that it does.
#pragma once

#include <type_traits>

#include "common/simd.hpp"

namespace ce {

// Adding and subtracting it rounds a number to an integer, which stands in the lowest bits of the sum.
template <class T>
constexpr T kRound = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);

constexpr double kLog2E = 1.4426950408889634;

// e^x = 2^n (1 + p) with |x − n ln 2| ≤ ln(2)/2 and p = e^r − 1 = r + r² q(r).
template <class T>
struct ReducedExp {
  T n, p;
};

CE_INLINE ReducedExp<float> reduce_exp(float x) {
  x = x < -104.0f ? -104.0f : x;         // e^−104 rounds to 0
  const float n = (x * float(kLog2E) + kRound<float>) - kRound<float>;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // n·0.693359375 is exact
  float q = 1.392618359e-3f;
  q = q * r + 8.363179053e-3f;
  q = q * r + 4.166655462e-2f;
  q = q * r + 1.666657699e-1f;
  q = q * r + 0.5f;
  return {n, r + r * r * q};
}

CE_INLINE ReducedExp<double> reduce_exp(double x) {
  x = x < -746.0 ? -746.0 : x;                   // e^−746 rounds to 0
  const double n = (x * kLog2E + kRound<double>) - kRound<double>;
  const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  double q = 2.51003854955103191e-8;
  q = q * r + 2.76200884454097482e-7;
  q = q * r + 2.75572684599970648e-6;
  q = q * r + 2.48015212959543751e-5;
  q = q * r + 1.98412698630536169e-4;
  q = q * r + 1.38888889172137169e-3;
  q = q * r + 8.33333333333006183e-3;
  q = q * r + 4.16666666666241279e-2;
  q = q * r + 1.66666666666666675e-1;
  q = q * r + 0.5;
  return {n, r + r * r * q};
}

// 2^n for an integer n in the normal range.
CE_INLINE float power_of_two(float n) {
  return bit_cast<float>((bit_cast<uint32_t>(n + kRound<float>) + 127u) << 23);
}
CE_INLINE double power_of_two(double n) {
  return bit_cast<double>((bit_cast<uint64_t>(n + kRound<double>) + 1023u) << 52);
}

// e^x for x ≤ 0. 2^n is applied as 2^(n + shift), which is exact, and as a constant, which rounds where the result is
// subnormal.
CE_INLINE float exp_nonpositive(float x) {
  const ReducedExp<float> e = reduce_exp(x);
  return ((1.0f + e.p) * power_of_two(e.n + 64.0f)) * 0x1p-64f;
}
CE_INLINE double exp_nonpositive(double x) {
  const ReducedExp<double> e = reduce_exp(x);
  return ((1.0 + e.p) * power_of_two(e.n + 128.0)) * 0x1p-128;
}

// 2^y · 2^shift for y ≤ 0, the inner loop of the row kernels: e^{scale·d} with y = d · (scale/ln 2).
//
// A result below the smallest normal number is 0, so −∞ gives exactly 0. Where gradual underflow matters, the
// caller asks for a shift and takes it back in a factor of its own.
//
// Adding `magic` rounds y to an integer n and leaves n + bias + shift in the lowest bits, from where a move to the
// left makes it an exponent.
template <class T>
struct Exp2Shift {
  static constexpr T kBias = sizeof(T) == 4 ? T(127) : T(1023);
  T floor, magic;
  explicit CE_INLINE Exp2Shift(T shift) : floor(-kBias - shift), magic(kRound<T> + kBias + shift) {}
};

// 2^f for |f| ≤ 1/2, the highest power of f first.
template <class T>
constexpr int kExp2Terms = sizeof(T) == 4 ? 7 : 12;
template <class T>
constexpr float kExp2[] = {1.545318283e-4f, 1.339088633e-3f, 9.61808252e-3f, 5.550357071e-2f,
                           2.402265076e-1f, 6.93147188e-1f,  1.0f};
template <>
constexpr double kExp2<double>[] = {
    4.45496437126929679e-10, 7.07259302787899657e-9, 1.01780624269769234e-7, 1.32154425525222915e-6,
    1.52527338298670806e-5,  1.54035304417941374e-4, 1.33335581464169169e-3, 9.61812910760685395e-3,
    5.55041086648215944e-2,  2.40226506959100983e-1, 6.93147180559945309e-1, 1.0};

// The same to 2^−21, and 1 for f = 0: for results that are rounded to half precision.
constexpr float kShortExp2[] = {1.112550926e-3f, 9.666282547e-3f, 5.557400469e-2f,
                                2.402235065e-1f, 6.931428306e-1f, 1.0f};

template <class T, int kTerms = kExp2Terms<T>>
CE_INLINE T exp2_shifted(T y, T floor, T magic, const T* coefficients = kExp2<T>) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  y = y < floor ? floor : y;
  const T t = y + magic;
  const T f = y - (t - magic);
  T power = coefficients[0];
#pragma GCC unroll 12
  for (int i = 1; i < kTerms; ++i) power = power * f + coefficients[i];
  return power * bit_cast<T>(bit_cast<Bits>(t) << (sizeof(T) == 4 ? 23 : 52));
}

// factor · 2^y · 2^shift, stored in `Stored`. With the factor in the coefficients it costs nothing, and is rounded no
// worse.
template <class T, class Stored>
class ScaledExp2 {
 public:
  CE_INLINE ScaledExp2(T factor, T shift) : range(shift) {
    for (int i = 0; i < kTerms; ++i) coefficients[i] = factor * (kShort ? T(kShortExp2[i]) : kExp2<T>[i]);
  }
  CE_INLINE T operator()(T y) const { return exp2_shifted<T, kTerms>(y, range.floor, range.magic, coefficients); }

 private:
  static constexpr bool kShort = sizeof(Stored) < sizeof(float);
  static constexpr int kTerms = kShort ? 6 : kExp2Terms<T>;
  const Exp2Shift<T> range;
  T coefficients[kTerms];
};

// e^x − 1 for x ≤ 0, to full relative precision near 0.
template <class T>
CE_INLINE T expm1_nonpositive(T x) {
  constexpr T kFloor = sizeof(T) == 4 ? T(-60) : T(-700);
  const ReducedExp<T> e = reduce_exp(x < kFloor ? kFloor : x);
  const T power = power_of_two(e.n);
  return power * e.p + (power - T(1));
}

// tanh x = −em/(2 + em) with em = e^{−2|x|} − 1, and its derivative 1 − tanh² x = 4e/(1 + e)².
template <class T>
CE_INLINE void tanh_and_derivative(T x, T& value, T& derivative) {
  const T magnitude = x < T(0) ? -x : x;
  const T em = expm1_nonpositive(T(-2) * magnitude);
  const T e = exp_nonpositive(T(-2) * magnitude);
  const T tanh = -em / (T(2) + em);
  value = x < T(0) ? -tanh : tanh;
  derivative = T(4) * e / ((T(1) + e) * (T(1) + e));
}

constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;

// ln w = k ln 2 + 2 artanh t for a normal number w = 1 + x, rounded. Where k is 0, x has more digits. With w = 2^k f,
// f in [√½, √2): t = (f − 1)/(f + 1), s = t² and artanh t = t + t s q.
struct ReducedLog {
  double k, t, s, q;
};
CE_INLINE ReducedLog reduce_log(double w, double x) {
  constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcdull;
  const uint64_t shifted = bit_cast<uint64_t>(w) + (0x3ff0000000000000ull - kRootHalf);
  const double k =  // the exponent, converted by writing it into the mantissa of 2^52
      bit_cast<double>((shifted >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  const double f = bit_cast<double>((shifted & 0x000fffffffffffffull) + kRootHalf);
  const double numerator = k == 0.0 ? x : f - 1.0;
  const double t = numerator / (2.0 + numerator);
  const double s = t * t;
  double q = 7.30890357670866248e-2;
  q = q * s + 7.66580586102750394e-2;
  q = q * s + 9.09144621626843560e-2;
  q = q * s + 1.11111055446897481e-1;
  q = q * s + 1.42857143131269188e-1;
  q = q * s + 1.99999999999494453e-1;
  q = q * s + 3.33333333333333485e-1;
  return {k, t, s, q};
}

// The same where rounding w dropped lost = (1 + x − w)/w.
CE_INLINE double log_of_sum(double w, double x, double lost) {
  const ReducedLog r = reduce_log(w, x);
  lost = r.k == 0.0 ? 0.0 : lost;
  const double twice = r.t + r.t;
  return r.k * kLn2High + (twice + (twice * r.s * r.q + (r.k * kLn2Low + lost)));
}

// ln(1 + x) for x ≥ 0.
CE_INLINE double log1p_nonnegative(double x) {
  const double w = 1.0 + x;
  const double result = log_of_sum(w, x, (x - (w - 1.0)) / w);
  return x <= 1.7976931348623157e308 ? result : x;
}

// (artanh t)/t − 1 of s = t², for |t| ≤ 1/3.
CE_INLINE float artanh_tail(float s) {
  float q = 0.1161216461f;
  q = q * s + 0.108532879f;
  q = q * s + 0.14296179f;
  q = q * s + 0.1999985317f;
  q = q * s + 0.3333333366f;
  return s * q;
}

// ln(1 + x) for x in [0, 1].
CE_INLINE double log1p_unit(double x) { return log1p_nonnegative(x); }
CE_INLINE float log1p_unit(float x) {
  const float t = x / (2.0f + x);
  const float twice = t + t;
  return twice + twice * artanh_tail(t * t);
}

// ln x for a normal x in (0, 1], rounded: k ln 2 + 2 artanh t as in reduce_log.
CE_INLINE float log_unit(float x) {
  constexpr uint32_t kRootHalf = 0x3f3504f3u;
  const uint32_t shifted = bit_cast<uint32_t>(x) + (0x3f800000u - kRootHalf);
  const float k = bit_cast<float>((shifted >> 23) | 0x4b000000u) - (8388608.0f + 127.0f);
  const float f = bit_cast<float>((shifted & 0x007fffffu) + kRootHalf) - 1.0f;
  const float t = f / (2.0f + f);
  const float twice = t + t;
  return k * 0.693359375f + (twice + (twice * artanh_tail(t * t) - k * 2.12194440e-4f));
}

// softplus(x) = ln(1 + e^x) and its derivative σ(x) = 1/(1 + e^{−x}).
template <class T>
CE_INLINE void softplus_and_sigmoid(T x, T& softplus, T& sigmoid) {
  const T e = exp_nonpositive(x > T(0) ? -x : x);
  softplus = (x > T(0) ? x : T(0)) + log1p_unit(e);
  sigmoid = (x > T(0) ? T(1) : e) / (T(1) + e);
}

template <class T>
CE_INLINE T softplus(T x) {
  T value, slope;
  softplus_and_sigmoid(x, value, slope);
  return value;
}

}  // namespace ce
