#include "rows/contiguous_lines.hpp"

namespace ce {
namespace {

// One row's sums, a chunk of kDepth lines at a time. Lines that are not summed as they stand, because they hold a
// target, a new top or the row's end, are copied. A group is the classes off target, or those on a label set.
template <class T, class Stored, Beside kBeside>
class RowSums {
 public:
  CE_INLINE ContiguousSums read(const ContiguousProblem& problem, const ContiguousRow& row) {
    const Stored* const u = pointer<const Stored>(problem.logits.address) + row.offset;
    const Item* const items = pointer<const Item>(kSet ? uintptr_t(row.mask) : kNumbers ? problem.values : 0);
    unit = row.factor;
    for (int64_t j = 0; j < problem.k; ++j)
      if (const int64_t y = row.labels[j]; uint64_t(y) < uint64_t(problem.classes)) {
        const double z = double(T(widen(u[y])));
        row.targets[j] = kBias ? z * unit + double(items[y]) : z;
      }
    for (int64_t c = 0; c < problem.classes; c += kChunk) {
      const int64_t here = std::min(kChunk, problem.classes - c);
      lines = u + c;
      beside = items ? items + c : nullptr;
      for (bool may_move = kBias;; may_move = false) {
        chunk_mass = kVector ? problem.prior_masses[c / kChunk] : double(here);
        whole = int(here / kLanes);
        copies = 0;
        copied = 0;
        if (here % kLanes) copy_line(whole, int(here % kLanes));
        for (int64_t j = 0; j < problem.k; ++j)
          if (row.labels[j] >= c && row.labels[j] < c + here) mask_target(row.labels[j] - c);
        if (add_chunk(row.scale, c == 0, may_move)) break;
      }
    }
    if (kBias) sum[0].top += unit * double(anchor);
    return {sum[0], sum[kGroups - 1], depth_sum, mass};
  }

 private:
  static constexpr bool kSet = kBeside == Beside::kLabelSet, kVector = kBeside == Beside::kVectorPrior;
  static constexpr bool kPrior = kVector || kBeside == Beside::kUniformPrior;
  static constexpr bool kBias = kBeside == Beside::kBias, kNumbers = kVector || kBias;
  static constexpr int kGroups = kSet ? 2 : 1;
  static constexpr int kCopies = kSet ? 3 : int(kMaxContiguousLabels) + 2;  // targets, tops and the row's end
  static constexpr int64_t kChunk = kDepth * kLanes;
  using Item = std::conditional_t<kSet, uint8_t, T>;  // of what lies beside

  LogSum sum[kGroups];   // with a bias, of u without the anchor
  double unit;           // what u counts of a logit
  T anchor = T(0);       // what is taken off the logits before a bias is added: see Anchors
  double depth_sum = 0.0, mass = 0.0;
  double chunk_mass;  // Σ w over the chunk, but for the targets
  const Stored* lines;
  const Item* beside;
  int whole, copies;
  uint64_t copied;  // a bit for every line
  int line_of[kCopies];
  // Of the copied lines the u, −∞ where they are not summed, and what lies beside them.
  alignas(64) T value[kCopies][kLanes];
  alignas(64) Item item[kCopies][kLanes];
  alignas(64) T high[kGroups][kLanes];  // the largest u of a group, lane by lane; of labels but for the copied lines

  CE_INLINE T u_at(const Stored* z, const Item* items, int64_t at) const {
    return u_of<kBeside, kBias>(T(widen(z[at])), anchor, T(unit), items, at);
  }
  // Of the l-th number of half a line.
  template <bool kAnchored>
  CE_INLINE T u_in_half(const Stored* line, const Item* items, int half, int l) const {
    const T z = Halves<Stored>::template load<T>(line, half, l);
    return u_of<kBeside, kAnchored>(z, anchor, T(unit), items, Halves<Stored>::place(half, l));
  }

  // ---- lines that are copied ----

  CE_INLINE int copy_line(int line, int length = kLanes) {
    int i = 0;
    if (copied >> line & 1) {
      while (line_of[i] != line) ++i;
      return i;
    }
    i = copies++;
    line_of[i] = line;
    copied |= uint64_t(1) << line;
    alignas(64) Stored stored[kLanes] = {};
    std::memcpy(stored, lines + int64_t(line) * kLanes, size_t(length) * sizeof(Stored));
    if (kNumbers || kSet) {
      std::memset(item[i], 0, sizeof item[i]);
      std::memcpy(item[i], beside + int64_t(line) * kLanes, size_t(length) * sizeof(Item));
    } else if (kPrior) {
      for (int l = 0; l < kLanes; ++l) item[i][l] = Item(l < length);
    }
    for (int l = 0; l < kLanes; ++l) value[i][l] = l < length ? u_at(stored, item[i], l) : -kInf<T>;
    return i;
  }

  CE_INLINE void mask_target(int64_t at) {
    const int i = copy_line(int(at / kLanes)), l = int(at % kLanes);
    value[i][l] = -kInf<T>;
    if (!kPrior) return;
    chunk_mass -= double(item[i][l]);  // once, if two targets are the same
    item[i][l] = Item(0);
  }

  // Makes the largest u of a group its top, which is kept out of the sum, and of the depths, where it is 0.
  CE_INLINE void exclude_top(int g, T top, double scale) {
    int i = 0, lane = find_lane(high[g], top);
    if (!kSet && lane == kLanes) {
      while ((lane = find_lane(value[i], top)) == kLanes) ++i;
    } else {
      if (!kSet) lane = Halves<Stored>::place(lane / kHalf, lane % kHalf);
      uint64_t holding = 0;  // a bit for every line, without a branch; if none is set, it is the row's end
      for (int line = 0; line < whole; ++line) {
        const int64_t at = int64_t(line) * kLanes + lane;
        const uint64_t member = kSet ? uint64_t(beside[at] != 0) ^ uint64_t(1 - g) : 1;
        holding |= (member & uint64_t(u_at(lines, beside, at) >= top)) << line;
      }
      if (!kSet) holding &= ~copied;  // where a target may be higher
      i = copy_line(holding ? __builtin_ctzll(holding) : whole);
    }
    value[i][lane] = -kInf<T>;
    if (kPrior) item[i][lane] = Item(0);
    raise_top(g, double(top), scale);
  }

  CE_INLINE void raise_top(int g, double to, double scale) {
    if (mass != 0.0) depth_sum += mass * (finite_or_zero(to) - finite_or_zero(sum[g].top));
    sum[g].raise_top(to, scale);
  }

  // ---- a chunk ----

  // What is taken off a group's u. Above the top of an empty one everything is.
  CE_INLINE T base(int g) const {
    return sum[g].top == -kInf<double> ? std::numeric_limits<T>::lowest() : T(finite_or_zero(sum[g].top));
  }

  // A row's first chunk is searched for its tops before it is summed. Those after it are summed below the tops that
  // are known. If one holds a higher one, its term is taken off the sum again where that leaves most of it, so that
  // no digits are lost; otherwise the chunk is summed once more.
  //
  // With a bias, tops far from 0 move the anchor, and the chunk is to be begun again: then this returns false.
  CE_INLINE bool add_chunk(double scale, bool first, bool may_move) {
    const T rate = T(scale * kLog2E);
    alignas(64) T terms[kGroups][kLanes], depths[kLanes];
    if (first) {
      find_high_lanes();
      for (int g = 0; g < kGroups; ++g) {
        const T top = highest(g);
        if (may_move && move_anchor(top)) return false;
        if (top != -kInf<T>) exclude_top(g, top, scale);
      }
    }
    for (bool searched = first;; searched = false) {
      const bool higher = searched ? sum_lines<false>(rate, terms, depths) : sum_lines<true>(rate, terms, depths);
      double chunk[kGroups];
      T top[kGroups];
      bool once_more = false;
      for (int g = 0; g < kGroups; ++g) {
        chunk[g] = total_of_lanes(terms[g]);
        top[g] = higher ? highest(g) : -kInf<T>;
        if (!(double(top[g]) > sum[g].top)) continue;
        if (may_move && move_anchor(top[g])) return false;
        const double own = term_of(g, top[g], rate);
        if (chunk[g] - own >= 4.0 * own) {
          chunk[g] -= own;
        } else {
          exclude_top(g, top[g], scale);
          once_more = true;
        }
      }
      if (once_more) continue;
      for (int g = 0; g < kGroups; ++g) sum[g].rest += chunk[g];
      if (kPrior) add_depths(depths);
      for (int g = 0; g < kGroups; ++g)
        if (double(top[g]) > sum[g].top) raise_top(g, double(top[g]), scale);
      return true;
    }
  }

  // Puts the anchor where a top that is far from 0 comes near it.
  CE_INLINE bool move_anchor(T top) {
    const T to = anchor_of<T>(double(top), 1.0) == T(0) ? anchor : T(double(anchor) + double(top) / unit);
    if (to == anchor) return false;
    sum[0].top += unit * (double(anchor) - double(to));
    anchor = to;
    return true;
  }

  // What the sum of a group has in it of a u above its top; NaN where that is no number.
  CE_INLINE double term_of(int g, T u, T rate) const {
    const Exp2Shift<T> range(0);
    const T above = (u - base(g)) * rate;
    return above < T(100) ? double(exp2_shifted(above, range.floor, range.magic)) : kNaN;
  }

  CE_INLINE T highest(int g) const {
    if (kSet) return highest_lane(high[g]);
    alignas(64) T all[kLanes];
    for (int l = 0; l < kLanes; ++l) all[l] = high[g][l];
    for (int i = 0; i < copies; ++i)
      for (int l = 0; l < kLanes; ++l) all[l] = value[i][l] > all[l] ? value[i][l] : all[l];
    return highest_lane(all);
  }

  // Calls work(from, end, beside) for every run of lines that are summed as they stand, and with a label set for those
  // that are copied.
  template <class Work>
  CE_INLINE void each_run(const Work& work) const {
    for (int line = 0; line < whole;) {
      int end = line;
      while (end < whole && !(copied >> end & 1)) ++end;
      const int64_t first = int64_t(line) * kLanes;
      if (line < end) work(lines + first, lines + int64_t(end) * kLanes, beside ? beside + first : nullptr);
      line = end + 1;
    }
    if constexpr (kSet)
      for (int i = 0; i < copies; ++i) work(&value[i][0], &value[i][0] + kLanes, &item[i][0]);
  }

  // The lanes stay in registers from run to run, here and below.
  CE_INLINE void find_high_lanes() {
    alignas(64) T lanes[kGroups][kLanes];
    for (int g = 0; g < kGroups; ++g)
      for (int l = 0; l < kLanes; ++l) lanes[g][l] = -kInf<T>;
    each_run([&](auto* from, auto* end, const Item* member) __attribute__((always_inline)) {
      for (; from != end; from += kLanes) {
        if constexpr (kSet) {
          for (int l = 0; l < kLanes; ++l) {
            const bool right = member[l] != 0;
            const T u = T(widen(from[l])), off = right ? -kInf<T> : u, on = right ? u : -kInf<T>;
            lanes[0][l] = off > lanes[0][l] ? off : lanes[0][l];
            lanes[1][l] = on > lanes[1][l] ? on : lanes[1][l];
          }
          member += kLanes;
        } else {
          for (int l = 0; l < kHalf; ++l) {
            const T first = u_in_half<kBias>(from, member, 0, l), second = u_in_half<kBias>(from, member, 1, l);
            lanes[0][l] = first > lanes[0][l] ? first : lanes[0][l];
            lanes[0][kHalf + l] = second > lanes[0][kHalf + l] ? second : lanes[0][kHalf + l];
          }
          if (kBias) member += kLanes;
        }
      }
    });
    std::memcpy(high, lanes, sizeof high);
  }

  // The terms of every group and the depths below the top. Returns whether one of the chunk's u may be above its top,
  // if that is looked for.
  //
  // Between chunks the processor's own prefetchers lose the thread, and between rows, which mostly lie one behind the
  // other: what is fetched past the row's end is the rows to come. Nothing comes of fetching what is not there. Beside a
  // vector, which goes through the nearest cache too, what is fetched further ahead would be gone before its turn.
  template <bool kLook>
  CE_INLINE bool sum_lines(T rate, T (*terms)[kLanes], T* depths) {
    if (kBias && anchor != T(0)) return sum_lines_with<kLook, kBias>(rate, terms, depths);
    return sum_lines_with<kLook, false>(rate, terms, depths);
  }

  template <bool kLook, bool kAnchored>
  CE_INLINE bool sum_lines_with(T rate, T (*terms)[kLanes], T* depths) {
    constexpr int64_t kAhead = (kNumbers ? kDepth / 4 : kDepth) * kLanes;
    const T off = base(0), on = base(kGroups - 1);
    const Exp2Shift<T> range(0);
    alignas(64) T sums[kGroups][kLanes] = {}, most[kLanes], deep[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) most[l] = -kInf<T>;
    each_run([&](auto* from, auto* end, const Item* other) __attribute__((always_inline)) {
      for (; from != end; from += kLanes) {
        for (int b = 0; b < int(kLanes * sizeof(*from)); b += 64)
          __builtin_prefetch(reinterpret_cast<const char*>(from + kAhead) + b);
        if constexpr (kSet) {
          __builtin_prefetch(other + kAhead);
          for (int l = 0; l < kLanes; ++l) {
            const bool right = other[l] != 0;
            const T y = (T(widen(from[l])) - (right ? on : off)) * rate;
            const T e = exp2_shifted(y, range.floor, range.magic);
            if (kLook) most[l] = y > most[l] ? y : most[l];
            sums[0][l] += right ? T(0) : e;
            sums[1][l] += right ? e : T(0);
          }
        } else {
          for (int l = 0; l < kHalf; ++l) {
            const int m = kHalf + l;
            const T first = u_in_half<kAnchored>(from, other, 0, l), second = u_in_half<kAnchored>(from, other, 1, l);
            most[l] = first > most[l] ? first : most[l];
            most[m] = second > most[m] ? second : most[m];
            sums[0][l] += exp2_shifted((first - off) * rate, range.floor, range.magic);
            sums[0][m] += exp2_shifted((second - off) * rate, range.floor, range.magic);
            if (!kPrior) continue;
            deep[l] -= (kVector ? other[Halves<Stored>::place(0, l)] : T(1)) * (first - off);
            deep[m] -= (kVector ? other[Halves<Stored>::place(1, l)] : T(1)) * (second - off);
          }
        }
        if (kNumbers || kSet) other += kLanes;
      }
    });
    std::memcpy(terms, sums, sizeof sums);
    if (kSet) {
      const T above = kLook ? highest_lane(most) : -kInf<T>;
      const bool has_empty = sum[0].top == -kInf<double> || sum[1].top == -kInf<double>;
      const bool higher = above > T(0) || (has_empty && above == T(0));
      if (higher) find_high_lanes();
      return higher;
    }
    std::memcpy(high, most, sizeof most);
    std::memcpy(depths, deep, sizeof deep);
    for (int i = 0; i < copies; ++i)
      for (int l = 0; l < kLanes; ++l)
        terms[0][l] += exp2_shifted((value[i][l] - off) * rate, range.floor, range.magic);
    return kLook;
  }

  // ---- the prior ----

  // Adds a chunk to the sums of the prior.
  CE_INLINE void add_depths(T* depths) {
    add_copied_depths(depths);
    double depth = total_of_lanes(depths);
    if (kVector && depth != depth) {  // 0·∞ may have been met
      add_checked_depths(depths);
      add_copied_depths(depths);
      depth = total_of_lanes(depths);
    }
    depth_sum += depth;
    mass += chunk_mass;
  }

  CE_INLINE void add_copied_depths(T* depths) const {
    const T off = base(0);
    for (int i = 0; i < copies; ++i)
      for (int l = 0; l < kLanes; ++l) {
        const T term = T(item[i][l]) * (off - value[i][l]);
        depths[l] += item[i][l] == Item(0) ? T(0) : term;
      }
  }

  // The weighted depths once more, now with 0 for a weight of 0 whatever it weighs.
  CE_INLINE void add_checked_depths(T* depths) const {
    const T off = base(0);
    for (int l = 0; l < kLanes; ++l) depths[l] = T(0);
    each_run([&](auto* from, auto* end, const Item* weight) __attribute__((always_inline)) {
      for (; from != end; from += kLanes, weight += kLanes)
        for (int l = 0; l < kLanes; ++l) {
          const T term = T(weight[l]) * (off - T(widen(from[l])));
          depths[l] += weight[l] == Item(0) ? T(0) : term;
        }
    });
  }
};

#define CE_SUM(name, T, Stored, kBeside)                                                                   \
  CE_CLONES void sum_##name(const ContiguousProblem& problem, const ContiguousRow* rows, int n,           \
                            ContiguousSums* sums) {                                                       \
    for (int i = 0; i < n; ++i) {                                                                          \
      RowSums<T, Stored, kBeside> row;                                                                     \
      sums[i] = row.read(problem, rows[i]);                                                                \
    }                                                                                                      \
  }
CE_CONTIGUOUS(CE_SUM)
#undef CE_SUM

template <class T>
double total_of(const T* values, int64_t begin, int64_t end) {
  alignas(64) double lanes[kLanes] = {};
  for (int64_t i = begin; i < end; i += kLanes)
    for (int l = 0; l < int(std::min<int64_t>(kLanes, end - i)); ++l) lanes[l] += double(values[i + l]);
  return sum_lanes(lanes);
}

}  // namespace

void sum_contiguous_rows(const ContiguousProblem& problem, const ContiguousRow* rows, int n, ContiguousSums* sums) {
  static constexpr decltype(&sum_float32_alone) kSums[4][5] = CE_CONTIGUOUS_TABLE(sum);
  kSums[int(problem.logits.dtype)][int(problem.beside)](problem, rows, n, sums);
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
