#pragma once

#include <algorithm>
#include <limits>

#include "common/dual.hpp"

namespace ce {

// φ = (1 − p)^γ (−log p) of the answer whose probability is p, and −dφ/d(log-odds of the answer)
// = (1 − p)^γ ((1 − p) + γ p (−log p)).
template <class T>
CE_INLINE void focal(Constant<T> gamma, T p, T one_minus_p, T minus_log_p, T minus_log_one_minus_p, T& loss, T& slope) {
  constexpr auto kLargest = std::numeric_limits<Constant<T>>::max();  // in place of ∞, which would meet a 0
  const T focus = exp_nonpositive(-gamma * at_most(minus_log_one_minus_p, kLargest));
  loss = focus * minus_log_p;
  slope = focus * (one_minus_p + gamma * p * at_most(minus_log_p, kLargest));
}

// d²φ/d(log-odds of the answer)² in two terms: p times the slope above, which is not negative, and what bends the gain,
// (1 − p)^γ (γ p (−log p) ((γ − 1) p − (1 − p)) + 2γ p (1 − p)), which may be.
template <class T>
CE_INLINE void focal_bends(T gamma, T p, T one_minus_p, T minus_log_p, T minus_log_one_minus_p, T& of_softmax,
                           T& of_gain) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  const T focus = exp_nonpositive(-gamma * std::min(minus_log_one_minus_p, kLargest));
  const T pull = gamma * p * std::min(minus_log_p, kLargest);
  of_softmax = focus * p * (one_minus_p + pull);
  of_gain = focus * (pull * ((gamma - T(1)) * p - one_minus_p) + T(2) * gamma * p * one_minus_p);
}

}  // namespace ce
