// What the two passes over contiguous rows share: how a line of stored numbers is taken apart, and a function for each
// dtype and each of what lies beside the logits.
#pragma once

#include <type_traits>

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
// little-endian machine, as all are that this is built for).
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
    const uint32_t word = round_to_bfloat16(first) >> 16 | (round_to_bfloat16(second) & 0xffff0000u);
    std::memcpy(line + 2 * l, &word, sizeof word);
  }
};

// The u of a logit z: with a bias factor·z + bias, where `beside` holds the bias at this place. If kAnchored, the anchor
// is taken off z before.
template <Beside kBeside, bool kAnchored, class T, class Item>
CE_INLINE T u_of(T z, T anchor, T factor, const Item* beside, int64_t place) {
  return kBeside == Beside::kBias ? (kAnchored ? z - anchor : z) * factor + T(beside[place]) : z;
}

// A function for each dtype and each of what lies beside: put together, they would not fit the registers.
#define CE_CONTIGUOUS_BESIDE(define, name, T, Stored)         \
  define(name##_alone, T, Stored, Beside::kNothing)           \
  define(name##_uniform, T, Stored, Beside::kUniformPrior)    \
  define(name##_weighted, T, Stored, Beside::kVectorPrior)    \
  define(name##_set, T, Stored, Beside::kLabelSet)            \
  define(name##_biased, T, Stored, Beside::kBias)
#define CE_CONTIGUOUS(define)                                 \
  CE_CONTIGUOUS_BESIDE(define, float32, float, float)         \
  CE_CONTIGUOUS_BESIDE(define, float64, double, double)       \
  CE_CONTIGUOUS_BESIDE(define, bfloat16, float, BFloat16)     \
  CE_CONTIGUOUS_BESIDE(define, float16, float, Float16)
#define CE_CONTIGUOUS_TABLE(name)                                     \
  {CE_CONTIGUOUS_LINE(name##_float32), CE_CONTIGUOUS_LINE(name##_float64), \
   CE_CONTIGUOUS_LINE(name##_bfloat16), CE_CONTIGUOUS_LINE(name##_float16)}
#define CE_CONTIGUOUS_LINE(name) {name##_alone, name##_uniform, name##_weighted, name##_set, name##_biased}

}  // namespace ce
