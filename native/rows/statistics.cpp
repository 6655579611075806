// The forward row kernel: one read of the logits, target statistics out.
#include <atomic>

#include "rows/few_classes.hpp"
#include "common/parallel.hpp"
#include "rows/statistics_finish.hpp"
#include "rows/contiguous.hpp"

namespace ce {
namespace {

template <class T, bool Wide>
class RowStatistics {
 public:
  explicit CE_INLINE RowStatistics(const StatisticsProblem& problem)
      : p(problem), planes(problem.out), finish(problem) {}

  // Returns the first row with an index out of range, −1 if there is none.
  CE_INLINE int64_t run(int64_t begin, int64_t end) {
    int64_t first_invalid = -1;
    for (int64_t row = begin; row < end; row += kLanes) {
      const int rows = int(std::min<int64_t>(kLanes, end - row));
      finish.begin(row, rows);
      if (is_contiguous()) read_contiguous(row, rows);
      for (int l = 0; !is_contiguous() && l < (Wide ? rows : 1); ++l) {
        if (Wide && !finish.labels.counts(l)) continue;
        first = l;
        place.row = row + l;
        place.rows = Wide ? 1 : rows;
        read_rows();
      }
      const int64_t invalid = store_finished_rows(finish);
      if (first_invalid < 0) first_invalid = invalid;
    }
    return first_invalid;
  }

 private:
  const StatisticsProblem& p;
  const Statistics planes;
  RowFinish<> finish;
  int first;  // which of the rows taken together is the first, or with wide chunks the one that is read
  Place<Wide> place;
  alignas(64) double scale[kLanes];
  Chunk<T> u, group, weights, spare, masses;  // masses: of a dense target; of a label set 0 and 1
  LaneSums<Wide> sums[2];              // over the classes off target; over those of a label set
  WeightedDepths prior[2], soft;
  alignas(64) T best[kLanes], own[kLanes];
  int64_t best_class[kLanes], above[kLanes];
  Ahead ahead;
  Anchors<T> anchors;
  bool anchored;

  CE_INLINE const int64_t* labels(int l) const { return finish.labels.of(first + l); }
  CE_INLINE bool counts(int l) const { return finish.labels.counts(first + l); }
  CE_INLINE bool has_set() const { return p.target.mask.address != 0; }
  CE_INLINE bool has_dense() const { return p.target.dense.address != 0; }

  // Whether rows are summed where they lie.
  CE_INLINE bool is_contiguous() const {
    if (!Wide || !has_one_beside(p.transform, has_set(), p.prior.present) || planes.entropy || planes.argmax ||
        planes.rank)
      return false;
    if (has_set())
      return p.target.mask.class_stride == 1 && !planes.prior_term && !p.transform.has_margin();
    return p.target.indices && p.target.k <= kMaxContiguousLabels;
  }

  CE_INLINE void read_contiguous(int64_t row, int rows) {
    const View& mask = p.target.mask;
    ContiguousRow tasks[kLanes];
    ContiguousSums sums[kLanes];
    int n = 0, lane[kLanes];
    for (int l = 0; l < rows; ++l) {
      if (!finish.labels.counts(l)) continue;
      ContiguousRow& task = tasks[n];
      task.offset = row_offset(p.logits, p.shape, row + l);
      task.scale = pending_scale(p.transform, row + l);
      task.factor = row_scale(p.transform, row + l);
      if (has_set()) {
        task.mask = pointer<const uint8_t>(mask.address) + row_offset(mask, p.shape, row + l);
      } else {
        task.labels = finish.labels.of(l);
        task.targets = finish.log_odds(l);
      }
      lane[n++] = l;
    }
    const Beside beside = beside_of(p.transform, has_set(), p.prior.present, p.prior.values);
    const int64_t k = has_set() ? 0 : p.target.k;
    const uintptr_t values = p.transform.bias ? p.transform.bias : p.prior.values;
    sum_contiguous_rows({p.logits, p.shape.classes, beside, k, values, p.prior_masses}, tasks, n, sums);
    for (int i = 0; i < n; ++i) {
      finish.off.put(lane[i], sums[i].off);
      if (has_set()) finish.on.put(lane[i], sums[i].on);
      finish.prior_off.put(lane[i], sums[i].depth_sum, sums[i].mass);
    }
  }

  // Rows whose sums turn out to need anchors are read twice.
  CE_INLINE void read_rows() {
    for (int l = 0; l < kLanes; ++l) {
      scale[l] = pending_scale(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
      anchors.of_logits[l] = T(0);
      anchors.offset[l] = 0.0;
    }
    anchored = false;
    sum_rows();
    if ((p.transform.bias || p.transform.has_margin()) && find_anchors()) sum_rows();
    for (int l = 0; l < place.rows; ++l) store_row(l);
  }

  CE_INLINE bool find_anchors() {
    for (int l = 0; l < kLanes; ++l) {
      const double unit = unit_of(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
      const double top = has_set() ? std::max(sums[0].top[l], sums[1].top[l]) : sums[0].top[l];
      anchors.of_logits[l] = anchor_of<T>(top, unit);
      anchors.offset[l] = unit * double(anchors.of_logits[l]);
      anchored |= anchors.of_logits[l] != T(0);
    }
    return anchored;
  }

  CE_INLINE void sum_rows() {
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
      apply_transform(p.transform, place, Wide, u, nullptr, anchored ? &anchors : nullptr);
      if (p.target.indices)
        mask_targets();
      else if (has_set())
        read_set();
      else if (planes.argmax)
        find_best();
      add_groups();
      if (has_dense()) add_dense();
    }
  }

  // The sum of the l-th row, its top as it would be without an anchor.
  CE_INLINE LogSum sum_of(int side, int l) const {
    LogSum sum = sums[side].at(l);
    sum.top += anchors.offset[l];
    return sum;
  }

  // What was read of the l-th row, for it to be finished.
  CE_INLINE void store_row(int l) {
    const int to = first + l;
    finish.off.put(to, sum_of(0, l));
    if (has_set()) finish.on.put(to, sum_of(1, l));
    if (planes.prior_term) {
      put_depths(prior[0], l, finish.prior_off);
      if (has_set()) put_depths(prior[1], l, finish.prior_on);
    }
    if (has_dense()) put_depths(soft, l, finish.dense);
    if (planes.argmax) finish.best[to] = best_of(l);
    if (planes.rank) finish.above[to] = rank_of(l);
  }
  CE_INLINE void put_depths(const WeightedDepths& all, int l, DepthSums& depths) {
    if (Wide)
      depths.put(first, sum_lanes(all.depth_sum), sum_lanes(all.mass));
    else
      depths.put(l, all.depth_sum[l], all.mass[l]);
  }

  // Calls visit(k, lane, l, j) for every index that falls into this chunk.
  template <class Visit>
  CE_INLINE void each_target(const Visit& visit) {
    if (!p.target.indices) return;
    for (int l = 0; l < place.rows; ++l) {
      if (!counts(l)) continue;
      for (int64_t j = 0; j < p.target.k; ++j) {
        const int64_t y = labels(l)[j];
        if (place.holds(y)) visit(place.depth_of(y), place.lane_of(y, l), l, j);
      }
    }
  }

  // Notes the targets' u and puts them at −∞: they are not among the others. The margins come off in the
  // end, where no rounding of u is in the way; only what is compared needs them here.
  CE_INLINE void mask_targets() {
    each_target([&](int k, int lane, int l, int64_t j) __attribute__((always_inline)) {
      finish.log_odds(first + l)[j] = double(u.at[k][lane]) + anchors.offset[lane];
    });
    if (planes.argmax || planes.rank)
      each_target([&](int k, int lane, int l, int64_t j) __attribute__((always_inline)) {
        if (first_occurrence(labels(l), j)) u.at[k][lane] = less_margin(u.at[k][lane], l, labels(l)[j]);
      });
    if (planes.argmax) find_best();
    if (planes.rank) count_above();
    each_target([&](int k, int lane, int, int64_t) __attribute__((always_inline)) { u.at[k][lane] = -kInf<T>; });
  }

  CE_INLINE void read_set() {
    read_mask(p.target.mask, p.shape, place, masses);
    subtract_set_margins(p.transform, place, masses, u);
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
      sums[side].add(members.at, place.depth(), scale, planes.entropy != 0, finish.only_log_odds() ? u : spare, ahead);
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

  // The prior as a chunk: 0 in padding, on index targets (theirs is added in the end) and off this side of a set.
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
    for (int l = 0; l < kLanes; ++l) above[l] = 0, own[l] = kInf<T>;
    for (int l = 0; l < place.rows; ++l) {
      if (!finish.labels.is_target(first + l, 0)) continue;
      const int64_t y = labels(l)[0];
      Place<Wide> single = place;
      single.first_class = Wide ? y - y % kLanes : y;
      single.classes = Wide ? std::min<int64_t>(kLanes, p.shape.classes - single.first_class) : 1;
      read_chunk(p.logits, p.shape, single, Wide, -kInf<T>, u);
      apply_transform(p.transform, single, Wide, u, nullptr, anchored ? &anchors : nullptr);
      own[l] = less_margin(u.at[single.depth_of(y)][single.lane_of(y, l)], l, y);
    }
  }

  // rank = #{u_c > u_y} + #{c < y: u_c = u_y}
  CE_INLINE void count_above() {
    for (int l = 0; l < kLanes; ++l) {
      const int row = Wide ? 0 : l;
      if (row >= place.rows || !counts(row)) continue;
      const T mine = own[row];
      const int64_t y = labels(row)[0];
      for (int k = 0; k < place.depth(); ++k) {
        const T other = u.at[k][l];
        above[l] += other > mine || (other == mine && place.class_at(k, l) < y);
      }
    }
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
};

#define CE_KERNEL(name, T, wide)                                             \
  CE_CLONES int64_t name(const StatisticsProblem& problem, int64_t begin, int64_t end) { \
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
  const bool wide = use_wide(logits, shape), is_double = logits.dtype == Dtype::kFloat64;
  const std::vector<double> prior_masses = wide ? masses_of_chunks(prior, shape, is_double) : std::vector<double>();
  const StatisticsProblem problem{logits, shape, transform, target, prior, prior_masses.data(), out};
  const bool only_log_odds = !out.log_partition && !out.L_above_top && !out.prior_term && !out.entropy &&
                             !out.argmax && !out.rank;
  const bool few = only_log_odds && !target.foreign && has_few_classes(logits, shape, transform, target);
  const auto kernel = wide ? (is_double ? wide_double : wide_float) : (is_double ? tile_double : tile_float);
  std::atomic<int64_t> first_invalid{-1};
  parallel_blocks(shape.rows(), block_of_rows(shape, wide, threads), threads, [&](int64_t begin, int64_t end) {
    const int64_t invalid = few ? few_classes_statistics(logits, shape, transform, target, out, begin, end)
                            : kernel(problem, begin, end);
    int64_t seen = first_invalid.load();
    while (invalid >= 0 && (seen < 0 || invalid < seen) && !first_invalid.compare_exchange_weak(seen, invalid)) {
    }
  });
  return first_invalid.load();
}

}  // namespace ce
