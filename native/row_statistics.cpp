// The forward row kernel: one read of the logits, target statistics out.
#include <atomic>
#include <vector>

#include "few_classes.hpp"
#include "log_sum.hpp"
#include "parallel.hpp"
#include "straight_rows.hpp"
#include "straight_sets.hpp"

namespace ce {
namespace {

struct Problem {
  View logits;
  Shape shape;
  Transform transform;
  Target target;
  Prior prior;
  Statistics out;
};

CE_INLINE void store(uintptr_t plane, int64_t row, double value) {
  if (plane) pointer<double>(plane)[row] = value;
}

enum class RowState : uint8_t { kPlain, kIgnored, kBad };

template <class T, bool Wide>
class RowStatistics {
 public:
  explicit CE_INLINE RowStatistics(const Problem& problem) : p(problem), planes(problem.out) {}

  // Returns the first row with an index out of range, −1 if there is none.
  CE_INLINE int64_t run(int64_t begin, int64_t end) {
    constexpr int64_t kRows = Wide ? 1 : kLanes;
    int64_t first_bad = -1;
    for (int64_t row = begin; row < end; row += kRows) {
      place.row = row;
      place.rows = Wide ? 1 : std::min<int64_t>(kLanes, end - row);
      classify();
      for (int l = 0; l < place.rows && first_bad < 0; ++l)
        if (state[l] == RowState::kBad) first_bad = row + l;
      if (straight())
        read_straight();
      else if (!Wide || state[0] == RowState::kPlain)
        read_rows();
      if (simple()) {
        finish_simple();
      } else {
        for (int l = 0; l < place.rows; ++l)
          if (state[l] == RowState::kPlain) finish(l);
      }
      for (int l = 0; l < place.rows; ++l)
        if (state[l] != RowState::kPlain) overwrite(l);
    }
    return first_bad;
  }

 private:
  const Problem& p;
  const Statistics planes;
  Place<Wide> place;
  RowState state[kLanes];
  alignas(64) double scale[kLanes];
  Chunk<T> u, group, weights, spare, masses;  // masses: of a dense target; of a label set 0 and 1
  LaneSums<Wide> sums[2];              // over the classes off target; over those of a label set
  WeightedDepths prior[2], soft;
  alignas(64) T best[kLanes], own[kLanes];
  int64_t best_class[kLanes], above[kLanes];
  Ahead ahead;
  StraightSums straight_sums;  // of a row that is summed where it lies
  LogSum straight_on;          // over its label set

  CE_INLINE LogSum sum_of(int side, int l) const {
    if (!straight()) return sums[side].at(l);
    return side ? straight_on : straight_sums.sum;
  }
  CE_INLINE const int64_t* labels(int l) const {
    return pointer<const int64_t>(p.target.indices) + (place.row + l) * p.target.k;
  }
  // While a row is read, the target's u stands where its log-odds will.
  CE_INLINE double* target_u(int l) const {
    return pointer<double>(planes.log_odds) + (place.row + l) * p.target.k;
  }
  CE_INLINE bool has_set() const { return p.target.mask.address != 0; }
  CE_INLINE bool has_dense() const { return p.target.dense.address != 0; }
  // Index targets and nothing but their log-odds: the path of plain cross-entropy.
  CE_INLINE bool simple() const {
    return p.target.indices && p.target.k == 1 && !planes.log_partition && !planes.lift && !planes.prior_term &&
           !planes.entropy && !planes.argmax && !planes.rank;
  }

  // Whether rows are summed where they lie.
  CE_INLINE bool straight() const {
    return Wide && p.transform.plain() && !planes.entropy && !planes.argmax && !planes.rank &&
           (straight_set() || (p.target.indices && p.target.k <= kMostStraightTargets));
  }
  CE_INLINE bool straight_set() const {
    return has_set() && p.target.mask.class_stride == 1 && !planes.prior_term && p.transform.margin == 0.0 &&
           !p.transform.class_margin;
  }

  CE_INLINE void read_straight() {
    if (state[0] != RowState::kPlain) return;
    const int64_t offset = row_offset(p.logits, p.shape, place.row), C = p.shape.classes;
    const double rate = row_scale(p.transform, place.row);
    if (has_set()) {
      const uint8_t* mask = pointer<const uint8_t>(p.target.mask.address);
      const SetSums sums = sum_straight_set(p.logits, offset, C, mask + row_offset(p.target.mask, p.shape, place.row), rate);
      straight_sums = {sums.off, 0.0, 0.0};
      straight_on = sums.on;
      return;
    }
    straight_sums = sum_straight_row(p.logits, offset, C, labels(0), p.target.k, rate, planes.prior_term != 0,
                                     p.prior.values, target_u(0));
  }

  CE_INLINE void classify() {
    for (int l = 0; l < kLanes; ++l) state[l] = RowState::kPlain;
    if (!p.target.indices) return;
    for (int l = 0; l < place.rows; ++l)
      for (int64_t j = 0; j < p.target.k; ++j) {
        const int64_t y = labels(l)[j];
        if (p.target.has_ignore && y == p.target.ignore_index)
          state[l] = RowState::kIgnored;
        else if (uint64_t(y) >= uint64_t(p.shape.classes) && state[l] == RowState::kPlain)
          state[l] = RowState::kBad;
      }
  }

  CE_INLINE void read_rows() {
    for (int l = 0; l < kLanes; ++l)
      scale[l] = pending_scale(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
    for (int side = 0; side < (has_set() ? 2 : 1); ++side) {
      sums[side].clear();
      if (planes.prior_term) prior[side].clear();
    }
    if (has_dense()) soft.clear();
    if (planes.argmax)
      for (int l = 0; l < kLanes; ++l) best[l] = -kInf<T>, best_class[l] = 0;
    if (planes.rank) find_targets();
    for (int64_t c = 0; c < p.shape.classes; c += place.kClasses) {
      place.first_class = c;
      place.classes = std::min<int64_t>(place.kClasses, p.shape.classes - c);
      ahead = ahead_of(p.logits, p.shape, place);
      read_chunk(p.logits, p.shape, place, Wide, -kInf<T>, u);
      apply_transform(p.transform, place, Wide, u, nullptr);
      if (p.target.indices)
        take_indices();
      else if (has_set())
        take_set();
      else if (planes.argmax)
        find_best();
      add_groups();
      if (has_dense()) add_dense();
    }
  }

  // Calls visit(k, lane, l, j) for every index that falls into this chunk.
  template <class Visit>
  CE_INLINE void each_target(const Visit& visit) {
    if (!p.target.indices) return;
    for (int l = 0; l < place.rows; ++l) {
      if (state[l] != RowState::kPlain) continue;
      for (int64_t j = 0; j < p.target.k; ++j) {
        const int64_t y = labels(l)[j];
        if (place.holds(y)) visit(place.depth_of(y), place.lane_of(y, l), l, j);
      }
    }
  }

  // Notes the targets' u and puts them at −∞: they are not among the others. The margins come off in `finish`,
  // where no rounding of u is in the way; only what is compared needs them here.
  CE_INLINE void take_indices() {
    each_target([&](int k, int lane, int l, int64_t j) __attribute__((always_inline)) {
      target_u(l)[j] = double(u.at[k][lane]);
    });
    if (planes.argmax || planes.rank)
      each_target([&](int k, int lane, int l, int64_t j) __attribute__((always_inline)) {
        if (first_occurrence(labels(l), j)) u.at[k][lane] = less_margin(u.at[k][lane], l, labels(l)[j]);
      });
    if (planes.argmax) find_best();
    if (planes.rank) count_above();
    each_target([&](int k, int lane, int, int64_t) __attribute__((always_inline)) { u.at[k][lane] = -kInf<T>; });
  }

  CE_INLINE void take_set() {
    read_mask(p.target.mask, p.shape, place, masses);
    take_set_margins(p.transform, place, masses, u);
    if (planes.argmax) find_best();
  }

  // One group of classes, or with a label set both sides of it.
  CE_INLINE void add_groups() {
    for (int side = 0; side < (has_set() ? 2 : 1); ++side) {
      if (has_set())
        for (int k = 0; k < place.depth(); ++k)
          for (int l = 0; l < kLanes; ++l)
            group.at[k][l] = masses.at[k][l] == T(side) ? u.at[k][l] : -kInf<T>;
      const Chunk<T>& members = has_set() ? group : u;
      sums[side].add(members.at, place.depth(), scale, planes.entropy != 0, simple() ? u : spare, ahead);
      if (!planes.prior_term) continue;
      weigh_prior(T(side));
      prior[side].add(members, weights, place.depth(), sums[side].top);
    }
  }

  CE_INLINE void add_dense() {
    read_chunk(p.target.dense, p.shape, place, Wide, T(0), masses);
    if (p.target.class_weight) {
      alignas(64) T line[kLanes];
      for (int k = 0; k < place.depth(); ++k) {
        class_line(pointer<const T>(p.target.class_weight), place, k, line);
        for (int l = 0; l < kLanes; ++l) masses.at[k][l] *= line[l];
      }
    }
    soft.add(u, masses, place.depth(), sums[0].top);
  }

  // The prior as a chunk: 0 in padding, on index targets (theirs is added in `finish`) and off this side of a set.
  CE_INLINE void weigh_prior(T side) {
    for (int k = 0; k < place.depth(); ++k) {
      T* line = weights.at[k];
      if (p.prior.values) {
        class_line(pointer<const T>(p.prior.values), place, k, line);
      } else {
        for (int l = 0; l < kLanes; ++l) line[l] = place.inside(k, l) ? T(1) : T(0);
      }
      if (has_set())
        for (int l = 0; l < kLanes; ++l) line[l] = masses.at[k][l] == side ? line[l] : T(0);
    }
    each_target([&](int k, int lane, int, int64_t) __attribute__((always_inline)) { weights.at[k][lane] = T(0); });
  }

  CE_INLINE void find_best() {
    for (int k = 0; k < place.depth(); ++k)
      for (int l = 0; l < kLanes; ++l) {
        const bool better = u.at[k][l] > best[l];
        best_class[l] = better ? place.class_at(k, l) : best_class[l];
        best[l] = better ? u.at[k][l] : best[l];
      }
  }

  CE_INLINE T less_margin(T value, int l, int64_t y) const {
    return T(double(value) - margin_of(p.transform, place.row + l, y));
  }

  // Reads the targets' u ahead of the rows, so that classes above them can be counted on the way.
  CE_INLINE void find_targets() {
    for (int l = 0; l < kLanes; ++l) above[l] = 0;
    for (int l = 0; l < place.rows; ++l) {
      if (state[l] != RowState::kPlain) continue;
      const int64_t y = labels(l)[0];
      Place<Wide> single = place;
      single.first_class = Wide ? y - y % kLanes : y;
      single.classes = Wide ? std::min<int64_t>(kLanes, p.shape.classes - single.first_class) : 1;
      read_chunk(p.logits, p.shape, single, Wide, -kInf<T>, u);
      apply_transform(p.transform, single, Wide, u, nullptr);
      own[l] = less_margin(u.at[single.depth_of(y)][single.lane_of(y, l)], l, y);
    }
  }

  // rank = #{u_c > u_y} + #{c < y: u_c = u_y}
  CE_INLINE void count_above() {
    for (int l = 0; l < kLanes; ++l) {
      const int row = Wide ? 0 : l;
      if (row >= place.rows || state[row] != RowState::kPlain) continue;
      const T mine = own[row];
      const int64_t y = labels(row)[0];
      for (int k = 0; k < place.depth(); ++k) {
        const T other = u.at[k][l];
        above[l] += other > mine || (other == mine && place.class_at(k, l) < y);
      }
    }
  }

  // D = scale·(top − u_y) + ln(1 + rest), for a tile at once.
  CE_INLINE void finish_simple() {
    if (Wide) {
      if (state[0] != RowState::kPlain) return;
      const LogSum sum = sum_of(0, 0);
      *target_u(0) = log_odds_of(sum.top, sum.rest, *target_u(0), margin(0), pending_scale(p.transform, place.row));
      return store_row(0, sum.top, sum.rest);
    }
    alignas(64) double odds[kLanes], margins[kLanes];
    for (int l = 0; l < kLanes; ++l) odds[l] = l < place.rows ? target_u(0)[l] : 0.0;
    for (int l = 0; l < kLanes; ++l) margins[l] = l < place.rows ? margin(l) : 0.0;
    for (int l = 0; l < kLanes; ++l)
      odds[l] = log_odds_of(sums[0].top[l], sums[0].rest[l], odds[l], margins[l], scale[l]);
    for (int l = 0; l < place.rows; ++l) target_u(0)[l] = odds[l];
    for (int l = 0; l < place.rows; ++l) store_row(l, sums[0].top[l], sums[0].rest[l]);
  }

  static CE_INLINE double log_odds_of(double top, double rest, double target, double margin, double scale) {
    const double D = ((top - target) + margin) * scale + log1p_nonnegative(rest);
    return top == kInf<double> || target == kInf<double> ? kNaN : D;
  }
  CE_INLINE double margin(int l) const {
    const bool none = state[l] != RowState::kPlain || (p.transform.margin == 0.0 && !p.transform.class_margin);
    return none ? 0.0 : margin_of(p.transform, place.row + l, labels(l)[0]);
  }
  // A row whose log-odds are NaN saves NaN, so that its gradient is NaN too.
  CE_INLINE void store_row(int l, double top, double rest) {
    const double D = *target_u(l);
    store(planes.top, place.row + l, top);
    store(planes.rest, place.row + l, D != D ? D : rest);
  }

  CE_INLINE void finish(int l) {
    const int64_t row = place.row + l;
    const double s = pending_scale(p.transform, row);
    LogSum off = sum_of(0, l);
    const double base = reference(off.top);
    if (off.top == kInf<double>) off.rest = kNaN;
    store(planes.top, row, off.top);
    store(planes.rest, row, off.rest);
    off.top = (off.top - base) * s;  // from here on relative to the top, after the scale

    LogSum all = off;
    double prior_term = 0.0, on_top = 0.0;
    if (p.target.indices) {
      const int64_t *y = labels(l), k = p.target.k;
      double* D = target_u(l);
      for (int64_t j = 0; j < k; ++j)
        D[j] = D[j] == kInf<double> ? kNaN : ((D[j] - base) - margin_of(p.transform, row, y[j])) * s;
      for (int64_t j = 0; j < k; ++j)
        if (first_occurrence(y, j)) all = merge(all, LogSum::of(D[j]));
      if (k == 1)
        D[0] = (off.top - D[0]) + off.log_rest();
      else
        log_odds_of_each(off, y, D, k);
      for (int64_t j = 0; j < k; ++j)
        if (D[j] != D[j]) store(planes.rest, row, kNaN);
      for (int64_t j = 0; j < k && planes.prior_term; ++j) {
        const double r = p.prior.values ? double(pointer<const T>(p.prior.values)[y[j]]) : 1.0;
        if (r != 0.0 && first_occurrence(y, j)) prior_term += r * softplus(D[j]);
      }
    } else if (has_set()) {
      LogSum on = sum_of(1, l);
      store(planes.set_top, row, on.top);
      store(planes.set_rest, row, on.rest);
      on.top = on.top == kInf<double> ? kNaN : (on.top - base) * s;
      all = merge(off, on);
      store(planes.log_odds, row, off.value() - on.value());
      on_top = on.top;
    }
    const double log_rest = all.log_rest(), way = all.top + log_rest;  // from the top to L
    if (planes.prior_term) {
      if (has_set()) prior_term += weighted_total(depths_of(prior[1], l), on_top, way, s);
      const Depths depths = straight() ? Depths{straight_sums.depth_sum, straight_sums.mass} : depths_of(prior[0], l);
      prior_term += weighted_total(depths, off.top, way, s);
      store(planes.prior_term, row, p.prior.values ? prior_term : prior_term / double(p.shape.classes));
    }
    if (has_dense()) {
      const Depths depths = depths_of(soft, l);
      store(planes.dense_term, row, weighted_total(depths, off.top, way, s));
      store(planes.dense_total, row, depths.mass);
    }
    const double lift = all.top == -kInf<double> ? kNaN : all.top + log_rest;  // NaN where every logit is −∞
    store(planes.lift, row, lift);
    store(planes.log_partition, row, base * s + lift);
    if (planes.entropy) store(planes.entropy, row, lift != lift ? kNaN : all.entropy());
    if (planes.argmax) pointer<int64_t>(planes.argmax)[row] = best_of(l);
    if (planes.rank) pointer<int64_t>(planes.rank)[row] = rank_of(l);
  }

  // D_j = ln Σ_{c ≠ y_j} e^{u_c} − u_j for each of k indices, whose u are in `D`.
  CE_INLINE void log_odds_of_each(const LogSum& off, const int64_t* y, double* D, int64_t k) {
    std::vector<double> odds(static_cast<size_t>(k));
    for (int64_t j = 0; j < k; ++j) {
      LogSum others = off;
      for (int64_t i = 0; i < k; ++i)
        if (y[i] != y[j] && first_occurrence(y, i)) others = merge(others, LogSum::of(D[i]));
      odds[static_cast<size_t>(j)] = others.value() - D[j];
    }
    std::copy(odds.begin(), odds.end(), D);
  }

  struct Depths {
    double sum, mass;
  };
  static CE_INLINE Depths depths_of(const WeightedDepths& all, int l) {
    return Wide ? Depths{sum_lanes(all.depth_sum), sum_lanes(all.mass)} : Depths{all.depth_sum[l], all.mass[l]};
  }

  // Σ w (L − u) over a group: its depths below its own top, and the way from there up to L.
  static CE_INLINE double weighted_total(Depths depths, double own_top, double way, double s) {
    const double to_own_top = own_top == -kInf<double> ? 0.0 : own_top;
    return depths.mass == 0.0 ? depths.sum : depths.sum * s + depths.mass * (way - to_own_top);
  }

  CE_INLINE int64_t best_of(int l) const {
    if (!Wide) return best_class[l];
    int at = 0;
    for (int i = 1; i < kLanes; ++i)
      if (best[i] > best[at] || (best[i] == best[at] && best_class[i] < best_class[at])) at = i;
    return best_class[at];
  }

  CE_INLINE int64_t rank_of(int l) const {
    if (!Wide) return above[l];
    int64_t rank = 0;
    for (int i = 0; i < kLanes; ++i) rank += above[i];
    return rank;
  }

  // An ignored row is a certain one: its loss is 0 under every link. A bad one is NaN.
  CE_INLINE void overwrite(int l) {
    const int64_t row = place.row + l;
    const bool ignored = state[l] == RowState::kIgnored;
    for (int64_t j = 0; j < p.target.k; ++j) target_u(l)[j] = ignored ? -kInf<double> : kNaN;
    for (const uintptr_t plane : {planes.top, planes.rest, planes.log_partition, planes.lift, planes.prior_term,
                                  planes.entropy})
      store(plane, row, ignored ? 0.0 : kNaN);
    if (planes.argmax) pointer<int64_t>(planes.argmax)[row] = -1;
    if (planes.rank) pointer<int64_t>(planes.rank)[row] = -1;
  }
};

#define CE_KERNEL(name, T, wide)                                             \
  CE_CLONES int64_t name(const Problem& problem, int64_t begin, int64_t end) { \
    return RowStatistics<T, wide>(problem).run(begin, end);                   \
  }
CE_KERNEL(wide_float, float, true)
CE_KERNEL(wide_double, double, true)
CE_KERNEL(tile_float, float, false)
CE_KERNEL(tile_double, double, false)
#undef CE_KERNEL

}  // namespace

int64_t row_statistics(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                       const Prior& prior, const Statistics& out, int threads) {
  const Problem problem{logits, shape, transform, target, prior, out};
  const bool wide = use_wide(logits, shape), is_double = logits.dtype == Dtype::kFloat64;
  const bool only_log_odds = !out.log_partition && !out.lift && !out.prior_term && !out.entropy && !out.argmax &&
                             !out.rank;
  const bool few = only_log_odds && has_few_classes(logits, shape, transform, target);
  const auto kernel = wide ? (is_double ? wide_double : wide_float) : (is_double ? tile_double : tile_float);
  std::atomic<int64_t> first_bad{-1};
  parallel_blocks(shape.rows(), block_of_rows(shape, wide, threads), threads, [&](int64_t begin, int64_t end) {
    const int64_t bad = few ? few_classes_statistics(logits, shape, transform, target, out, begin, end)
                            : kernel(problem, begin, end);
    int64_t seen = first_bad.load();
    while (bad >= 0 && (seen < 0 || bad < seen) && !first_bad.compare_exchange_weak(seen, bad)) {
    }
  });
  return first_bad.load();
}

}  // namespace ce
