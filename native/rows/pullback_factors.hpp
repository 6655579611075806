// What the gradients of rows are made of, kLanes rows at a time, a lane for each: α, β and the others of
// pullback.cpp, and the entries of the targets.
#pragma once

#include <cmath>
#include <vector>

#include "rows/labels.hpp"
#include "rows/log_sum.hpp"

namespace ce {

struct PullbackProblem {
  View logits;
  Shape shape;
  Transform transform;
  Target target;
  Prior prior;
  Statistics saved;
  Cotangents upstream;
  Gradients out;

  CE_INLINE bool only_log_odds() const {
    return target.indices && target.k == 1 && !upstream.log_partition && !upstream.prior_term && !upstream.entropy;
  }
};

// With kLogOddsAlone it is known that one label's log-odds are all there is, and the scale is in their factors.
template <bool kLogOddsAlone = false>
class RowFactors {
 public:
  // Of a group of classes: those off target or off a set, and those on the set.
  struct Group {
    alignas(64) double base[kLanes], alpha[kLanes], beta[kLanes];
  };
  Group off, on;
  // e^d is computed times 2^shift, and α, β are divided by it: products down to subnormal numbers are right.
  int shift[kLanes];
  uint8_t excluded[kLanes];  // rows that count for nothing
  bool any_excluded;
  alignas(64) double prior_gain[kLanes], dense_gain[kLanes], dense_total[kLanes], dense_share[kLanes];
  alignas(64) double tie_miss[kLanes], L_above_top[kLanes], scale[kLanes];

  RowLabels labels;

  explicit CE_INLINE RowFactors(const PullbackProblem& problem)
      : labels(problem.target, problem.shape.classes),
        p(problem),
        k(problem.target.indices ? problem.target.k : 0),
        targets(size_t(k)) {
    if (!kLogOddsAlone) off = on = {};
  }

  // ∂u at the j-th target of the l-th row, the first of its class.
  CE_INLINE double at_target(int l, int64_t j) const { return targets[size_t(j)].gradient[l]; }

  CE_INLINE void compute(int64_t first_row, int count) {
    row = first_row;
    rows = count;
    labels.begin(row, rows);
    load(p.saved.top, top);
    load(p.saved.rest, rest);
    if (!kLogOddsAlone) load(p.saved.L_above_top, L_above_top);
    load_pending_scales(p.transform, row, rows, scale);
    for (int l = 0; l < kLanes; ++l) off.base[l] = finite_or_zero(top[l]);
    load_targets();
    if (kLogOddsAlone || p.only_log_odds())
      from_label();
    else
      from_all();
    any_excluded = false;
    for (int l = 0; l < kLanes; ++l) {
      excluded[l] = no_upstream[l] | labels.ignored[l];
      any_excluded |= excluded[l];
    }
  }

 private:
  struct TargetLanes {
    alignas(64) double upstream[kLanes], log_p[kLanes], log_miss[kLanes], p[kLanes], gradient[kLanes];
  };

  const PullbackProblem& p;
  const int64_t k;
  std::vector<TargetLanes> targets;
  int64_t row;
  int rows;
  uint8_t no_upstream[kLanes];  // whether nothing comes from above
  alignas(64) double top[kLanes], rest[kLanes];

  // One number of every row, of those past the last the first's; 0 of what there is none of.
  CE_INLINE void load(uintptr_t plane, double* lanes, int64_t stride = 1, int64_t j = 0) const {
    const double* const from = plane ? pointer<const double>(plane) + row * stride + j : nullptr;
    if (from && stride == 1 && rows == kLanes) {
      std::memcpy(lanes, from, kLanes * sizeof(double));
    } else {
      for (int l = 0; l < kLanes; ++l) lanes[l] = from ? from[(l < rows ? l : 0) * stride] : 0.0;
    }
  }

  CE_INLINE void load_targets() {
    for (int64_t j = 0; j < k; ++j) load(p.upstream.log_odds, targets[size_t(j)].upstream, k, j);
  }

  // A factor below 2^−60 needs no shift: whatever its exponential flushes to 0 is 0 in the product.
  static CE_INLINE int shift_for(double largest) { return std::abs(largest) < 0x1p-60 ? 0 : 64; }
  static CE_INLINE double unshifted(double factor, int shift) {
    return shift == 0 ? factor : factor * 0x1p-64;
  }

  // One label's log-odds alone: α = g_D/(1 + rest), and −g_D at the label.
  CE_INLINE void from_label() {
    TargetLanes& target = targets[0];
    for (int l = 0; l < kLanes; ++l) {
      const double g = target.upstream[l] * (kLogOddsAlone ? scale[l] : 1.0), factor = g / (1.0 + rest[l]);
      shift[l] = shift_for(factor);
      off.alpha[l] = unshifted(factor, shift[l]);
      target.gradient[l] = rest[l] == rest[l] ? -g : kNaN;  // an invalid row
      no_upstream[l] = target.upstream[l] == 0.0;  // whatever rest is
    }
  }

  CE_INLINE void from_all() {
    alignas(64) double g_L[kLanes], g_H[kLanes], H[kLanes], common[kLanes], share[kLanes], log_share[kLanes];
    alignas(64) double on_alpha[kLanes] = {}, on_share[kLanes] = {}, g_D[kLanes];
    load(p.upstream.log_partition, g_L);
    load(p.upstream.prior_term, prior_gain);
    load(p.upstream.dense_term, dense_gain);
    load(p.upstream.entropy, g_H);
    load(p.saved.entropy, H);
    load(p.saved.dense_total, dense_total);
    for (int l = 0; l < kLanes; ++l) {
      common[l] = g_L[l] + (prior_gain[l] == 0.0 ? 0.0 : prior_gain[l] * p.prior.total);
      log_share[l] = -L_above_top[l];
      const double e = exp_nonpositive(log_share[l]);  // π
      share[l] = top[l] == -kInf<double> ? 0.0 * L_above_top[l] : e;  // NaN where every logit is −∞
      off.alpha[l] = group_alpha(share[l], log_share[l], common[l], g_H[l], H[l]);
      dense_share[l] = p.target.dense.address ? share[l] * dense_gain[l] * dense_total[l] : 0.0;
      tie_miss[l] = dense_total[l] * (rest[l] / (1.0 + rest[l]));
      no_upstream[l] = g_L[l] == 0.0 && prior_gain[l] == 0.0 && dense_gain[l] == 0.0 && g_H[l] == 0.0;
    }
    if (k > 1) {
      from_several();
    } else {
      load(p.upstream.log_odds, g_D);
      for (int l = 0; l < kLanes; ++l) off.alpha[l] += p.upstream.log_odds ? g_D[l] / (1.0 + rest[l]) : 0.0;
      for (int l = 0; l < kLanes; ++l) no_upstream[l] = no_upstream[l] && g_D[l] == 0.0;
    }
    if (p.target.mask.address) {
      alignas(64) double set_top[kLanes], set_rest[kLanes];
      load(p.saved.set_top, set_top);
      load(p.saved.set_rest, set_rest);
      for (int l = 0; l < kLanes; ++l) {
        on.base[l] = finite_or_zero(set_top[l]);
        log_share[l] = (on.base[l] - off.base[l]) * scale[l] - L_above_top[l];
        const double e = exp_nonpositive(log_share[l]);
        on_share[l] = set_top[l] == -kInf<double> ? 0.0 : e;
        on_alpha[l] = group_alpha(on_share[l], log_share[l], common[l], g_H[l], H[l]);
        on_alpha[l] -= g_D[l] / (1.0 + set_rest[l]);
      }
    }
    for (int l = 0; l < kLanes; ++l) {
      const double dense = dense_share[l], largest = std::abs(off.alpha[l]) + std::abs(dense) + std::abs(on_alpha[l]);
      shift[l] = shift_for(largest + std::abs(g_H[l]));
      off.alpha[l] = unshifted(off.alpha[l] + dense, shift[l]);
      on.alpha[l] = unshifted(on_alpha[l], shift[l]);
      off.beta[l] = unshifted(-share[l] * g_H[l] / kLog2E, shift[l]);
      on.beta[l] = unshifted(-on_share[l] * g_H[l] / kLog2E, shift[l]);
    }
    for (int64_t j = 0; j < k; ++j) finish_target(j, g_L, g_H, H);
  }

  static CE_INLINE double group_alpha(double share, double log_share, double common, double g_H, double H) {
    const double alpha = share * (common - g_H * (log_share + H));
    return share == 0.0 ? 0.0 * common : alpha;
  }

  // Σ_j g_j e^{top − rest_j}: what several log-odds' gradients put on every class off target.
  CE_INLINE void from_several() {
    alignas(64) double nothing[kLanes] = {}, sum[kLanes] = {};
    for (int64_t j = 0; j < k; ++j) {
      load_log_odds(j);
      add_others(j, nothing, sum);
      for (int l = 0; l < kLanes; ++l) no_upstream[l] = no_upstream[l] && targets[size_t(j)].upstream[l] == 0.0;
    }
    for (int l = 0; l < kLanes; ++l) off.alpha[l] += p.upstream.log_odds ? sum[l] : 0.0;
  }

  // p and 1 − p of the j-th target.
  CE_INLINE void load_log_odds(int64_t j) {
    TargetLanes& target = targets[size_t(j)];
    alignas(64) double D[kLanes];
    load(p.saved.log_odds, D, k, j);
    for (int l = 0; l < kLanes; ++l) {
      softplus_and_sigmoid(-D[l], target.log_miss[l], target.p[l]);
      target.log_p[l] = -softplus(D[l]);
    }
  }

  // Adds g_j e^{u − rest_j}, of a class at u relative to the top that is not the j-th; rest_j = L + ln(1 − p_j).
  CE_INLINE void add_others(int64_t j, const double* u, double* sum) const {
    const TargetLanes& target = targets[size_t(j)];
    for (int l = 0; l < kLanes; ++l) {
      const double term = target.upstream[l] * exp_nonpositive(u[l] - (L_above_top[l] - target.log_miss[l]));
      sum[l] += target.log_miss[l] == kInf<double> ? 0.0 : term;
    }
  }

  CE_INLINE double prior_at(int64_t c) const {
    if (!p.prior.values) return 1.0 / double(p.shape.classes);
    return uint64_t(c) < uint64_t(p.shape.classes) ? p.prior.value(c, p.logits.dtype) : 0.0;
  }

  CE_INLINE void finish_target(int64_t j, const double* g_L, const double* g_H, const double* H) {
    TargetLanes& target = targets[size_t(j)];
    if (k == 1) load_log_odds(0);
    alignas(64) double prior[kLanes] = {}, place[kLanes];
    for (int l = 0; l < kLanes && p.upstream.prior_term; ++l) prior[l] = prior_at(labels.of(l < rows ? l : 0)[j]);
    for (int l = 0; l < kLanes; ++l) {
      const double by_prior = prior_gain[l] * (target.p[l] * p.prior.total - prior[l]);
      const double by_entropy = g_H[l] * target.p[l] * (target.log_p[l] + H[l]);
      target.gradient[l] = target.p[l] * g_L[l] + (prior_gain[l] == 0.0 ? 0.0 : by_prior);
      target.gradient[l] -= g_H[l] == 0.0 || target.p[l] == 0.0 ? 0.0 : by_entropy;
      place[l] = L_above_top[l] + target.log_p[l];
    }
    for (int64_t i = 0; i < k; ++i) {
      alignas(64) double others[kLanes] = {};
      if (i != j) add_others(i, place, others);
      for (int l = 0; l < kLanes; ++l) {
        const int64_t* y = labels.of(l < rows ? l : 0);
        target.gradient[l] += y[i] == y[j] ? -targets[size_t(i)].upstream[l] : others[l];
      }
    }
  }
};

// Calls compute, of which one copy is enough for all kernels that take every case of it.
void compute_factors(RowFactors<>& factors, int64_t first_row, int count);

}  // namespace ce
