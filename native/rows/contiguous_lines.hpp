// What the two passes over straight rows share: how a line of stored numbers is taken apart, and which kinds of prior
// there are.
#pragma once

#include "common/halves.hpp"
#include "rows/contiguous.hpp"

namespace ce {

constexpr int kHalf = kLanes / 2;

// A line of 64 stored numbers in two halves of 32 lanes; `place` says which number a lane is.
template <class Stored>
struct Halves {
  static constexpr int place(int half, int l) { return half * kHalf + l; }

  template <class T>
  static CE_INLINE T load(const Stored* line, int half, int l) {
    return T(widen(line[place(half, l)]));
  }
  template <class T>
  static CE_INLINE void store(Stored* line, int l, T first, T second) {
    line[place(0, l)] = narrow<Stored>(first);
    line[place(1, l)] = narrow<Stored>(second);
  }
};

// A bfloat16 is the upper half of a float32, so a word of two of them is two floats by a shift and a mask (on a
// little-endian machine, as all are that this is built for). On storing, what lies exactly between two neighbours
// goes away from zero.
template <>
struct Halves<BFloat16> {
  static constexpr int place(int half, int l) { return 2 * l + half; }

  template <class T>
  static CE_INLINE float load(const BFloat16* line, int half, int l) {
    uint32_t word;
    std::memcpy(&word, line + 2 * l, sizeof word);
    return bit_cast<float>(half ? word & 0xffff0000u : word << 16);
  }
  static CE_INLINE void store(BFloat16* line, int l, float first, float second) {
    const uint32_t low = bit_cast<uint32_t>(first) + 0x8000u, high = bit_cast<uint32_t>(second) + 0x8000u;
    const uint32_t word = (low >> 16) | (high & 0xffff0000u);
    std::memcpy(line + 2 * l, &word, sizeof word);
  }
};

enum class PriorKind { kNone, kUniform, kVector };

inline int kind_of(bool with_prior, uintptr_t prior) {
  return int(!with_prior ? PriorKind::kNone : !prior ? PriorKind::kUniform : PriorKind::kVector);
}

// A function for each dtype and kind of prior: put together, they would not fit the registers.
#define CE_STRAIGHT(define)       \
  define(float, float, float)     \
  define(double, double, double)  \
  define(bfloat16, float, BFloat16) \
  define(float16, float, Float16)
#define CE_STRAIGHT_KINDS(name)                                                \
  {{name##_float_alone, name##_float_uniform, name##_float_weighted},          \
   {name##_double_alone, name##_double_uniform, name##_double_weighted},       \
   {name##_bfloat16_alone, name##_bfloat16_uniform, name##_bfloat16_weighted}, \
   {name##_float16_alone, name##_float16_uniform, name##_float16_weighted}}

}  // namespace ce
