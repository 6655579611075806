#include "straight_sets.hpp"

#include "halves.hpp"

namespace ce {
namespace {

// One row's two sums, a chunk of kDepth lines at a time. Lines that hold a new top, and the row's last, are copied
// and set apart.
template <class T, class Stored>
class StraightSet {
 public:
  CE_INLINE SetSums read(const Stored* row, const uint8_t* mask, int64_t classes, double scale) {
    constexpr int64_t kChunk = kDepth * kLanes;
    for (int64_t c = 0; c < classes; c += kChunk) {
      const int64_t here = std::min(kChunk, classes - c);
      lines = row + c;
      members = mask + c;
      whole = int(here / kLanes);
      count = 0;
      if (here % kLanes) set_apart(whole, int(here % kLanes));
      find_tops(scale);
      add(scale);
    }
    return {sum[0], sum[1]};
  }

 private:
  static constexpr int kApart = 3;  // two tops and the row's end
  LogSum sum[2];                    // off the set, on it
  const Stored* lines;
  const uint8_t* members;
  int whole, count;
  int line_of[kApart];
  alignas(64) T value[kApart][kLanes], side[kApart][kLanes];

  CE_INLINE int index_of(int line) const {
    for (int i = 0; i < count; ++i)
      if (line_of[i] == line) return i;
    return -1;
  }

  CE_INLINE int set_apart(int line, int length) {
    if (const int known = index_of(line); known >= 0) return known;
    const int i = count++;
    line_of[i] = line;
    alignas(64) Stored own[kLanes] = {};
    alignas(64) uint8_t member[kLanes] = {};
    std::memcpy(own, lines + int64_t(line) * kLanes, size_t(length) * sizeof(Stored));
    std::memcpy(member, members + int64_t(line) * kLanes, size_t(length));
    for (int l = 0; l < kLanes; ++l) value[i][l] = l < length ? T(widen(own[l])) : -kInf<T>;
    for (int l = 0; l < kLanes; ++l) side[i][l] = member[l] ? T(1) : T(0);
    return i;
  }

  // The largest u of each side, where it is above the side's top, becomes the top and is kept out of the sum.
  CE_INLINE void find_tops(double scale) {
    alignas(64) T high[2][kLanes];
    for (int s = 0; s < 2; ++s)
      for (int l = 0; l < kLanes; ++l) high[s][l] = T(sum[s].top);
    const Stored* from = lines;
    const uint8_t* member = members;
    for (int line = 0; line < whole; ++line, from += kLanes, member += kLanes)
      for (int l = 0; l < kLanes; ++l) {
        const T u = T(widen(from[l]));
        const bool on = member[l] != 0;
        high[0][l] = !on && u > high[0][l] ? u : high[0][l];
        high[1][l] = on && u > high[1][l] ? u : high[1][l];
      }
    if (count)
      for (int l = 0; l < kLanes; ++l) {
        const T u = value[0][l];
        const bool on = side[0][l] != T(0);
        high[0][l] = !on && u > high[0][l] ? u : high[0][l];
        high[1][l] = on && u > high[1][l] ? u : high[1][l];
      }
    for (int s = 0; s < 2; ++s) {
      const T highest = highest_lane(high[s]);
      if (!(double(highest) > sum[s].top)) continue;
      const int lane = find_lane(high[s], highest);
      int line = 0;
      while (!holds(line, lane, s, highest)) ++line;
      value[set_apart(line, kLanes)][lane] = -kInf<T>;
      sum[s].rise(double(highest), scale);
    }
  }

  CE_INLINE bool holds(int line, int lane, int s, T what) const {
    if (const int i = index_of(line); i >= 0) return value[i][lane] == what && side[i][lane] == T(s);
    const int64_t at = int64_t(line) * kLanes + lane;
    return T(widen(lines[at])) == what && (members[at] != 0) == (s == 1);
  }

  CE_INLINE void add(double scale) {
    const T rate = T(scale * kLog2E), off = T(reference(sum[0].top)), on = T(reference(sum[1].top));
    const Exp2Shift<T> range(0);
    alignas(64) T terms[2][kLanes] = {};
    for (int line = 0; line < whole;) {
      int end = line;
      while (end < whole && index_of(end) < 0) ++end;
      sum_lines(lines + int64_t(line) * kLanes, members + int64_t(line) * kLanes, end - line, off, on, rate, terms);
      line = end + 1;
    }
    for (int i = 0; i < count; ++i)
      for (int l = 0; l < kLanes; ++l) {
        const bool member = side[i][l] != T(0);
        const T e = exp2_shifted((value[i][l] - (member ? on : off)) * rate, range.floor, range.magic);
        terms[0][l] += member ? T(0) : e;
        terms[1][l] += member ? e : T(0);
      }
    for (int s = 0; s < 2; ++s) sum[s].rest += total_of_lanes(terms[s]);
  }

  static CE_INLINE void sum_lines(const Stored* from, const uint8_t* member, int n, T off, T on, T rate,
                                  T (*terms)[kLanes]) {
    const Exp2Shift<T> range(0);
    alignas(64) T sums[2][kLanes];
    std::memcpy(sums, terms, sizeof sums);
    for (int line = 0; line < n; ++line, from += kLanes, member += kLanes)
      for (int l = 0; l < kLanes; ++l) {
        const bool right = member[l] != 0;
        const T e = exp2_shifted((T(widen(from[l])) - (right ? on : off)) * rate, range.floor, range.magic);
        sums[0][l] += right ? T(0) : e;
        sums[1][l] += right ? e : T(0);
      }
    std::memcpy(terms, sums, sizeof sums);
  }
};

template <class T, class Stored>
CE_INLINE void pull_set(const Stored* from, const uint8_t* mask, int64_t classes, const SetGradient& row, Stored* to) {
  const T off = T(row.base[0]), on = T(row.base[1]), factor_off = T(row.factor[0]), factor_on = T(row.factor[1]);
  const T rate = T(row.rate);
  const Exp2Shift<T> range(T(row.shift));
  for (int64_t c = 0; c < classes; c += kLanes) {
    alignas(64) Stored last[kLanes] = {};
    alignas(64) uint8_t last_mask[kLanes] = {};
    const bool short_line = classes - c < kLanes;
    const size_t left = size_t(classes - c);
    if (short_line) {
      std::memcpy(last, from + c, left * sizeof(Stored));
      std::memcpy(last_mask, mask + c, left);
    }
    const Stored* line = short_line ? last : from + c;
    const uint8_t* member = short_line ? last_mask : mask + c;
    Stored* out = short_line ? last : to + c;
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) {  // reads and writes may be of the same place, never of a neighbour's
      const bool right = member[l] != 0;
      const T e = exp2_shifted((T(widen(line[l])) - (right ? on : off)) * rate, range.floor, range.magic);
      out[l] = narrow<Stored>((right ? factor_on : factor_off) * e);
    }
    if (short_line) std::memcpy(to + c, last, left * sizeof(Stored));
  }
}

#define CE_SET(name, T, Stored)                                                                                   \
  CE_CLONES SetSums sum_##name(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,         \
                               double scale) {                                                                    \
    StraightSet<T, Stored> row;                                                                                   \
    return row.read(pointer<const Stored>(logits.address) + offset, mask, classes, scale);                       \
  }                                                                                                               \
  CE_CLONES void pull_##name(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,           \
                             const SetGradient& row, const View& gradient, int64_t gradient_offset) {            \
    pull_set<T, Stored>(pointer<const Stored>(logits.address) + offset, mask, classes, row,                      \
                        pointer<Stored>(gradient.address) + gradient_offset);                                    \
  }
CE_SET(float32, float, float)
CE_SET(float64, double, double)
CE_SET(bfloat16, float, BFloat16)
CE_SET(float16, float, Float16)
#undef CE_SET

}  // namespace

SetSums sum_straight_set(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask, double scale) {
  static constexpr decltype(&sum_float32) kOf[] = {sum_float32, sum_float64, sum_bfloat16, sum_float16};
  return kOf[int(logits.dtype)](logits, offset, classes, mask, scale);
}

void pull_straight_set(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,
                       const SetGradient& row, const View& gradient, int64_t gradient_offset) {
  static constexpr decltype(&pull_float32) kOf[] = {pull_float32, pull_float64, pull_bfloat16, pull_float16};
  kOf[int(logits.dtype)](logits, offset, classes, mask, row, gradient, gradient_offset);
}

}  // namespace ce
