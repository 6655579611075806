// Sums of float64 numbers without rounding.
//
// A sum is a whole multiple of 2^-1074, in limbs of 32 bits, each of which has a 64-bit integer to itself: the sum is
// Σ limb_i · 2^(32 i − 1074). Adding whole numbers is associative, so neither order nor threads matter.
#pragma once

#include <cstdint>

#include "common/simd.hpp"

namespace ce {

constexpr int kLimbs = 68;  // 2098 bits of a float64, and room for 2^63 of them

// One number as three adjacent limbs, of either sign.
struct Limbs {
  int first;
  int64_t value[3];
};

CE_INLINE Limbs limbs_of(double x) {
  const uint64_t bits = bit_cast<uint64_t>(x);
  const int exponent = int(bits >> 52) & 0x7ff;
  const uint64_t mantissa = (bits & 0x000fffffffffffffull) | (exponent ? 0x0010000000000000ull : 0);
  const int place = exponent ? exponent - 1 : 0;
  const int shift = place & 31;
  const uint64_t low = (mantissa & 0xffffffffu) << shift, high = (mantissa >> 32) << shift;
  const uint64_t middle = (low >> 32) + (high & 0xffffffffu);
  const int64_t sign = int64_t(bits) < 0 ? -1 : 1;
  return {place >> 5, {sign * int64_t(low & 0xffffffffu), sign * int64_t(middle), sign * int64_t(high >> 32)}};
}

// A sum of x, or of the products x·y if there is a y. Products are added as the rounded product and what it lost, which
// is exact unless it is below the smallest normal number.
struct ExactTerm {
  const double* x;
  const double* y;
};

// Adds to `limbs`, kLimbs of them, and to `special` the numbers of NaN, +∞ and −∞, which are in no limb.
void exact_sum(const ExactTerm& term, int64_t n, int64_t* limbs, int64_t* special);

// The same by group: row i belongs to group[i] of `groups`. limbs[limb · groups + group]; sets touched[limb] to 1.
// Rows that are not finite are left out.
void exact_group_sums(const ExactTerm& term, const int32_t* group, int64_t groups, int64_t n, int64_t* limbs,
                      uint8_t* touched);

// Sums of x and of x², then those of the rows of label 1, not 0: limbs and special have four sums, kLimbs and 3 of each.
void exact_moments(const double* x, const int64_t* labels, int64_t n, int64_t* limbs, int64_t* special);

// Sums of x and of y under `replicates` random multiplicities of the rows, Poisson(1) from a hash of the seed, the row's
// key and the replicate: limbs_x[limb · replicates + replicate], and limbs_y alike.
void poisson_sums(const double* x, const double* y, const uint64_t* keys, int64_t n, uint64_t seed,
                  int64_t replicates, int64_t* limbs_x, int64_t* limbs_y);

}  // namespace ce
