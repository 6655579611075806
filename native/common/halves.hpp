// bfloat16 and float16 by integer arithmetic, which vectorises everywhere; stores round to nearest even.
#pragma once

#include "common/simd.hpp"

namespace ce {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

CE_INLINE float widen(float x) { return x; }
CE_INLINE double widen(double x) { return x; }
CE_INLINE float widen(BFloat16 x) { return bit_cast<float>(uint32_t(x.bits) << 16); }
CE_INLINE float widen(Float16 x) {
  const uint32_t sign = uint32_t(x.bits & 0x8000u) << 16;
  const uint32_t rest = uint32_t(x.bits & 0x7fffu) << 13;
  // Scaling by 2^112 moves the exponent's bias and makes subnormals normal; inf and NaN get all exponent bits.
  const uint32_t finite = bit_cast<uint32_t>(bit_cast<float>(rest) * 0x1p112f);
  return bit_cast<float>(sign | (rest >= 0x0f800000u ? rest | 0x7f800000u : finite));
}

template <class Out, class T>
CE_INLINE Out narrow(T x) {
  return Out(x);
}
// The nearest bfloat16 as the upper half of the word; of NaN only those whose lower bits are 0 are sure to stay NaN.
CE_INLINE uint32_t round_to_bfloat16(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x), odd = (bits >> 16) & 1u;
  return (bits | odd) + 0x7fffu;  // a half goes up if the number above it is odd
}
template <>
CE_INLINE BFloat16 narrow<BFloat16, float>(float x) {
  return {uint16_t(x != x ? 0x7fc0u : round_to_bfloat16(x) >> 16)};
}
// By a mask: a choice by ?: may become a branch, which no loop vectorises.
CE_INLINE uint32_t choose(bool first, uint32_t a, uint32_t b) {
  const uint32_t mask = 0u - uint32_t(first);
  return (a & mask) | (b & ~mask);
}
template <>
CE_INLINE Float16 narrow<Float16, float>(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // A subnormal half is a multiple of 2^−24: adding 1/2, whose last place that is, rounds to it.
  const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t normal = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  const uint32_t rounded = choose(magnitude < 0x38800000u, subnormal, normal);
  const uint32_t finite = rounded < 0x7c00u ? rounded : 0x7c00u;
  return {uint16_t(sign | choose(magnitude > 0x7f800000u, 0x7e00u, finite))};
}
template <>
CE_INLINE BFloat16 narrow<BFloat16, double>(double x) {
  return narrow<BFloat16, float>(float(x));
}
template <>
CE_INLINE Float16 narrow<Float16, double>(double x) {
  return narrow<Float16, float>(float(x));
}

}  // namespace ce
