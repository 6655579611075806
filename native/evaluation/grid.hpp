// A grid of probabilities, on which labels are counted.
//
// It has 2·half + 1 places, symmetric about ½, half = 2 + 32·2^bits: 0 and 1 have places of their own, 2^bits places
// stand between neighboring powers of two from ½ down to 2^-33, and what is smaller shares one.
#pragma once

#include <cstdint>

namespace ce {

// The place of each probability. `complement` is 1 − p, for those who have it without rounding; null for none.
void grid_places(const double* p, const double* complement, int64_t n, int bits, int32_t* places);

// For each of `classes` rows of p, (classes, n): counts[class][place][label == first + class] += 1.
void grid_counts(const double* p, const double* complement, const int64_t* labels, int64_t n, int64_t first,
                 int64_t classes, int bits, int64_t* counts);

// Rows, and the sum of their p in units of 2^-54, to which each is rounded, as high · 2^27 + low.
struct BinCount {
  int64_t rows, high, low, unused;
};
// Bins of equal width, p in bin min(floor(bins · p), bins − 1): counts[bin][label].
void bin_counts(const double* p, const int64_t* labels, int64_t n, int bins, BinCount* counts);

// counts[place] += 1 for numbers of at least 0, where place is the number's octave from 2^low on and its leading bits.
// Infinite ones count as 0.
void octave_counts(const double* x, int64_t n, int bits, int low, int64_t places, int64_t* counts);

}  // namespace ce
