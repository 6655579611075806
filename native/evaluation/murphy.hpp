// Two models under every proper score of two classes: sums of elementary scores over probabilities in increasing order.
#pragma once

#include <cstdint>

namespace ce {

// Of the rows whose probability is not above a threshold: less the mass of those of label 0, and the mass of those of
// label 1; each of the second model less the first, and of the first alone.
struct MurphySums {
  double above, below, first_above, first_below;
};

struct MurphyOrder {
  bool first_is_better, second_is_better;  // somewhere, by more than rounding
};

// Keys are bits of probabilities, their last two replaced: bit 0 is the label, bit 1 the second model. `weight`, in the
// order of the keys, may be null. `sums` has a place for each increasing threshold, and one for all rows.
MurphyOrder murphy(const uint64_t* keys, const double* weight, int64_t n, const double* thresholds, int64_t count,
                   double rounding, MurphySums* sums);

}  // namespace ce
