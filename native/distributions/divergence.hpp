// One class's share of a divergence of two distributions.
#pragma once

#include "common/exp.hpp"
#include "common/lanes.hpp"

namespace ce {

// artanh s − s = s³/3 + s⁵/5 + … for |s| < ¼.
CE_INLINE double artanh_tail(double s) {
  const double square = s * s;
  double series = 0.0;
#pragma GCC unroll 13
  for (int k = 27; k > 1; k -= 2) series = square * (1.0 / k + series);
  return s * series;
}

// ln(p/q) of positive numbers, the ratio of which may be outside the range of normal numbers. Where p/q is below 2^-900,
// any such value will do: p ln(p/q) is nothing beside q.
CE_INLINE double log_ratio(double p, double q) {
  const double ratio = p / (q * 0x1p60);
  const bool large = ratio > 0x1p900;
  double w = large ? ratio : ratio * 0x1p60;
  w = w < 0x1p-900 ? 0x1p-900 : w;
  return log_of_sum(w, w - 1.0, 0.0) + (large ? 60.0 * 0.6931471805599453 : 0.0);
}

// p ln(p/q) − p + q with an accurate difference = p − q and log = ln(p/q). With s = (p − q)/(p + q), so that ln(p/q) =
// 2 artanh s, it is (p − q) s + 2p (artanh s − s), in which neither part can cancel the other. All are multiplied by 2^60,
// or subnormal probabilities would lose digits. Unless both are above 0 (inside), it is infinite or q.
CE_INLINE double divergence(double p, double q, double difference, double log, bool inside) {
  const double s = inside ? difference / (p + q) : 0.0;
  const bool is_near = (s < 0.0 ? -s : s) < 0.25;
  const double rest = is_near ? artanh_tail(s) : 0.5 * log - s;
  return inside ? difference * s + 2.0 * p * rest : (p > 0.0 ? kInf<double> : q);
}

CE_INLINE double divergence(double p, double q, double difference) {
  return divergence(p, q, difference, log_ratio(p, q), p > 0.0 && q > 0.0);
}

}  // namespace ce
