#include "straight_rows.hpp"

#include "halves.hpp"

namespace ce {
namespace {

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

// One row's sums, a chunk of kDepth lines at a time. Lines that are not summed as they stand, because they hold a
// target, a new top or the row's end, are copied and set apart.
template <class T, class Stored, PriorKind kPrior>
class StraightRow {
 public:
  CE_INLINE StraightSums read(const Stored* row, int64_t classes, const int64_t* labels, int64_t k, double scale,
                      const T* prior, double* targets) {
    constexpr int64_t kChunk = kDepth * kLanes;
    for (int64_t j = 0; j < k; ++j) targets[j] = double(widen(row[labels[j]]));
    for (int64_t c = 0; c < classes; c += kChunk) {
      lines = row + c;
      weights = kPrior == PriorKind::kVector ? prior + c : nullptr;
      const int64_t here = std::min(kChunk, classes - c);
      whole = int(here / kLanes);
      count = 0;
      apart = 0;
      if (here % kLanes) set_apart(whole, int(here % kLanes));
      for (int64_t j = 0; j < k; ++j)
        if (labels[j] >= c && labels[j] < c + here) take_out(labels[j] - c);
      add(scale, classes - c > kChunk);
    }
    return {sum, depth_sum, mass};
  }

 private:
  static constexpr int kApart = int(kMostStraightTargets) + 2;
  LogSum sum;
  double depth_sum = 0.0, mass = 0.0;
  const Stored* lines;
  const T* weights;
  int whole, count;
  uint64_t apart;  // a bit for every line
  int line_of[kApart];
  // What is apart: its u, those of them that are summed (−∞: not), and their weights in the prior.
  alignas(64) T value[kApart][kLanes], summed[kApart][kLanes], weighed[kApart][kLanes];

  CE_INLINE bool is_apart(int line) const { return line < kDepth && (apart >> line & 1); }

  CE_INLINE int set_apart(int line, int length) {
    for (int i = 0; is_apart(line) && i < count; ++i)
      if (line_of[i] == line) return i;
    const int i = count++;
    line_of[i] = line;
    apart |= uint64_t(1) << line;
    alignas(64) Stored own[kLanes] = {};
    alignas(64) T weight[kLanes] = {};
    std::memcpy(own, lines + int64_t(line) * kLanes, size_t(length) * sizeof(Stored));
    if (kPrior == PriorKind::kVector)
      std::memcpy(weight, weights + int64_t(line) * kLanes, size_t(length) * sizeof(T));
    for (int l = 0; l < kLanes; ++l) value[i][l] = l < length ? T(widen(own[l])) : -kInf<T>;
    for (int l = 0; l < kLanes; ++l) summed[i][l] = value[i][l];
    for (int l = 0; l < kLanes; ++l)
      weighed[i][l] = kPrior == PriorKind::kVector ? weight[l] : l < length ? T(1) : T(0);
    return i;
  }

  CE_INLINE void take_out(int64_t at) {
    const int i = set_apart(int(at / kLanes), kLanes), l = int(at % kLanes);
    value[i][l] = summed[i][l] = -kInf<T>;
    weighed[i][l] = T(0);
  }

  // The largest u of a chunk, with `high` that of the lines that stand as they are.
  CE_INLINE T highest_of(const T* high) const {
    alignas(64) T all[kLanes];
    for (int l = 0; l < kLanes; ++l) all[l] = high[l];
    for (int i = 0; i < count; ++i)
      for (int l = 0; l < kLanes; ++l) all[l] = value[i][l] > all[l] ? value[i][l] : all[l];
    return highest_lane(all);
  }

  // Makes a chunk's largest u the top, which is kept out of the sum.
  CE_INLINE void keep_out(T highest, const T* high, double scale) {
    int i = 0, lane = kLanes;
    for (; i < count && (lane = find_lane(value[i], highest)) == kLanes; ++i) {
    }
    if (lane == kLanes) {
      const int l = find_lane(high, highest);
      lane = Halves<Stored>::place(l / kHalf, l % kHalf);
      int line = 0;
      while (is_apart(line) || T(widen(lines[int64_t(line) * kLanes + lane])) != highest) ++line;
      i = set_apart(line, kLanes);
    }
    summed[i][lane] = -kInf<T>;
    rise(double(highest), scale);
  }

  CE_INLINE void rise(double to, double scale) {
    if (mass != 0.0) depth_sum += mass * (reference(to) - reference(sum.top));
    sum.rise(to, scale);
  }

  // A row's first chunk is searched for its top before it is summed. Those after it are summed below the top that
  // is known. If one holds a higher one, its term is taken off the sum again where that leaves most of it, so that
  // no digits are lost; otherwise the chunk is summed once more.
  CE_INLINE void add(double scale, bool more) {
    alignas(64) T high[kLanes], terms[kLanes], depths[kLanes], masses[kLanes];
    for (int l = 0; l < kLanes; ++l) high[l] = T(sum.top);
    bool settled = sum.top == -kInf<double>;
    if (settled) {
      each_run([&](const Stored* from, const Stored* end, const T*) __attribute__((always_inline)) {
        raise_lanes(from, end, high);
      });
      const T highest = highest_of(high);
      if (highest != -kInf<T>) keep_out(highest, high, scale);
    }
    const T rate = T(scale * kLog2E);
    const Exp2Shift<T> range(0);
    for (;;) {
      const T base = T(reference(sum.top));
      for (int l = 0; l < kLanes; ++l) terms[l] = depths[l] = masses[l] = T(0);
      each_run([&](const Stored* from, const Stored* end, const T* weight) __attribute__((always_inline)) {
        sum_lines(from, end, base, rate, more, high, terms, depths);
        if (kPrior == PriorKind::kVector) weigh_lines(from, end, weight, base, depths, masses);
      });
      for (int i = 0; i < count; ++i)
        for (int l = 0; l < kLanes; ++l)
          terms[l] += exp2_shifted((summed[i][l] - base) * rate, range.floor, range.magic);
      const double chunk = total_of_lanes(terms);
      const T highest = settled ? -kInf<T> : highest_of(high);
      if (!(double(highest) > sum.top)) {
        sum.rest += chunk;
        return weigh(base, depths, masses);
      }
      const T above = (highest - base) * rate;
      if (above < T(100)) {  // e^{highest − base} is a number
        const double own = double(exp2_shifted(above, range.floor, range.magic));
        if (chunk - own >= 4.0 * own) {
          sum.rest += chunk - own;
          weigh(base, depths, masses);
          return rise(double(highest), scale);
        }
      }
      keep_out(highest, high, scale);
      settled = true;
    }
  }

  // Adds a chunk to the sums of the prior.
  CE_INLINE void weigh(T base, T* depths, T* masses) {
    if (kPrior == PriorKind::kNone) return;
    if (kPrior == PriorKind::kVector && total_of_lanes(depths) != total_of_lanes(depths)) weigh_again(base, depths);
    if (kPrior == PriorKind::kUniform) mass += double(kLanes) * whole_and_not_apart();
    for (int i = 0; i < count; ++i)
      for (int l = 0; l < kLanes; ++l) {
        const T term = weighed[i][l] * (base - value[i][l]);
        depths[l] += weighed[i][l] == T(0) ? T(0) : term;
        masses[l] += weighed[i][l];
      }
    depth_sum += total_of_lanes(depths);
    mass += total_of_lanes(masses);
  }

  // Calls work(from, end, weights) for every run of lines that are summed as they stand.
  template <class Work>
  CE_INLINE void each_run(const Work& work) const {
    for (int line = 0; line < whole;) {
      int end = line;
      while (end < whole && !is_apart(end)) ++end;
      const int64_t first = int64_t(line) * kLanes;
      if (line < end) work(lines + first, lines + int64_t(end) * kLanes, weights ? weights + first : nullptr);
      line = end + 1;
    }
  }

  static CE_INLINE void raise_lanes(const Stored* from, const Stored* end, T* lanes) {
    alignas(64) T high[2][kHalf];
    std::memcpy(high, lanes, sizeof high);
    for (; from != end; from += kLanes)
      for (int l = 0; l < kHalf; ++l) {
        const T first = Halves<Stored>::template load<T>(from, 0, l);
        const T second = Halves<Stored>::template load<T>(from, 1, l);
        high[0][l] = first > high[0][l] ? first : high[0][l];
        high[1][l] = second > high[1][l] ? second : high[1][l];
      }
    std::memcpy(lanes, high, sizeof high);
  }

  // Between chunks the processor's own prefetchers lose the thread; `more` says that there is one to come.
  static CE_INLINE void sum_lines(const Stored* from, const Stored* end, T base, T rate, bool more, T* lanes,
                                  T* terms, T* depths) {
    const Exp2Shift<T> range(0);
    alignas(64) T high[2][kHalf], sum[2][kHalf], deep[2][kHalf];
    std::memcpy(high, lanes, sizeof high);
    std::memcpy(sum, terms, sizeof sum);
    std::memcpy(deep, depths, sizeof deep);
    for (; from != end; from += kLanes) {
      if (more)
        for (int b = 0; b < int(kLanes * sizeof(Stored)); b += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(from + kDepth * kLanes) + b);
      for (int l = 0; l < kHalf; ++l) {
        const T first = Halves<Stored>::template load<T>(from, 0, l);
        const T second = Halves<Stored>::template load<T>(from, 1, l);
        high[0][l] = first > high[0][l] ? first : high[0][l];
        high[1][l] = second > high[1][l] ? second : high[1][l];
        sum[0][l] += exp2_shifted((first - base) * rate, range.floor, range.magic);
        sum[1][l] += exp2_shifted((second - base) * rate, range.floor, range.magic);
        if (kPrior != PriorKind::kUniform) continue;
        deep[0][l] -= first - base;
        deep[1][l] -= second - base;
      }
    }
    std::memcpy(lanes, high, sizeof high);
    std::memcpy(terms, sum, sizeof sum);
    std::memcpy(depths, deep, sizeof deep);
  }

  static CE_INLINE void weigh_lines(const Stored* from, const Stored* end, const T* weight, T base, T* depths,
                                    T* masses) {
    alignas(64) T deep[kLanes], mass[kLanes];
    std::memcpy(deep, depths, sizeof deep);
    std::memcpy(mass, masses, sizeof mass);
    for (; from != end; from += kLanes, weight += kLanes)
      for (int l = 0; l < kLanes; ++l) {
        deep[l] += weight[l] * (base - T(widen(from[l])));
        mass[l] += weight[l];
      }
    std::memcpy(depths, deep, sizeof deep);
    std::memcpy(masses, mass, sizeof mass);
  }

  CE_INLINE int whole_and_not_apart() const {
    int n = whole;
    for (int i = 0; i < count; ++i) n -= line_of[i] < whole;
    return n;
  }

  // The weighted depths once more, now with 0 for a weight of 0 whatever it weighs: 0·∞ has been met.
  CE_INLINE void weigh_again(T base, T* depths) const {
    for (int l = 0; l < kLanes; ++l) depths[l] = T(0);
    each_run([&](const Stored* from, const Stored* end, const T* weight) __attribute__((always_inline)) {
      for (; from != end; from += kLanes, weight += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const T term = weight[l] * (base - T(widen(from[l])));
          depths[l] += weight[l] == T(0) ? T(0) : term;
        }
    });
  }
};

// The last line of a row, which may be short, goes through a buffer.
template <class T, class Stored, PriorKind kPrior>
class StraightPull {
 public:
  CE_INLINE StraightPull(const StraightGradient& row)
      : base(T(row.base)),
        rate(T(row.rate)),
        factor(T(row.factor)),
        gain(T(row.gain)),
        weights(kPrior == PriorKind::kVector ? pointer<const T>(row.prior) : nullptr),
        range(T(row.shift)) {}

  CE_INLINE void write(const Stored* from, Stored* to, int64_t classes) const {
    const int64_t end = classes / kLanes * kLanes;
    for (int64_t c = 0; c < end; c += kLanes) write_line(from + c, to + c, weights + (weights ? c : 0));
    if (end == classes) return;
    const size_t left = size_t(classes - end);
    alignas(64) Stored line[kLanes] = {};
    alignas(64) T weight[kLanes] = {};
    std::memcpy(line, from + end, left * sizeof(Stored));
    if (weights) std::memcpy(weight, weights + end, left * sizeof(T));
    write_line(line, line, weight);
    std::memcpy(to + end, line, left * sizeof(Stored));
  }

 private:
  const T base, rate, factor, gain;
  const T* const weights;
  const Exp2Shift<T> range;

  CE_INLINE T at(T u, const T* weight, int place) const {
    const T e = factor * exp2_shifted((u - base) * rate, range.floor, range.magic);
    if (kPrior == PriorKind::kNone) return e;
    return e - (kPrior == PriorKind::kVector ? gain * weight[place] : gain);
  }

  CE_INLINE void write_line(const Stored* from, Stored* to, const T* weight) const {
#pragma GCC ivdep
    for (int l = 0; l < kHalf; ++l) {  // reads and writes may be of the same place, never of a neighbour's
      const T first = Halves<Stored>::template load<T>(from, 0, l);
      const T second = Halves<Stored>::template load<T>(from, 1, l);
      Halves<Stored>::store(to, l, at(first, weight, Halves<Stored>::place(0, l)),
                            at(second, weight, Halves<Stored>::place(1, l)));
    }
  }
};

// Each is a function of its own: put together, they would not fit the registers.
#define CE_STRAIGHT(name, T, Stored, kind)                                                                       \
  CE_CLONES StraightSums sum_##name(const View& logits, int64_t offset, int64_t classes, const int64_t* labels, \
                                    int64_t k, double scale, uintptr_t prior, double* targets) {                \
    StraightRow<T, Stored, kind> row;                                                                            \
    return row.read(pointer<const Stored>(logits.address) + offset, classes, labels, k, scale,                  \
                    pointer<const T>(prior), targets);                                                           \
  }                                                                                                              \
  CE_CLONES void pull_##name(const View& logits, int64_t offset, int64_t classes, const StraightGradient& row,  \
                             const View& gradient, int64_t gradient_offset) {                                    \
    StraightPull<T, Stored, kind>(row).write(pointer<const Stored>(logits.address) + offset,                    \
                                             pointer<Stored>(gradient.address) + gradient_offset, classes);     \
  }
#define CE_STRAIGHT_PRIORS(name, T, Stored)                      \
  CE_STRAIGHT(name##_alone, T, Stored, PriorKind::kNone)         \
  CE_STRAIGHT(name##_uniform, T, Stored, PriorKind::kUniform)    \
  CE_STRAIGHT(name##_weighted, T, Stored, PriorKind::kVector)
CE_STRAIGHT_PRIORS(float, float, float)
CE_STRAIGHT_PRIORS(double, double, double)
CE_STRAIGHT_PRIORS(bfloat16, float, BFloat16)
CE_STRAIGHT_PRIORS(float16, float, Float16)
#undef CE_STRAIGHT_PRIORS
#undef CE_STRAIGHT

using SumRow = decltype(&sum_float_alone);
using PullRow = decltype(&pull_float_alone);

int kind_of(bool with_prior, uintptr_t prior) { return !with_prior ? 0 : !prior ? 1 : 2; }

}  // namespace

StraightSums sum_straight_row(const View& logits, int64_t offset, int64_t classes, const int64_t* labels, int64_t k,
                              double scale, bool with_prior, uintptr_t prior, double* targets) {
  static constexpr SumRow kSums[4][3] = {{sum_float_alone, sum_float_uniform, sum_float_weighted},
                                         {sum_double_alone, sum_double_uniform, sum_double_weighted},
                                         {sum_bfloat16_alone, sum_bfloat16_uniform, sum_bfloat16_weighted},
                                         {sum_float16_alone, sum_float16_uniform, sum_float16_weighted}};
  return kSums[int(logits.dtype)][kind_of(with_prior, prior)](logits, offset, classes, labels, k, scale, prior,
                                                              targets);
}

void pull_straight_row(const View& logits, int64_t offset, int64_t classes, const StraightGradient& row,
                       const View& gradient, int64_t gradient_offset) {
  static constexpr PullRow kPulls[4][3] = {{pull_float_alone, pull_float_uniform, pull_float_weighted},
                                           {pull_double_alone, pull_double_uniform, pull_double_weighted},
                                           {pull_bfloat16_alone, pull_bfloat16_uniform, pull_bfloat16_weighted},
                                           {pull_float16_alone, pull_float16_uniform, pull_float16_weighted}};
  kPulls[int(logits.dtype)][kind_of(row.with_prior, row.prior)](logits, offset, classes, row, gradient,
                                                                gradient_offset);
}

}  // namespace ce
