// From the sums of rows to their statistics, kLanes rows at a time, a lane for each.
//
// A row's own arithmetic is a handful of exponentials and logarithms. One row at a time they would take as long as
// reading a thousand classes; side by side they take next to nothing.
#pragma once

#include <vector>

#include "rows/labels.hpp"
#include "rows/log_sum.hpp"

namespace ce {

struct StatisticsProblem {
  View logits;
  Shape shape;
  Transform transform;
  Target target;
  Prior prior;
  const double* prior_masses;  // of a wide row's chunks
  Statistics out;
};

// A LogSum in every lane.
struct LogSums {
  alignas(64) double top[kLanes], rest[kLanes], moment[kLanes];

  CE_INLINE void put(int l, const LogSum& sum) { top[l] = sum.top, rest[l] = sum.rest, moment[l] = sum.moment; }

  // Joins two sums: the higher top stays, and the other comes down to it. An empty one adds nothing but its NaN.
  CE_INLINE void merge(const double* other_top, const double* other_rest, const double* other_moment) {
    for (int l = 0; l < kLanes; ++l) {
      const bool higher = other_top[l] > top[l];
      const double high = higher ? other_top[l] : top[l], low = higher ? top[l] : other_top[l];
      const double rest_high = higher ? other_rest[l] : rest[l], rest_low = higher ? rest[l] : other_rest[l];
      const double moment_high = higher ? other_moment[l] : moment[l];
      const double moment_low = higher ? moment[l] : other_moment[l];
      const bool empty = low == -kInf<double>;
      const double shift = empty ? 0.0 : low - high;
      const double weight = empty ? 0.0 : exp_nonpositive(shift);
      top[l] = high;
      rest[l] = rest_high + weight * (1.0 + rest_low);
      moment[l] = moment_high + weight * (moment_low + shift * (1.0 + rest_low));
    }
  }
  // Adds e^u. Where u is −∞ that is nothing, where it is NaN all is.
  CE_INLINE void add(const double* u) {
    alignas(64) double own_top[kLanes], own_rest[kLanes];
    for (int l = 0; l < kLanes; ++l) own_top[l] = u[l] == u[l] ? u[l] : 0.0;
    for (int l = 0; l < kLanes; ++l) own_rest[l] = u[l] == u[l] ? 0.0 : u[l];
    merge(own_top, own_rest, own_rest);
  }
  CE_INLINE void add(const LogSums& other) { merge(other.top, other.rest, other.moment); }
};

// Σ w (top − u) and Σ w over a group of classes, in every lane.
struct DepthSums {
  alignas(64) double sum[kLanes], mass[kLanes];

  CE_INLINE void put(int l, double depth_sum, double total) { sum[l] = depth_sum, mass[l] = total; }
};

// With kLogOddsAlone it is known that one label's log-odds are all there is.
template <bool kLogOddsAlone = false>
class RowFinish {
 public:
  // What was read of each row, before the scale. A group is the classes off target, or those of a label set.
  LogSums off, on;
  DepthSums prior_off, prior_on, dense;
  int64_t best[kLanes], above[kLanes];
  // The targets' u are put here with kLogOddsAlone, else where the log-odds will stand.
  alignas(64) double target[kLanes];
  alignas(64) double scale[kLanes];
  alignas(64) double rest[kLanes];  // to be saved: NaN where the log-odds are, so that the gradient is NaN too
  RowLabels labels;

  explicit CE_INLINE RowFinish(const StatisticsProblem& problem)
      : labels(problem.target, problem.shape.classes),
        p(problem),
        planes(problem.out),
        k(problem.target.indices ? problem.target.k : 0) {
    if (kLogOddsAlone) return;
    off = on = {};
    prior_off = prior_on = dense = {};
    std::fill(best, best + kLanes, 0);
    std::fill(above, above + kLanes, 0);
    u.resize(size_t(k) * kLanes);
  }

  // Index targets and nothing but their log-odds: the path of plain cross-entropy.
  CE_INLINE bool only_log_odds() const {
    return kLogOddsAlone || (k == 1 && !planes.log_partition && !planes.L_above_top && !planes.prior_term &&
                             !planes.entropy && !planes.argmax && !planes.rank);
  }
  CE_INLINE double* log_odds(int l) const { return pointer<double>(planes.log_odds) + (row + l) * k; }

  // Takes up to kLanes rows; after that `labels` says of each whether it is to be read.
  CE_INLINE void begin(int64_t first_row, int count) {
    row = first_row;
    rows = count;
    labels.begin(row, rows);
    load_pending_scales(p.transform, row, rows, scale);
  }

  // Writes the planes. Returns the first row with an index out of range, −1 if there is none.
  CE_INLINE int64_t store_all() {
    for (int l = 0; l < kLanes; ++l) {
      rest[l] = off.top[l] == kInf<double> ? kNaN : off.rest[l];
      if (kLogOddsAlone) continue;
      off.rest[l] = rest[l];
      base[l] = finite_or_zero(off.top[l]);
    }
    if (k == 1) finish_label();
    if (!only_log_odds()) finish_partition();
    store(planes.top, off.top);
    store(planes.rest, rest);
    for (int l = 0; planes.argmax && l < rows; ++l)
      pointer<int64_t>(planes.argmax)[row + l] = labels.counts(l) ? best[l] : -1;
    for (int l = 0; planes.rank && l < rows; ++l)
      pointer<int64_t>(planes.rank)[row + l] = labels.counts(l) ? above[l] : -1;
    return labels.first_invalid();
  }

 private:
  const StatisticsProblem& p;
  const Statistics planes;
  const int64_t k;
  std::vector<double> u;  // of the targets, relative to the base and after the scale: kLanes of each
  int64_t row;
  int rows;
  alignas(64) double base[kLanes];

  // Writes one number for every row, `stride` apart. An ignored row is a certain one: its log-odds are −∞, and its loss
  // is 0 under every link. A row with a label outside the classes is NaN.
  CE_INLINE void store(uintptr_t plane, const double* lanes, double when_ignored = 0.0, int64_t stride = 1) const {
    if (!plane) return;
    double* const to = pointer<double>(plane) + row * stride;
    if (stride == 1 && rows == kLanes && !labels.any_excluded) {
      std::memcpy(to, lanes, kLanes * sizeof(double));
      return;
    }
    for (int l = 0; l < rows; ++l)
      to[l * stride] = labels.counts(l) ? lanes[l] : labels.ignored[l] ? when_ignored : kNaN;
  }
  CE_INLINE void store_log_odds(const double* lanes, int64_t j) {
    if (!p.target.foreign)
      for (int l = 0; l < kLanes; ++l) rest[l] = lanes[l] == lanes[l] ? rest[l] : kNaN;
    store(planes.log_odds + uintptr_t(j) * sizeof(double), lanes, -kInf<double>, k);
  }

  // The u of the j-th targets as they were read, −∞ of foreign ones, and the margins on them.
  CE_INLINE void load_targets(int64_t j, double* targets, double* margins) const {
    for (int l = 0; !kLogOddsAlone && l < kLanes; ++l)
      targets[l] = l >= rows || !labels.counts(l) ? 0.0 : labels.is_target(l, j) ? log_odds(l)[j] : -kInf<double>;
    for (int l = 0; l < kLanes; ++l) margins[l] = 0.0;
    if (!p.transform.has_margin()) return;
    for (int l = 0; l < rows; ++l)
      if (labels.is_target(l, j)) margins[l] = margin_of(p.transform, row + l, labels.of(l)[j]);
  }

  CE_INLINE void scale_targets(const double* targets, const double* margins, int64_t j) {
    double* own = u.data() + j * kLanes;
    for (int l = 0; l < kLanes; ++l)
      own[l] = targets[l] == kInf<double> ? kNaN : ((targets[l] - base[l]) - margins[l]) * scale[l];
  }

  // D = scale·(top − u_y) + ln(1 + rest)
  CE_INLINE void finish_label() {
    alignas(64) double margins[kLanes], D[kLanes];
    load_targets(0, target, margins);
    if (!only_log_odds()) scale_targets(target, margins, 0);
    for (int l = 0; l < kLanes; ++l) {
      const double odds = ((off.top[l] - target[l]) + margins[l]) * scale[l] + log1p_nonnegative(rest[l]);
      D[l] = off.top[l] == kInf<double> || target[l] == kInf<double> ? kNaN : odds;
    }
    store_log_odds(D, 0);
  }

  // Everything that is relative to L, the logarithm of the sum over all classes.
  CE_INLINE void finish_partition() {
    LogSums all = off;
    for (int l = 0; l < kLanes; ++l) all.top[l] = (off.top[l] - base[l]) * scale[l];
    alignas(64) double off_top[kLanes], on_top[kLanes] = {}, log_rest[kLanes], to_log_partition[kLanes];
    alignas(64) double L_above_top[kLanes];
    std::memcpy(off_top, all.top, sizeof off_top);
    if (k == 1) all.add(u.data());
    if (k > 1) finish_several(all);
    if (p.target.mask.address) finish_set(all, on_top);

    for (int l = 0; l < kLanes; ++l) log_rest[l] = log1p_nonnegative(all.rest[l]);
    for (int l = 0; l < kLanes; ++l) to_log_partition[l] = all.top[l] + log_rest[l];  // from the base to L
    // NaN where every logit is −∞
    for (int l = 0; l < kLanes; ++l) L_above_top[l] = all.top[l] == -kInf<double> ? kNaN : to_log_partition[l];
    store(planes.L_above_top, L_above_top);
    if (planes.log_partition) {
      alignas(64) double L[kLanes];
      for (int l = 0; l < kLanes; ++l) L[l] = base[l] * scale[l] + L_above_top[l];
      store(planes.log_partition, L);
    }
    if (planes.prior_term) {
      alignas(64) double term[kLanes] = {};
      add_targets_of_prior(term);
      add_total(prior_off, off_top, to_log_partition, term);
      if (p.target.mask.address) add_total(prior_on, on_top, to_log_partition, term);
      for (int l = 0; l < kLanes && !p.prior.values; ++l) term[l] /= double(p.shape.classes);
      store(planes.prior_term, term);
    }
    if (planes.dense_term) {
      alignas(64) double term[kLanes] = {};
      add_total(dense, off_top, to_log_partition, term);
      for (int l = 0; l < kLanes; ++l)  // an invalid row, even if its masses add up to 0
        if (L_above_top[l] != L_above_top[l]) term[l] = kNaN;
      store(planes.dense_term, term);
      store(planes.dense_total, dense.mass);
    }
    if (planes.entropy) {
      alignas(64) double H[kLanes];
      for (int l = 0; l < kLanes; ++l)
        H[l] = L_above_top[l] == L_above_top[l] ? log_rest[l] - all.moment[l] / (1.0 + all.rest[l]) : kNaN;
      store(planes.entropy, H);
    }
  }

  // D_j = ln Σ_{c ≠ y_j} e^{u_c} − u_j for each of k indices. `all` are the classes off target, to which they are
  // added.
  CE_INLINE void finish_several(LogSums& all) {
    const LogSums off_target = all;
    alignas(64) double target[kLanes], margins[kLanes], term[kLanes];
    for (int64_t j = 0; j < k; ++j) {
      const double* own = u.data() + j * kLanes;
      load_targets(j, target, margins);
      scale_targets(target, margins, j);
      for (int l = 0; l < kLanes; ++l) term[l] = l < rows && first_occurrence(labels.of(l), j) ? own[l] : -kInf<double>;
      all.add(term);
    }
    for (int64_t j = 0; j < k; ++j) {
      LogSums others = off_target;
      for (int64_t i = 0; i < k; ++i) {
        if (i == j) continue;
        for (int l = 0; l < kLanes; ++l) {
          const bool other = l < rows && labels.of(l)[i] != labels.of(l)[j] && first_occurrence(labels.of(l), i);
          term[l] = other ? u[size_t(i * kLanes + l)] : -kInf<double>;
        }
        others.add(term);
      }
      for (int l = 0; l < kLanes; ++l)
        term[l] = (others.top[l] + log1p_nonnegative(others.rest[l])) - u[size_t(j * kLanes + l)];
      store_log_odds(term, j);
    }
  }

  // D = ln Σ_{off} e^{u_c} − ln Σ_{on} e^{u_c}. `all` are the classes off the set, to which it is added.
  CE_INLINE void finish_set(LogSums& all, double* on_top) {
    store(planes.set_top, on.top);
    store(planes.set_rest, on.rest);
    LogSums set = on;
    alignas(64) double D[kLanes];
    for (int l = 0; l < kLanes; ++l)
      set.top[l] = on_top[l] = on.top[l] == kInf<double> ? kNaN : (on.top[l] - base[l]) * scale[l];
    for (int l = 0; l < kLanes; ++l)
      D[l] = (all.top[l] + log1p_nonnegative(all.rest[l])) - (set.top[l] + log1p_nonnegative(set.rest[l]));
    store(planes.log_odds, D);
    all.add(set);
  }

  // r_y (L − u_y) = r_y softplus(D), of each class among the targets once.
  CE_INLINE void add_targets_of_prior(double* term) const {
    for (int64_t j = 0; j < k; ++j) {
      alignas(64) double D[kLanes], weight[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        const bool counts = l < rows && labels.is_target(l, j) && first_occurrence(labels.of(l), j);
        D[l] = counts ? log_odds(l)[j] : 0.0;
        weight[l] = !counts ? 0.0 : p.prior.values ? p.prior.value(labels.of(l)[j], p.logits.dtype) : 1.0;
      }
      for (int l = 0; l < kLanes; ++l) {
        const double own = weight[l] * softplus(D[l]);
        term[l] += weight[l] == 0.0 ? 0.0 : own;
      }
    }
  }

  // Σ w (L − u) over a group: its depths below its own top, and the way from there up to L.
  CE_INLINE void add_total(const DepthSums& depths, const double* own_top, const double* to_log_partition,
                           double* term) const {
    for (int l = 0; l < kLanes; ++l) {
      const double to_own_top = own_top[l] == -kInf<double> ? 0.0 : own_top[l];
      const double up = depths.mass[l] == 0.0 ? 0.0 : depths.mass[l] * (to_log_partition[l] - to_own_top);
      term[l] += depths.sum[l] * scale[l] + up;
    }
  }
};

// Calls store_all, of which one copy is enough for all kernels that take every case of it: it is large, and a call
// serves kLanes rows.
int64_t store_finished_rows(RowFinish<>& finish);

}  // namespace ce
