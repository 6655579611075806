#include "rows/contiguous.hpp"

#include "rows/contiguous_lines.hpp"

namespace ce {
namespace {

// One row's sums, a chunk of kDepth lines at a time. Lines that are not summed as they stand, because they hold a
// target, a new top or the row's end, are copied and set apart.
template <class T, class Stored, PriorKind kPrior>
class StraightRow {
 public:
  CE_INLINE StraightSums read(const Stored* row, int64_t classes, const StraightTask& task, int64_t k,
                              const T* prior, const double* masses) {
    constexpr int64_t kChunk = kDepth * kLanes;
    for (int64_t j = 0; j < k; ++j) task.targets[j] = double(widen(row[task.labels[j]]));
    for (int64_t c = 0; c < classes; c += kChunk) {
      const int64_t here = std::min(kChunk, classes - c);
      lines = row + c;
      weights = kPrior == PriorKind::kVector ? prior + c : nullptr;
      chunk_mass = kPrior == PriorKind::kVector ? masses[c / kChunk] : double(here);
      whole = int(here / kLanes);
      count = 0;
      apart = 0;
      if (here % kLanes) set_apart(whole, int(here % kLanes));
      for (int64_t j = 0; j < k; ++j)
        if (task.labels[j] >= c && task.labels[j] < c + here) take_out(task.labels[j] - c);
      add(task.scale);
    }
    return {sum, depth_sum, mass};
  }

 private:
  static constexpr int kApart = int(kMostStraightTargets) + 2;
  LogSum sum;
  double depth_sum = 0.0, mass = 0.0;
  double chunk_mass;  // Σ w over the chunk, but for the targets
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
    std::memcpy(own, lines + int64_t(line) * kLanes, size_t(length) * sizeof(Stored));
    for (int l = 0; l < kLanes; ++l) value[i][l] = l < length ? T(widen(own[l])) : -kInf<T>;
    for (int l = 0; l < kLanes; ++l) summed[i][l] = value[i][l];
    if (kPrior == PriorKind::kNone) return i;
    alignas(64) T weight[kLanes] = {};
    if (kPrior == PriorKind::kVector)
      std::memcpy(weight, weights + int64_t(line) * kLanes, size_t(length) * sizeof(T));
    for (int l = 0; l < kLanes; ++l)
      weighed[i][l] = kPrior == PriorKind::kVector ? weight[l] : l < length ? T(1) : T(0);
    return i;
  }

  CE_INLINE void take_out(int64_t at) {
    const int i = set_apart(int(at / kLanes), kLanes), l = int(at % kLanes);
    value[i][l] = summed[i][l] = -kInf<T>;
    if (kPrior == PriorKind::kNone) return;
    chunk_mass -= double(weighed[i][l]);  // once, if two targets are the same
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
    int i = 0, lane = find_lane(high, highest);
    if (lane < kLanes) {
      lane = Halves<Stored>::place(lane / kHalf, lane % kHalf);
      uint64_t holding = 0;  // a bit for every line, without a branch
      for (int line = 0; line < whole; ++line)
        holding |= uint64_t(T(widen(lines[int64_t(line) * kLanes + lane])) >= highest) << line;
      i = set_apart(__builtin_ctzll(holding & ~apart), kLanes);
    } else {
      while ((lane = find_lane(value[i], highest)) == kLanes) ++i;
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
  CE_INLINE void add(double scale) {
    alignas(64) T high[kLanes], terms[kLanes], depths[kLanes];
    for (int l = 0; l < kLanes; ++l) high[l] = T(sum.top);
    bool settled = sum.top == -kInf<double>;
    if (settled) {
      raise_lanes(high);
      const T highest = highest_of(high);
      if (highest != -kInf<T>) keep_out(highest, high, scale);
    }
    const T rate = T(scale * kLog2E);
    const Exp2Shift<T> range(0);
    for (;;) {
      const T base = T(reference(sum.top));
      for (int l = 0; l < kLanes; ++l) terms[l] = depths[l] = T(0);
      sum_lines(base, rate, high, terms, depths);
      for (int i = 0; i < count; ++i)
        for (int l = 0; l < kLanes; ++l)
          terms[l] += exp2_shifted((summed[i][l] - base) * rate, range.floor, range.magic);
      const double chunk = total_of_lanes(terms);
      const T highest = settled ? -kInf<T> : highest_of(high);
      if (!(double(highest) > sum.top)) {
        sum.rest += chunk;
        return weigh(base, depths);
      }
      const T above = (highest - base) * rate;
      if (above < T(100)) {  // e^{highest − base} is a number
        const double own = double(exp2_shifted(above, range.floor, range.magic));
        if (chunk - own >= 4.0 * own) {
          sum.rest += chunk - own;
          weigh(base, depths);
          return rise(double(highest), scale);
        }
      }
      keep_out(highest, high, scale);
      settled = true;
    }
  }

  // Adds a chunk to the sums of the prior.
  CE_INLINE void weigh(T base, T* depths) {
    if (kPrior == PriorKind::kNone) return;
    weigh_apart(base, depths);
    double depth = total_of_lanes(depths);
    if (kPrior == PriorKind::kVector && depth != depth) {  // 0·∞ may have been met
      weigh_again(base, depths);
      weigh_apart(base, depths);
      depth = total_of_lanes(depths);
    }
    depth_sum += depth;
    mass += chunk_mass;
  }

  CE_INLINE void weigh_apart(T base, T* depths) const {
    for (int i = 0; i < count; ++i)
      for (int l = 0; l < kLanes; ++l) {
        const T term = weighed[i][l] * (base - value[i][l]);
        depths[l] += weighed[i][l] == T(0) ? T(0) : term;
      }
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

  // The lanes stay in registers from run to run.
  CE_INLINE void raise_lanes(T* lanes) const {
    alignas(64) T high[2][kHalf];
    std::memcpy(high, lanes, sizeof high);
    each_run([&](const Stored* from, const Stored* end, const T*) __attribute__((always_inline)) {
      for (; from != end; from += kLanes)
        for (int l = 0; l < kHalf; ++l) {
          const T first = Halves<Stored>::template load<T>(from, 0, l);
          const T second = Halves<Stored>::template load<T>(from, 1, l);
          high[0][l] = first > high[0][l] ? first : high[0][l];
          high[1][l] = second > high[1][l] ? second : high[1][l];
        }
    });
    std::memcpy(lanes, high, sizeof high);
  }

  // Between chunks the processor's own prefetchers lose the thread, and between rows, which mostly lie one behind the
  // other: what is fetched past the row's end is the rows to come. Nothing comes of fetching what is not there. Beside a
  // vector prior, which goes through the nearest cache too, what is fetched further ahead would be gone before its turn.
  CE_INLINE void sum_lines(T base, T rate, T* lanes, T* terms, T* depths) const {
    constexpr int kAhead = kPrior == PriorKind::kVector ? kDepth / 4 : kDepth;  // lines
    const Exp2Shift<T> range(0);
    alignas(64) T high[2][kHalf], sum[2][kHalf], deep[2][kHalf];
    std::memcpy(high, lanes, sizeof high);
    std::memcpy(sum, terms, sizeof sum);
    std::memcpy(deep, depths, sizeof deep);
    each_run([&](const Stored* from, const Stored* end, const T* weight) __attribute__((always_inline)) {
      for (; from != end; from += kLanes) {
        for (int b = 0; b < int(kLanes * sizeof(Stored)); b += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(from + kAhead * kLanes) + b);
        for (int l = 0; l < kHalf; ++l) {
          const T first = Halves<Stored>::template load<T>(from, 0, l);
          const T second = Halves<Stored>::template load<T>(from, 1, l);
          high[0][l] = first > high[0][l] ? first : high[0][l];
          high[1][l] = second > high[1][l] ? second : high[1][l];
          sum[0][l] += exp2_shifted((first - base) * rate, range.floor, range.magic);
          sum[1][l] += exp2_shifted((second - base) * rate, range.floor, range.magic);
          if (kPrior == PriorKind::kNone) continue;
          const bool weighted = kPrior == PriorKind::kVector;
          deep[0][l] -= (weighted ? weight[Halves<Stored>::place(0, l)] : T(1)) * (first - base);
          deep[1][l] -= (weighted ? weight[Halves<Stored>::place(1, l)] : T(1)) * (second - base);
        }
        if (kPrior == PriorKind::kVector) weight += kLanes;
      }
    });
    std::memcpy(lanes, high, sizeof high);
    std::memcpy(terms, sum, sizeof sum);
    std::memcpy(depths, deep, sizeof deep);
  }

  // The weighted depths once more, now with 0 for a weight of 0 whatever it weighs.
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

#define CE_SUM(name, T, Stored, kind)                                                                     \
  CE_CLONES void sum_##name(const View& logits, int64_t classes, int64_t k, uintptr_t prior,             \
                            const double* masses, const StraightTask* tasks, int n, StraightSums* sums) { \
    const Stored* from = pointer<const Stored>(logits.address);                                          \
    for (int i = 0; i < n; ++i) {                                                                        \
      StraightRow<T, Stored, kind> row;                                                                  \
      sums[i] = row.read(from + tasks[i].offset, classes, tasks[i], k, pointer<const T>(prior), masses); \
    }                                                                                                    \
  }
#define CE_SUMS(name, T, Stored)                       \
  CE_SUM(name##_alone, T, Stored, PriorKind::kNone)    \
  CE_SUM(name##_uniform, T, Stored, PriorKind::kUniform) \
  CE_SUM(name##_weighted, T, Stored, PriorKind::kVector)
CE_STRAIGHT(CE_SUMS)
#undef CE_SUMS
#undef CE_SUM

template <class T>
double total_of(const T* values, int64_t begin, int64_t end) {
  alignas(64) double lanes[kLanes] = {};
  for (int64_t i = begin; i < end; i += kLanes)
    for (int l = 0; l < int(std::min<int64_t>(kLanes, end - i)); ++l) lanes[l] += double(values[i + l]);
  return sum_lanes(lanes);
}

}  // namespace

void sum_straight_rows(const View& logits, int64_t classes, int64_t k, const Prior& prior, const double* masses,
                       const StraightTask* tasks, int n, StraightSums* sums) {
  static constexpr decltype(&sum_float_alone) kSums[4][3] = CE_STRAIGHT_KINDS(sum);
  kSums[int(logits.dtype)][kind_of(prior.present, prior.values)](logits, classes, k, prior.values, masses, tasks, n,
                                                                 sums);
}

std::vector<double> masses_of_chunks(const Prior& prior, const Shape& shape, bool is_double) {
  constexpr int64_t kChunk = kDepth * kLanes;
  if (!prior.values) return {};
  std::vector<double> masses;
  for (int64_t c = 0; c < shape.classes; c += kChunk) {
    const int64_t end = std::min(c + kChunk, shape.classes);
    masses.push_back(is_double ? total_of(pointer<const double>(prior.values), c, end)
                               : total_of(pointer<const float>(prior.values), c, end));
  }
  return masses;
}

}  // namespace ce
