// The softmax of one row that lies in whole lines, filled up by −∞.
//
// The largest logit, the top, is kept out of all loops over lines: what a formula makes of the likeliest class is
// computed once, in double, from `rest`, the sum of e^{u − top} over the others. So in the loops p ≤ 1/2 and 1 − p has
// all its digits, and of the top 1 − p = rest/(1 + rest).
#pragma once

#include <cmath>

#include "classes/tile.hpp"
#include "common/dual.hpp"

namespace ce {

constexpr int64_t kTermsOfALane = 64;  // that are added in the row's type before their sum is in double

// Halves onto halves, in double.
template <class T>
CE_INLINE Wide<T> sum_of_line(const T* line) {
  alignas(64) Wide<T> sum[kRowLanes];
  for (int l = 0; l < kRowLanes; ++l) sum[l] = Wide<T>(line[l]);
#pragma GCC unroll 5
  for (int half = kRowLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

template <class T>
CE_INLINE T highest_of_line(const T* line) {
  T high = line[0];
  for (int l = 1; l < kRowLanes; ++l) high = line[l] > high ? line[l] : high;
  return high;
}

struct NothingAhead {
  CE_INLINE void operator()(int64_t) const {}
};

// Σ over the row of term(place), a function of a place; ahead(place) is called before each line.
template <class T, class Term, class Ahead = NothingAhead>
CE_INLINE Wide<T> sum_row(int64_t width, const Term& term, const Ahead& ahead = {}) {
  Wide<T> total = 0.0;
  for (int64_t from = 0; from < width; from += kTermsOfALane * kRowLanes) {
    const int64_t end = std::min(width, from + kTermsOfALane * kRowLanes);
    alignas(64) T sum[kRowLanes] = {};
    for (int64_t c = from; c < end; c += kRowLanes) {
      ahead(c);
      for (int l = 0; l < kRowLanes; ++l) sum[l] += term(c + l);
    }
    total += sum_of_line(sum);
  }
  return total;
}

// Where the largest number of a row stands first; −1 if that is infinite, or there is none. NaN is not looked for.
template <class T>
CE_INLINE int64_t find_top(const T* u, int64_t width) {
  using Value = Constant<T>;
  alignas(64) Value high[kRowLanes];
  for (int l = 0; l < kRowLanes; ++l) high[l] = -kInf<Value>;
  for (int64_t c = 0; c < width; c += kRowLanes)
    for (int l = 0; l < kRowLanes; ++l) high[l] = value_of(u[c + l]) > high[l] ? value_of(u[c + l]) : high[l];
  const Value top = highest_of_line(high);
  if (!(top > -kInf<Value> && top < kInf<Value>)) return -1;
  for (int64_t c = 0;; c += kRowLanes) {
    int found = 0;
    for (int l = 0; l < kRowLanes; ++l) found |= value_of(u[c + l]) == top;
    for (int l = 0; found; ++l)
      if (value_of(u[c + l]) == top) return c + l;
  }
}

template <class T>
CE_INLINE bool has_nan(const T* u, int64_t width) {
  int found = 0;
  for (int64_t c = 0; c < width; c += kRowLanes)
    for (int l = 0; l < kRowLanes; ++l) found |= u[c + l] != u[c + l];
  return found != 0;
}

template <class T>
struct SoftmaxRow {
  T* u;            // of all but the top: ln(p_c/p_top), of the top −∞
  T* e;            // e^u 2^shift, of the top 0
  int64_t width, place;
  Wide<T> rest;    // Σ e^u over all but the top; NaN if one of the logits is, and so is all that follows
  Wide<T> inverse;  // p of the top: 1/(1 + rest)
  Wide<T> log_total;  // −ln p of the top: ln(1 + rest)
  T to_p, log_sum;  // p_c = e_c · to_p and −ln p_c = log_sum − u_c

  // Replaces logits in `u`, the largest of which stands at `place`; they are multiplied by `scale`. The result of an
  // exponential below the smallest normal number is 0, which a shift, at most 64, makes smaller.
  CE_INLINE SoftmaxRow(T* u, T* e, int64_t width, int64_t place, double scale, int shift = 64)
      : u(u), e(e), width(width), place(place) {
    const T top = u[place];
    const Constant<T> rate = Constant<T>(scale * kLog2E), own = Constant<T>(scale);
    const Exp2Shift<Constant<T>> range{Constant<T>(shift)};
    u[place] = T(-kInf<Constant<T>>);
    const Wide<T> sum = sum_row<T>(width, [&](int64_t c) __attribute__((always_inline)) {
      const T d = u[c] - top;
      u[c] = d * own;
      return e[c] = exp2_shifted(d * rate, range.floor, range.magic);
    });
    const double unshift = std::ldexp(1.0, -shift);
    rest = sum * unshift;
    inverse = 1.0 / (1.0 + rest);
    log_total = log1p_nonnegative(rest);
    to_p = T(inverse * unshift);
    log_sum = T(log_total);
  }

  CE_INLINE T p(int64_t c) const { return e[c] * to_p; }
};

}  // namespace ce
