// The backward row kernel: one read of the logits, one write of their gradient.
//
//   ∂u_c = e_c (α + β d_c) − g_r r_c − g_a a_c     d_c = u_c − top,  e_c = e^{d_c} ≤ 1,  p_c = e_c π
//   α = g_D/(1 + rest) + π (g_L + g_r R + g_a A − g_H (ln π + H))        β = −π g_H
//
// with every number but the exponential worked out once per row in double. Targets are written over that.
#include <cmath>

#include "few_classes.hpp"
#include "halves.hpp"
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
  Statistics saved;
  Cotangents upstream;
  Gradients out;
};

CE_INLINE double load(uintptr_t plane, int64_t row) { return plane ? pointer<const double>(plane)[row] : 0.0; }

template <class T, bool Wide>
class RowPullback {
 public:
  explicit CE_INLINE RowPullback(const Problem& problem) : p(problem) {}

  CE_INLINE void run(int64_t begin, int64_t end) {
    constexpr int64_t kRows = Wide ? 1 : kLanes;
    for (int64_t row = begin; row < end; row += kRows) {
      place.row = row;
      place.rows = Wide ? 1 : std::min<int64_t>(kLanes, end - row);
      if (straight()) {
        pull_straight();
        continue;
      }
      for (int64_t at = row * p.target.k; p.out.target && at < (row + place.rows) * p.target.k; ++at)
        pointer<double>(p.out.target)[at] = 0.0;  // of an ignored row no label will be met
      if (only_log_odds())
        prepare_log_odds();
      else
        prepare();
      for (int64_t c = 0; c < p.shape.classes; c += place.kClasses) {
        place.first_class = c;
        place.classes = std::min<int64_t>(place.kClasses, p.shape.classes - c);
        if (Wide && dead[0])
          clear();
        else
          pull_chunk();
        write_chunk(g, p.shape, place, Wide, p.out.logits);
      }
      if (p.out.scale)
        for (int l = 0; l < place.rows; ++l)
          pointer<double>(p.out.scale)[row + l] = Wide ? sum_lanes(scale_sum) : scale_sum[l];
    }
  }

 private:
  // What a group of classes needs to turn e^d into a gradient.
  struct Side {
    alignas(64) T base[kLanes], alpha[kLanes], beta[kLanes];
  };

  const Problem& p;
  Place<Wide> place;
  Side off, on;  // on: label sets only
  Chunk<T> u, g, slope, other;
  alignas(64) T rate[kLanes], chain[kLanes], prior_gain[kLanes];
  // e^d is worked out times 2^shift and α, β are divided by it: products down to subnormal numbers are right.
  alignas(64) T floor[kLanes], magic[kLanes];
  alignas(64) T dense_gain[kLanes], dense_total[kLanes], dense_share[kLanes], tie_miss[kLanes], lift[kLanes];
  alignas(64) double scale_sum[kLanes];
  int shift_of_row;  // of the last one worked out
  bool dead[kLanes], any_dead;

  CE_INLINE bool has_set() const { return p.target.mask.address != 0; }
  CE_INLINE bool has_dense() const { return p.target.dense.address != 0; }
  CE_INLINE bool only_log_odds() const {
    return p.target.indices && p.target.k == 1 && !p.upstream.log_partition && !p.upstream.prior_term &&
           !p.upstream.entropy;
  }
  CE_INLINE const int64_t* labels(int l) const {
    return pointer<const int64_t>(p.target.indices) + (place.row + l) * p.target.k;
  }
  CE_INLINE bool ignored(int l) const {
    if (!p.target.has_ignore || l >= place.rows) return false;
    for (int64_t j = 0; j < p.target.k; ++j)
      if (labels(l)[j] == p.target.ignore_index) return true;
    return false;
  }
  CE_INLINE double prior_at(int64_t c) const {
    return p.prior.values ? double(pointer<const T>(p.prior.values)[c]) : 1.0 / double(p.shape.classes);
  }

  CE_INLINE void prepare_scales() {
    for (int l = 0; l < kLanes; ++l) {
      const int64_t row = place.row + (Wide || l >= place.rows ? 0 : l);
      rate[l] = T(pending_scale(p.transform, row) * kLog2E);
      chain[l] = p.out.before_transform ? T(1) : T(row_scale(p.transform, row));
      scale_sum[l] = 0.0;
    }
  }

  CE_INLINE void prepare_log_odds() {
    prepare_scales();
    alignas(64) double top[kLanes], rest[kLanes], upstream[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const int64_t row = place.row + (Wide || l >= place.rows ? 0 : l);
      top[l] = load(p.saved.top, row);
      rest[l] = load(p.saved.rest, row);
      upstream[l] = load(p.upstream.log_odds, row);
    }
    any_dead = false;
    for (int l = 0; l < kLanes; ++l) off.base[l] = T(reference(top[l]));
    for (int l = 0; l < kLanes; ++l) rest[l] = upstream[l] / (1.0 + rest[l]);
    for (int l = 0; l < kLanes; ++l) off.alpha[l] = T(shifted(rest[l], rest[l], l));
    for (int l = 0; l < kLanes; ++l) {
      dead[l] = upstream[l] == 0.0 || ignored(l);  // whatever rest is
      any_dead |= dead[l];
    }
  }

  // `factor` for an exponential that carries lane l's shift, which `largest`, the largest factor, decides: a
  // factor below 2^−60 needs none, for then whatever the exponential flushes to 0 is 0 in the product.
  CE_INLINE double shifted(double factor, double largest, int l) {
    const int shift = shift_of_row = shift_for(largest);
    const Exp2Shift<T> range{T(shift)};
    floor[l] = range.floor;
    magic[l] = range.magic;
    return unshifted(factor, shift);
  }
  static CE_INLINE int shift_for(double largest) {
    return largest < 8.67e-19 && largest > -8.67e-19 ? 0 : 64;
  }
  static CE_INLINE double unshifted(double factor, int shift) {
    return shift == 0 ? factor : factor * 5.421010862427522e-20;  // 2^−64
  }

  CE_INLINE void prepare() {
    prepare_scales();
    any_dead = false;
    for (int l = 0; l < (Wide ? 1 : kLanes); ++l) {
      const int64_t row = place.row + (l >= place.rows ? 0 : l);
      const double s = pending_scale(p.transform, row);
      const double g_L = load(p.upstream.log_partition, row), g_r = load(p.upstream.prior_term, row);
      const double g_a = load(p.upstream.dense_term, row), g_H = load(p.upstream.entropy, row);
      const double top = load(p.saved.top, row), rest = load(p.saved.rest, row);
      const double up = load(p.saved.lift, row), H = load(p.saved.entropy, row);
      const double A = load(p.saved.dense_total, row);
      const double common = g_L + (g_r == 0.0 ? 0.0 : g_r * p.prior.total);
      dead[l] = ignored(l) || (g_L == 0.0 && g_r == 0.0 && g_a == 0.0 && g_H == 0.0 && no_log_odds(row));
      any_dead |= dead[l];

      const double base = reference(top);
      const double share = top == -kInf<double> ? 0.0 : exp_nonpositive(-up);  // π
      const double plain = side_alpha(share, -up, common, g_H, H) + from_log_odds(row, rest, up);
      const double dense = has_dense() ? share * g_a * A : 0.0;
      double set_share = 0.0, set_alpha = 0.0;
      if (has_set()) {
        const double set_top = load(p.saved.set_top, row), set_rest = load(p.saved.set_rest, row);
        const double log_share = (reference(set_top) - base) * s - up;
        set_share = set_top == -kInf<double> ? 0.0 : exp_nonpositive(log_share);
        set_alpha = side_alpha(set_share, log_share, common, g_H, H) -
                    load(p.upstream.log_odds, row) / (1.0 + set_rest);
        on.base[l] = T(reference(set_top));
      }
      const double largest = std::abs(plain) + std::abs(dense) + std::abs(set_alpha) + std::abs(g_H);
      off.base[l] = T(base);
      off.alpha[l] = T(shifted(plain + dense, largest, l));
      off.beta[l] = T(shifted(-share * g_H / kLog2E, largest, l));
      on.alpha[l] = T(shifted(set_alpha, largest, l));
      on.beta[l] = T(shifted(-set_share * g_H / kLog2E, largest, l));
      dense_share[l] = T(dense);
      prior_gain[l] = T(g_r);
      dense_gain[l] = T(g_a);
      dense_total[l] = T(A);
      tie_miss[l] = T(A * (rest / (1.0 + rest)));
      lift[l] = T(up);
    }
    if (!Wide) return;
    for (T* lanes : {off.base, off.alpha, off.beta, on.base, on.alpha, on.beta, prior_gain, dense_gain, dense_total,
                     dense_share, tie_miss, lift, floor, magic})
      std::fill(lanes + 1, lanes + kLanes, lanes[0]);
  }

  CE_INLINE bool no_log_odds(int64_t row) const {
    const int64_t k = p.target.indices ? p.target.k : 1;
    for (int64_t j = 0; j < k; ++j)
      if (load(p.upstream.log_odds, row * k + j) != 0.0) return false;
    return true;
  }

  static CE_INLINE double side_alpha(double share, double log_share, double common, double g_H, double H) {
    return share == 0.0 ? 0.0 * common : share * (common - g_H * (log_share + H));
  }

  // Σ_j g_j e^{top − rest_j}: what the log-odds' gradients put on every class off target.
  CE_INLINE double from_log_odds(int64_t row, double rest, double up) const {
    if (!p.upstream.log_odds) return 0.0;
    if (!p.target.indices || p.target.k == 1) return load(p.upstream.log_odds, row) / (1.0 + rest);
    double sum = 0.0;
    for (int64_t j = 0; j < p.target.k; ++j) sum += on_others(row, j, 0.0, up);
    return sum;
  }

  // g_j e^{u − rest_j} for a class at u, relative to the top; rest_j = L + ln(1 − p_j).
  CE_INLINE double on_others(int64_t row, int64_t j, double u, double up) const {
    const int64_t at = row * p.target.k + j;
    const double log_miss = softplus(-load(p.saved.log_odds, at));
    return log_miss == kInf<double> ? 0.0
                                    : load(p.upstream.log_odds, at) * exp_nonpositive(u - (up - log_miss));
  }

  // A wide row that counts for nothing.
  CE_INLINE void clear() {
    for (int k = 0; k < place.depth(); ++k)
      for (int l = 0; l < kLanes; ++l) g.at[k][l] = T(0);
    if (p.out.dense.address) write_chunk(g, p.shape, place, Wide, p.out.dense);
  }

  // Whether rows go from the logits to their gradient with nothing in between.
  CE_INLINE bool straight() const {
    return Wide && (p.target.indices || straight_set()) && !p.upstream.entropy &&
           p.out.logits.dtype == p.logits.dtype && p.out.logits.class_stride == 1 && p.transform.plain() &&
           p.transform.scale == 1.0 && !p.transform.row_scale && !p.out.scale && !p.out.target;
  }
  CE_INLINE bool straight_set() const {
    return has_set() && p.target.mask.class_stride == 1 && !p.upstream.prior_term && p.transform.margin == 0.0 &&
           !p.transform.class_margin;
  }

  CE_INLINE void clear_row(int64_t to) const {
    const int64_t size = size_of(p.out.logits.dtype);
    std::memset(pointer<char>(p.out.logits.address) + to * size, 0, size_t(p.shape.classes * size));
  }

  CE_INLINE void pull_straight_set(int64_t from, int64_t to) {
    prepare();
    if (dead[0]) return clear_row(to);
    const SetGradient row{{off.base[0], on.base[0]}, {off.alpha[0], on.alpha[0]}, kLog2E, shift_of_row};
    const uint8_t* mask = pointer<const uint8_t>(p.target.mask.address);
    ce::pull_straight_set(p.logits, from, p.shape.classes, mask + row_offset(p.target.mask, p.shape, place.row), row,
                          p.out.logits, to);
  }

  CE_INLINE void pull_straight() {
    const int64_t row = place.row, C = p.shape.classes;
    const int64_t from = row_offset(p.logits, p.shape, row), to = row_offset(p.out.logits, p.shape, row);
    if (has_set()) return pull_straight_set(from, to);
    const double g_L = load(p.upstream.log_partition, row), g_r = load(p.upstream.prior_term, row);
    const double up = load(p.saved.lift, row);
    if ((no_log_odds(row) && g_L == 0.0 && g_r == 0.0) || ignored(0)) return clear_row(to);
    double factor = from_log_odds(row, load(p.saved.rest, row), up);
    if (!only_log_odds()) {
      const double share = load(p.saved.top, row) == -kInf<double> ? 0.0 : exp_nonpositive(-up);
      factor += side_alpha(share, -up, g_L + (g_r == 0.0 ? 0.0 : g_r * p.prior.total), 0.0, 0.0);
    }
    const int shift = shift_for(factor);
    pull_straight_row(p.logits, from, C,
                      {reference(load(p.saved.top, row)), kLog2E, unshifted(factor, shift), shift,
                       p.upstream.prior_term != 0, p.prior.values ? g_r : g_r / double(C), p.prior.values},
                      p.out.logits, to);
    place.first_class = 0;
    place.classes = C;
    for (int64_t j = 0; j < p.target.k; ++j)
      if (uint64_t(labels(0)[j]) < uint64_t(C) && first_occurrence(labels(0), j))
        store_one(to + labels(0)[j], target_gradient(row, 0, j));
  }

  CE_INLINE void store_one(int64_t at, double value) const {
    switch (p.out.logits.dtype) {
      case Dtype::kFloat32: pointer<float>(p.out.logits.address)[at] = float(value); break;
      case Dtype::kFloat64: pointer<double>(p.out.logits.address)[at] = value; break;
      case Dtype::kBFloat16: pointer<BFloat16>(p.out.logits.address)[at] = narrow<BFloat16>(float(value)); break;
      case Dtype::kFloat16: pointer<Float16>(p.out.logits.address)[at] = narrow<Float16>(float(value)); break;
    }
  }

  CE_INLINE void pull_chunk() {
    const int depth = place.depth();
    const bool capped = p.transform.softcap != 0.0;
    read_chunk(p.logits, p.shape, place, Wide, -kInf<T>, u);
    apply_transform(p.transform, place, Wide, u, capped ? &slope : nullptr);
    const Ahead reads = ahead_of(p.logits, p.shape, place), writes = ahead_of(p.out.logits, p.shape, place);
    if (only_log_odds()) {
      for (int k = 0; k < depth; ++k) {
        reads.fetch(k);
        writes.fetch_to_write(k);
        for (int l = 0; l < kLanes; ++l)
          g.at[k][l] =
              off.alpha[l] * exp2_shifted((u.at[k][l] - off.base[l]) * rate[l], floor[l], magic[l]);
      }
    } else {
      if (has_set()) read_mask(p.target.mask, p.shape, place, other);
      if (has_set()) take_set_margins(p.transform, place, other, u);
      pull_exponentials();
      if (p.upstream.prior_term) pull_prior();
      if (has_dense()) pull_dense();
    }
    if (p.target.indices) pull_targets();
    if (any_dead) clear_dead(depth);
    if (p.out.scale) pull_scale();
    if (p.out.before_transform) return;
    if (p.transform.scale != 1.0 || p.transform.row_scale) {
      for (int k = 0; k < depth; ++k)
        for (int l = 0; l < kLanes; ++l) g.at[k][l] *= chain[l];
    }
    if (capped) {  // at a NaN the slope is NaN, and a row that counts for nothing has no gradient there either
      for (int k = 0; k < depth; ++k)
        for (int l = 0; l < kLanes; ++l) g.at[k][l] *= slope.at[k][l];
      if (any_dead) clear_dead(depth);
    }
  }

  CE_INLINE void clear_dead(int depth) {
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) g.at[k][l] = dead[Wide ? 0 : l] ? T(0) : g.at[k][l];
  }

  CE_INLINE void pull_exponentials() {
    const bool set = has_set(), with_entropy = p.upstream.entropy != 0;  // β is per unit of y = d/ln 2
    for (int k = 0; k < place.depth(); ++k) {
      alignas(64) T base[kLanes], alpha[kLanes], beta[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        const bool member = set && other.at[k][l] != T(0);
        base[l] = member ? on.base[l] : off.base[l];
        alpha[l] = member ? on.alpha[l] : off.alpha[l];
        beta[l] = member ? on.beta[l] : off.beta[l];
      }
      for (int l = 0; l < kLanes; ++l) {
        const T y = (u.at[k][l] - base[l]) * rate[l];
        const T e = exp2_shifted(y, floor[l], magic[l]);
        g.at[k][l] = with_entropy && e != T(0) ? e * (alpha[l] + beta[l] * y) : e * alpha[l];
      }
    }
  }

  CE_INLINE void pull_prior() {
    alignas(64) T line[kLanes];
    for (int l = 0; l < kLanes; ++l) line[l] = T(1.0 / double(p.shape.classes));
    for (int k = 0; k < place.depth(); ++k) {
      if (p.prior.values) class_line(pointer<const T>(p.prior.values), place, k, line);
      for (int l = 0; l < kLanes; ++l) g.at[k][l] -= prior_gain[l] * line[l];
    }
  }

  // A p_c − a_c; at the top, where p is near 1, as (A − a_c) − A (1 − p_c).
  CE_INLINE void pull_dense() {
    alignas(64) T weight[kLanes];
    for (int l = 0; l < kLanes; ++l) weight[l] = T(1);
    read_chunk(p.target.dense, p.shape, place, Wide, T(0), other);
    for (int k = 0; k < place.depth(); ++k) {
      if (p.target.class_weight) class_line(pointer<const T>(p.target.class_weight), place, k, weight);
      for (int l = 0; l < kLanes; ++l) {
        const T a = other.at[k][l] * weight[l];
        const T at_top = dense_gain[l] * ((dense_total[l] - a) - tie_miss[l]);
        const T elsewhere = dense_gain[l] * a;
        const bool tie = u.at[k][l] == off.base[l];
        const T taken = g.at[k][l] - elsewhere;
        g.at[k][l] = tie ? at_top + (g.at[k][l] - dense_share[l]) : taken;
      }
      if (p.out.dense.address) {
        for (int l = 0; l < kLanes; ++l) {
          const T depth = lift[l] - (u.at[k][l] - off.base[l]) * rate[l] / T(kLog2E);  // L − u
          const bool nothing = other.at[k][l] == T(0) && u.at[k][l] == -kInf<T>;
          other.at[k][l] = nothing || dead[Wide ? 0 : l] ? T(0) : dense_gain[l] * weight[l] * depth;
        }
      }
    }
    if (p.out.dense.address) write_chunk(other, p.shape, place, Wide, p.out.dense);
  }

  CE_INLINE void pull_targets() {
    if (only_log_odds() && !p.out.target && !p.out.scale) {
      for (int l = 0; l < place.rows; ++l) {
        const int64_t y = labels(l)[0];
        if (place.holds(y))
          g.at[place.depth_of(y)][place.lane_of(y, l)] = T(-load(p.upstream.log_odds, place.row + l));
      }
      return;
    }
    for (int l = 0; l < place.rows; ++l) {
      const int64_t row = place.row + l;
      for (int64_t j = 0; j < p.target.k; ++j) {
        const int64_t y = labels(l)[j];
        if (!place.holds(y)) continue;
        const int k = place.depth_of(y), lane = place.lane_of(y, l);
        if (first_occurrence(labels(l), j)) {
          g.at[k][lane] = T(target_gradient(row, l, j));
          u.at[k][lane] = T(double(u.at[k][lane]) - margin_of(p.transform, row, y));
        }
        if (p.out.target)
          pointer<double>(p.out.target)[row * p.target.k + j] =
              first_occurrence(labels(l), j) && !dead[l] ? double(g.at[k][lane]) : 0.0;
      }
    }
  }

  // ∂u at the j-th target, the first of its class.
  CE_INLINE double target_gradient(int64_t row, int l, int64_t j) const {
    const int64_t k = p.target.k;
    const double g_D = load(p.upstream.log_odds, row * k + j);
    if (only_log_odds()) return -g_D;
    const double g_L = load(p.upstream.log_partition, row), g_r = load(p.upstream.prior_term, row);
    const double g_H = load(p.upstream.entropy, row), H = load(p.saved.entropy, row);
    const double up = load(p.saved.lift, row);
    double miss_log, probability;
    softplus_and_sigmoid(-load(p.saved.log_odds, row * k + j), miss_log, probability);
    const double log_probability = -softplus(load(p.saved.log_odds, row * k + j));
    double gradient = probability * g_L;
    if (g_r != 0.0) gradient += g_r * (probability * p.prior.total - prior_at(labels(l)[j]));
    if (g_H != 0.0 && probability != 0.0) gradient -= g_H * probability * (log_probability + H);
    for (int64_t i = 0; i < k; ++i) {
      if (labels(l)[i] == labels(l)[j])
        gradient -= load(p.upstream.log_odds, row * k + i);
      else
        gradient += on_others(row, i, up + log_probability, up);
    }
    return gradient;
  }

  // d/d(scale) = Σ_c ∂u_c v_c with u = scale·v + bias. The ∂u of a row sum to g_L, so v is taken off the base.
  CE_INLINE void pull_scale() {
    alignas(64) T line[kLanes];
    for (int l = 0; l < kLanes; ++l) line[l] = T(0);
    for (int k = 0; k < place.depth(); ++k) {
      if (p.transform.bias) class_line(pointer<const T>(p.transform.bias), place, k, line);
      for (int l = 0; l < kLanes; ++l) {
        const double origin = p.transform.bias ? 0.0 : double(off.base[l]);
        const double v = p.transform.bias ? double(u.at[k][l] - line[l]) / double(chain_scale(l)) : double(u.at[k][l]);
        const double own = double(g.at[k][l]);
        const bool nothing = own == 0.0 || u.at[k][l] == -kInf<T>;  // −∞ is masked, or padding
        scale_sum[l] += nothing ? 0.0 : own * (v - origin);
      }
    }
    if (p.transform.bias || place.first_class != 0) return;
    for (int l = 0; l < (Wide ? 1 : kLanes); ++l) {
      const int64_t row = place.row + (l < place.rows ? l : 0);
      if (!dead[l]) scale_sum[l] += double(off.base[l]) * load(p.upstream.log_partition, row);
    }
  }
  CE_INLINE double chain_scale(int l) const {
    return row_scale(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
  }
};

#define CE_KERNEL(name, T, wide)                                          \
  CE_CLONES void name(const Problem& problem, int64_t begin, int64_t end) { \
    RowPullback<T, wide>(problem).run(begin, end);                         \
  }
CE_KERNEL(wide_float, float, true)
CE_KERNEL(wide_double, double, true)
CE_KERNEL(tile_float, float, false)
CE_KERNEL(tile_double, double, false)
#undef CE_KERNEL

}  // namespace

void row_pullback(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                  const Prior& prior, const Statistics& saved, const Cotangents& upstream, const Gradients& out,
                  int threads) {
  const Problem problem{logits, shape, transform, target, prior, saved, upstream, out};
  const bool wide = use_wide(logits, shape), is_double = logits.dtype == Dtype::kFloat64;
  const auto kernel = wide ? (is_double ? wide_double : wide_float) : (is_double ? tile_double : tile_float);
  const bool only_log_odds = upstream.log_odds && !upstream.log_partition && !upstream.prior_term &&
                             !upstream.entropy && !out.scale &&
                             !out.target && !out.before_transform && out.logits.dtype == logits.dtype;
  const bool few = only_log_odds && has_few_classes(logits, shape, transform, target);
  parallel_blocks(shape.rows(), block_of_rows(shape, wide, threads), threads, [&](int64_t begin, int64_t end) {
    if (few)
      few_classes_pullback(logits, shape, transform, target, saved, upstream.log_odds, out.logits, begin, end);
    else
      kernel(problem, begin, end);
  });
}

}  // namespace ce
