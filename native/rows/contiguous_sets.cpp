#include "rows/contiguous_sets.hpp"

#include "common/halves.hpp"

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
      add(scale, c == 0);
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
  alignas(64) T value[kApart][kLanes];
  alignas(64) uint8_t side[kApart][kLanes];
  alignas(64) T high[2][kLanes];  // the largest u of a chunk

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
    std::memset(side[i], 0, kLanes);
    std::memcpy(own, lines + int64_t(line) * kLanes, size_t(length) * sizeof(Stored));
    std::memcpy(side[i], members + int64_t(line) * kLanes, size_t(length));
    for (int l = 0; l < kLanes; ++l) value[i][l] = l < length ? T(widen(own[l])) : -kInf<T>;
    return i;
  }

  // A row's first chunk is searched for its tops before it is summed. Those after it are summed below the tops that
  // are known, and searched only if something in them is higher: its term is taken off the sum again where that leaves
  // most of it, so that no digits are lost; otherwise the chunk is summed once more.
  CE_INLINE void add(double scale, bool first) {
    const T rate = T(scale * kLog2E);
    if (first) {
      find_highest();
      for (int s = 0; s < 2; ++s)
        if (double(highest(s)) > sum[s].top) keep_out(s, scale);
    }
    for (bool settled = first;; settled = false) {
      alignas(64) T terms[2][kLanes];
      const bool higher = settled ? sum_chunk<false>(rate, terms) : sum_chunk<true>(rate, terms);
      double chunk[2] = {total_of_lanes(terms[0]), total_of_lanes(terms[1])};
      if (!higher) {
        for (int s = 0; s < 2; ++s) sum[s].rest += chunk[s];
        return;
      }
      find_highest();
      bool once_more = false;
      for (int s = 0; s < 2; ++s) {
        if (!(double(highest(s)) > sum[s].top)) continue;
        const double own = own_term(s, rate);
        chunk[s] -= own;
        if (chunk[s] >= 4.0 * own) continue;
        keep_out(s, scale);
        once_more = true;
      }
      if (once_more) continue;
      for (int s = 0; s < 2; ++s) {
        sum[s].rest += chunk[s];
        if (double(highest(s)) > sum[s].top) sum[s].rise(double(highest(s)), scale);
      }
      return;
    }
  }

  // What the sum of a side has in it of its largest u; NaN where that is no number.
  CE_INLINE double own_term(int s, T rate) const {
    const Exp2Shift<T> range(0);
    const T above = (highest(s) - T(sum[s].top)) * rate;
    return above < T(100) ? double(exp2_shifted(above, range.floor, range.magic)) : kNaN;
  }

  // Makes the largest u of a side the side's top, which is kept out of the sum.
  CE_INLINE void keep_out(int s, double scale) {
    const int lane = find_lane(high[s], highest(s));
    const T top = highest(s);
    const Stored* u = lines + lane;
    const uint8_t* member = members + lane;
    uint64_t holding = 0;  // a bit for every line, without a branch; if none is set, it is the row's end
    const uint64_t other_side = uint64_t(1 - s);
    for (int line = 0; line < whole; ++line, u += kLanes, member += kLanes) {
      const uint64_t here = uint64_t(*member != 0) ^ other_side, high_enough = T(widen(*u)) >= top;
      holding |= (here & high_enough) << line;
    }
    const int line = holding ? __builtin_ctzll(holding) : whole;
    value[set_apart(line, kLanes)][lane] = -kInf<T>;
    sum[s].rise(double(top), scale);
  }

  CE_INLINE T highest(int s) const { return highest_lane(high[s]); }

  // The lanes stay in registers from run to run.
  CE_INLINE void find_highest() {
    alignas(64) T lanes[2][kLanes];
    for (int s = 0; s < 2; ++s)
      for (int l = 0; l < kLanes; ++l) lanes[s][l] = -kInf<T>;
    each_run([&](auto* from, const uint8_t* member, int n) __attribute__((always_inline)) {
      for (int line = 0; line < n; ++line, from += kLanes, member += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const bool right = member[l] != 0;
          const T u = T(widen(from[l]));
          const T off = right ? -kInf<T> : u, on = right ? u : -kInf<T>;
          lanes[0][l] = off > lanes[0][l] ? off : lanes[0][l];
          lanes[1][l] = on > lanes[1][l] ? on : lanes[1][l];
        }
    });
    std::memcpy(high, lanes, sizeof high);
  }

  // The terms of both sides. Returns whether one of the chunk's u is above its side's top, or has none yet, if that is
  // looked for. What is fetched past the row's end is the rows to come, which mostly lie one behind the other.
  template <bool kLook>
  CE_INLINE bool sum_chunk(T rate, T (*terms)[kLanes]) const {
    T base[2];
    for (int s = 0; s < 2; ++s)
      base[s] = sum[s].top == -kInf<double> ? std::numeric_limits<T>::lowest() : T(reference(sum[s].top));
    const T off = base[0], on = base[1];
    const Exp2Shift<T> range(0);
    alignas(64) T sums[2][kLanes] = {}, above[kLanes] = {};
    each_run([&](auto* from, const uint8_t* member, int n) __attribute__((always_inline)) {
      for (int line = 0; line < n; ++line, from += kLanes, member += kLanes) {
        for (int b = 0; b < int(kLanes * sizeof(*from)); b += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(from + kDepth * kLanes) + b);
        __builtin_prefetch(member + kDepth * kLanes);
        for (int l = 0; l < kLanes; ++l) {
          const bool right = member[l] != 0;
          const T y = (T(widen(from[l])) - (right ? on : off)) * rate;
          const T e = exp2_shifted(y, range.floor, range.magic);
          if (kLook) above[l] = y > above[l] ? y : above[l];
          sums[0][l] += right ? T(0) : e;
          sums[1][l] += right ? e : T(0);
        }
      }
    });
    std::memcpy(terms, sums, sizeof sums);
    return kLook && highest_lane(above) > T(0);
  }

  // Calls work(from, members, n) for every run of n lines: those that are summed as they stand, and those apart.
  template <class Work>
  CE_INLINE void each_run(const Work& work) const {
    for (int line = 0; line < whole;) {
      int end = line;
      while (end < whole && index_of(end) < 0) ++end;
      const int64_t first = int64_t(line) * kLanes;
      if (line < end) work(lines + first, members + first, end - line);
      line = end + 1;
    }
    for (int i = 0; i < count; ++i) work(value[i], side[i], 1);
  }
};

// The last line of a row, which may be short, goes through a buffer.
template <class T, class Stored>
class SetPull {
 public:
  explicit CE_INLINE SetPull(const SetGradient& row)
      : base{T(row.base[0]), T(row.base[1])},
        factor{T(row.factor[0]), T(row.factor[1])},
        rate(T(row.rate)),
        range(T(row.shift)) {}

  CE_INLINE void write(const Stored* from, const uint8_t* mask, int64_t classes, Stored* to) const {
    const int64_t end = classes / kLanes * kLanes;
    for (int64_t c = 0; c < end; c += kLanes) write_line(from + c, mask + c, to + c);
    if (end == classes) return;
    const size_t left = size_t(classes - end);
    alignas(64) Stored line[kLanes] = {};
    alignas(64) uint8_t member[kLanes] = {};
    std::memcpy(line, from + end, left * sizeof(Stored));
    std::memcpy(member, mask + end, left);
    write_line(line, member, line);
    std::memcpy(to + end, line, left * sizeof(Stored));
  }

 private:
  const T base[2], factor[2], rate;
  const Exp2Shift<T> range;

  CE_INLINE void write_line(const Stored* from, const uint8_t* member, Stored* to) const {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) {  // reads and writes may be of the same place, never of a neighbour's
      const bool right = member[l] != 0;
      const T e = exp2_shifted((T(widen(from[l])) - (right ? base[1] : base[0])) * rate, range.floor, range.magic);
      to[l] = narrow<Stored>((right ? factor[1] : factor[0]) * e);
    }
  }
};

#define CE_SET(name, T, Stored)                                                                                   \
  CE_CLONES SetSums sum_##name(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,         \
                               double scale) {                                                                    \
    StraightSet<T, Stored> row;                                                                                   \
    return row.read(pointer<const Stored>(logits.address) + offset, mask, classes, scale);                       \
  }                                                                                                               \
  CE_CLONES void pull_##name(const View& logits, int64_t offset, int64_t classes, const uint8_t* mask,           \
                             const SetGradient& row, const View& gradient, int64_t gradient_offset) {            \
    SetPull<T, Stored>(row).write(pointer<const Stored>(logits.address) + offset, mask, classes,                 \
                                  pointer<Stored>(gradient.address) + gradient_offset);                          \
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
