#include "evaluation/murphy.hpp"

#include <initializer_list>

#include "common/lanes.hpp"

namespace ce {
namespace {

double probability(uint64_t key) { return bit_cast<double>(key & ~uint64_t(3)); }

}  // namespace

// Between neighboring probabilities the difference is linear in the threshold, so its ends decide; outside of all it is 0.
MurphyOrder murphy(const uint64_t* keys, const double* weight, int64_t n, const double* thresholds, int64_t count,
                   double rounding, MurphySums* sums) {
  MurphySums now = {0.0, 0.0, 0.0, 0.0};
  MurphyOrder order = {false, false};
  int64_t next = 0;
  for (int64_t i = 0; i < n;) {
    const double at = probability(keys[i]);
    for (; next < count && thresholds[next] < at; ++next) sums[next] = now;
    for (; i < n && probability(keys[i]) == at; ++i) {
      const double mass = weight ? weight[i] : 1.0;
      const bool is_one = keys[i] & 1, is_second = keys[i] & 2;
      (is_one ? now.below : now.above) += is_one == is_second ? mass : -mass;
      if (!is_second) (is_one ? now.first_below : now.first_above) += is_one ? mass : -mass;
    }
    if (i == n) break;
    for (const double theta : {at, probability(keys[i])}) {
      const double difference = theta * now.above + (1.0 - theta) * now.below;
      order.first_is_better |= difference > rounding;
      order.second_is_better |= difference < -rounding;
    }
  }
  for (; next <= count; ++next) sums[next] = now;
  return order;
}

}  // namespace ce
