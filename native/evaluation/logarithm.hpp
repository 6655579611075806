// Logarithms of probabilities and of their complements.
#pragma once

#include "common/exp.hpp"
#include "common/lanes.hpp"

namespace ce {

// ln p for p in [0, 1]: −∞ at 0, right to the last digits next to 1.
CE_INLINE double log_probability(double p) {
  const bool tiny = p < 0x1p-1000;  // subnormal numbers have no exponent to read
  const double w = tiny ? p * 0x1p100 : p;
  const double result = log_of_sum(w, w - 1.0, 0.0) - (tiny ? 100.0 * 0.6931471805599453 : 0.0);
  return p > 0.0 ? result : (p == 0.0 ? -kInf<double> : kNaN);
}

// ln(1 − p) for p in [0, 1]: −∞ at 1, right to the last digits next to 0.
CE_INLINE double log_complement(double p) {
  const double w = 1.0 - p;
  const double result = log_of_sum(w, -p, ((1.0 - w) - p) / w);
  return w > 0.0 ? result : (w == 0.0 ? -kInf<double> : kNaN);
}

}  // namespace ce
