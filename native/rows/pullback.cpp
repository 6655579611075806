// The backward row kernel: one read of the logits, one write of their gradient.
//
//   ∂u_c = e_c (α + β d_c) − g_r r_c − g_a a_c     d_c = u_c − top,  e_c = e^{d_c} ≤ 1,  p_c = e_c π
//   α = g_D/(1 + rest) + π (g_L + g_r R + g_a A − g_H (ln π + H))        β = −π g_H
//
// with every number but the exponential computed once per row in double. Targets are written over that.
#include "rows/few_classes.hpp"
#include "common/parallel.hpp"
#include "rows/pullback_factors.hpp"
#include "rows/contiguous.hpp"

namespace ce {
namespace {

template <class T, bool Wide>
class RowPullback {
 public:
  explicit CE_INLINE RowPullback(const PullbackProblem& problem) : p(problem), factors(problem) {}

  CE_INLINE void run(int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row += kLanes) {
      const int rows = int(std::min<int64_t>(kLanes, end - row));
      compute_factors(factors, row, rows);
      for (int64_t at = row * p.target.k; p.out.target && at < (row + rows) * p.target.k; ++at)
        pointer<double>(p.out.target)[at] = 0.0;  // of an ignored row no label will be met
      if (is_contiguous()) pullback_contiguous(row, rows);
      for (int l = 0; !is_contiguous() && l < (Wide ? rows : 1); ++l) {
        first = l;
        place.row = row + l;
        place.rows = Wide ? 1 : rows;
        write_rows();
      }
    }
  }

 private:
  // What a group of classes needs to turn e^d into a gradient.
  struct Group {
    alignas(64) T base[kLanes], alpha[kLanes], beta[kLanes];
  };

  const PullbackProblem& p;
  RowFactors<> factors;
  int first;  // which of the rows computed together is the first, or with wide chunks the one that is written
  Place<Wide> place;
  Group off, on;  // on: label sets only
  Chunk<T> u, g, slope, other;
  alignas(64) T rate[kLanes], chain[kLanes], prior_gain[kLanes], floor[kLanes], magic[kLanes];
  alignas(64) T dense_gain[kLanes], dense_total[kLanes], dense_share[kLanes], tie_miss[kLanes], L_above_top[kLanes];
  alignas(64) double scale_sum[kLanes];
  Anchors<T> anchors;  // that of a row is of the largest u off target or on its set
  bool anchored;
  // How far from the top a u may be to be taken for it: with an anchor it may have been rounded otherwise.
  alignas(64) T near_top[kLanes];

  CE_INLINE bool has_set() const { return p.target.mask.address != 0; }
  CE_INLINE bool has_dense() const { return p.target.dense.address != 0; }
  CE_INLINE const int64_t* labels(int l) const { return factors.labels.of(first + l); }
  CE_INLINE bool excluded(int l) const { return factors.excluded[Wide ? first : l]; }

  CE_INLINE void write_rows() {
    load_factors();
    for (int64_t c = 0; c < p.shape.classes; c += place.kClasses) {
      place.first_class = c;
      place.classes = std::min<int64_t>(place.kClasses, p.shape.classes - c);
      if (Wide && excluded(0))
        clear();
      else
        compute_chunk();
      write_chunk(g, p.shape, place, Wide, p.out.logits);
    }
    if (p.out.scale)
      for (int l = 0; l < place.rows; ++l)
        pointer<double>(p.out.scale)[place.row + l] = Wide ? sum_lanes(scale_sum) : scale_sum[l];
  }

  // A lane for every row, or with wide chunks one row's numbers in every lane.
  CE_INLINE void load_factors() {
    const RowFactors<>& f = factors;
    anchored = (p.transform.bias || p.transform.has_margin()) && find_anchors();
    for (int l = 0; l < kLanes; ++l) {
      const int64_t row = place.row + (Wide || l >= place.rows ? 0 : l);
      const int from = Wide ? first : l;
      rate[l] = T(pending_scale(p.transform, row) * kLog2E);
      chain[l] = p.out.before_transform ? T(1) : T(row_scale(p.transform, row));
      const Exp2Shift<T> range{T(f.shift[from])};
      floor[l] = range.floor;
      magic[l] = range.magic;
      off.base[l] = T(f.off.base[from]);
      off.alpha[l] = T(f.off.alpha[from]);
      scale_sum[l] = 0.0;
      near_top[l] = T(0);
    }
    for (int l = 0; anchored && l < kLanes; ++l) {
      off.base[l] = T(f.off.base[Wide ? first : l] - anchors.offset[l]);
      near_top[l] = anchors.of_logits[l] == T(0) ? T(0) : T(0x1p-10);
    }
    if (p.only_log_odds()) return;
    for (int l = 0; l < kLanes; ++l) {
      const int from = Wide ? first : l;
      off.beta[l] = T(f.off.beta[from]);
      on.base[l] = T(anchored ? f.on.base[from] - anchors.offset[l] : f.on.base[from]);
      on.alpha[l] = T(f.on.alpha[from]);
      on.beta[l] = T(f.on.beta[from]);
      prior_gain[l] = T(f.prior_gain[from]);
      dense_gain[l] = T(f.dense_gain[from]);
      dense_total[l] = T(f.dense_total[from]);
      dense_share[l] = T(f.dense_share[from]);
      tie_miss[l] = T(f.tie_miss[from]);
      L_above_top[l] = T(f.L_above_top[from]);
    }
  }

  CE_INLINE bool find_anchors() {
    bool some = false;
    for (int l = 0; l < kLanes; ++l) {
      const int from = Wide ? first : l;
      const double unit = unit_of(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
      const double largest = has_set() ? std::max(factors.off.base[from], factors.on.base[from]) : factors.off.base[from];
      anchors.of_logits[l] = anchor_of<T>(largest, unit);
      anchors.offset[l] = unit * double(anchors.of_logits[l]);
      some |= anchors.of_logits[l] != T(0);
    }
    return some;
  }

  // A wide row that counts for nothing.
  CE_INLINE void clear() {
    for (int k = 0; k < place.depth(); ++k)
      for (int l = 0; l < kLanes; ++l) g.at[k][l] = T(0);
    if (p.out.dense.address) write_chunk(g, p.shape, place, Wide, p.out.dense);
  }

  // Whether rows go from the logits to their gradient with nothing in between.
  CE_INLINE bool is_contiguous() const {
    if (!Wide || p.upstream.entropy || p.out.logits.dtype != p.logits.dtype || p.out.logits.class_stride != 1 ||
        !has_one_beside(p.transform, has_set(), p.upstream.prior_term != 0) || p.out.scale || p.out.target ||
        p.out.before_transform)
      return false;
    if (has_set())
      return p.target.mask.class_stride == 1 && !p.upstream.prior_term && !p.transform.has_margin();
    return p.target.indices != 0;
  }

  CE_INLINE void pullback_contiguous(int64_t row, int rows) {
    const RowFactors<>& f = factors;
    const View& mask = p.target.mask;
    const double shared = p.prior.values ? 1.0 : double(p.shape.classes);
    ContiguousGradient gradients[kLanes];
    int n = 0;
    for (int l = 0; l < rows; ++l) {
      const int64_t to = row_offset(p.out.logits, p.shape, row + l), size = size_of(p.out.logits.dtype);
      if (f.excluded[l]) {
        std::memset(pointer<char>(p.out.logits.address) + to * size, 0, size_t(p.shape.classes * size));
        continue;
      }
      const double chain = row_scale(p.transform, row + l);
      gradients[n++] = {row_offset(p.logits, p.shape, row + l),
                        to,
                        {f.off.base[l], f.on.base[l]},
                        {f.off.alpha[l] * chain, f.on.alpha[l] * chain},
                        f.scale[l],
                        chain,
                        f.shift[l],
                        p.upstream.prior_term ? f.prior_gain[l] / shared * chain : 0.0,
                        has_set() ? pointer<const uint8_t>(mask.address) + row_offset(mask, p.shape, row + l) : nullptr};
    }
    const Beside beside = beside_of(p.transform, has_set(), p.upstream.prior_term != 0, p.prior.values);
    const uintptr_t values = p.transform.bias ? p.transform.bias : p.prior.values;
    pullback_contiguous_rows({p.logits, p.shape.classes, beside, 0, values, nullptr}, gradients, n, p.out.logits);
    for (int l = 0; p.target.indices && l < rows; ++l)
      for (int64_t j = 0; !f.excluded[l] && j < p.target.k; ++j)
        if (f.labels.is_target(l, j) && first_occurrence(f.labels.of(l), j))
          store_one(row_offset(p.out.logits, p.shape, row + l) + f.labels.of(l)[j],
                    f.at_target(l, j) * row_scale(p.transform, row + l));
  }

  CE_INLINE void store_one(int64_t at, double value) const {
    with_floating(p.out.logits.dtype, [&](auto stored) __attribute__((always_inline)) {
      pointer<decltype(stored)>(p.out.logits.address)[at] = narrow<decltype(stored)>(T(value));
    });
  }

  CE_INLINE void compute_chunk() {
    const int depth = place.depth();
    const bool capped = p.transform.softcap != 0.0;
    read_chunk(p.logits, p.shape, place, Wide, -kInf<T>, u);
    apply_transform(p.transform, place, Wide, u, capped ? &slope : nullptr, anchored ? &anchors : nullptr);
    const Ahead reads = ahead_of(p.logits, p.shape, place), writes = ahead_of(p.out.logits, p.shape, place);
    if (p.only_log_odds()) {
      for (int k = 0; k < depth; ++k) {
        reads.fetch(k);
        writes.fetch_to_write(k);
        for (int l = 0; l < kLanes; ++l)
          g.at[k][l] =
              off.alpha[l] * exp2_shifted((u.at[k][l] - off.base[l]) * rate[l], floor[l], magic[l]);
      }
    } else {
      if (has_set()) read_mask(p.target.mask, p.shape, place, other);
      if (has_set()) subtract_set_margins(p.transform, place, other, u);
      compute_exponentials();
      if (p.upstream.prior_term) subtract_prior();
      if (has_dense()) subtract_dense();
    }
    if (p.target.indices) write_targets();
    if (factors.any_excluded) clear_excluded(depth);
    if (p.out.scale) add_scale_gradient();
    if (p.out.before_transform) return;
    if (p.transform.scale != 1.0 || p.transform.temperatures) {
      for (int k = 0; k < depth; ++k)
        for (int l = 0; l < kLanes; ++l) g.at[k][l] *= chain[l];
    }
    if (capped) {  // at a NaN the slope is NaN, and a row that counts for nothing has no gradient there either
      for (int k = 0; k < depth; ++k)
        for (int l = 0; l < kLanes; ++l) g.at[k][l] *= slope.at[k][l];
      if (factors.any_excluded) clear_excluded(depth);
    }
  }

  CE_INLINE void clear_excluded(int depth) {
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) g.at[k][l] = excluded(l) ? T(0) : g.at[k][l];
  }

  CE_INLINE void compute_exponentials() {
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

  CE_INLINE void subtract_prior() {
    alignas(64) T line[kLanes];
    for (int l = 0; l < kLanes; ++l) line[l] = T(1.0 / double(p.shape.classes));
    for (int k = 0; k < place.depth(); ++k) {
      if (p.prior.values) class_line(pointer<const T>(p.prior.values), place, k, line);
      for (int l = 0; l < kLanes; ++l) g.at[k][l] -= prior_gain[l] * line[l];
    }
  }

  // A p_c − a_c; at the top, where p is near 1, as (A − a_c) − A (1 − p_c).
  CE_INLINE void subtract_dense() {
    alignas(64) T weight[kLanes];
    for (int l = 0; l < kLanes; ++l) weight[l] = T(1);
    read_chunk(p.target.dense, p.shape, place, Wide, T(0), other);
    for (int k = 0; k < place.depth(); ++k) {
      if (p.target.class_weight) class_line(pointer<const T>(p.target.class_weight), place, k, weight);
      for (int l = 0; l < kLanes; ++l) {
        const T a = other.at[k][l] * weight[l];
        const T at_top = dense_gain[l] * ((dense_total[l] - a) - tie_miss[l]);
        const T elsewhere = dense_gain[l] * a;
        const bool tie = std::abs(u.at[k][l] - off.base[l]) <= near_top[l];
        const T taken = g.at[k][l] - elsewhere;
        g.at[k][l] = tie ? at_top + (g.at[k][l] - dense_share[l]) : taken;
      }
      if (p.out.dense.address) {
        for (int l = 0; l < kLanes; ++l) {
          const T depth = L_above_top[l] - (u.at[k][l] - off.base[l]) * rate[l] / T(kLog2E);  // L − u
          const T factor = dense_gain[l] * weight[l];  // where it is 0, the depth may be ∞
          const bool nothing = factor == T(0) || (other.at[k][l] == T(0) && u.at[k][l] == -kInf<T>);
          other.at[k][l] = nothing || excluded(l) ? T(0) : factor * depth;
        }
      }
    }
    if (p.out.dense.address) write_chunk(other, p.shape, place, Wide, p.out.dense);
  }

  CE_INLINE void write_targets() {
    for (int l = 0; l < place.rows; ++l) {
      const int64_t row = place.row + l;
      for (int64_t j = 0; j < p.target.k; ++j) {
        const int64_t y = labels(l)[j];
        if (!place.holds(y)) continue;
        const int k = place.depth_of(y), lane = place.lane_of(y, l);
        if (first_occurrence(labels(l), j)) {
          g.at[k][lane] = T(factors.at_target(first + l, j));
          u.at[k][lane] = T(double(u.at[k][lane]) - margin_of(p.transform, row, y));
        }
        if (p.out.target)
          pointer<double>(p.out.target)[row * p.target.k + j] =
              first_occurrence(labels(l), j) && !excluded(l) ? double(g.at[k][lane]) : 0.0;
      }
    }
  }

  // d/d(scale) = Σ_c ∂u_c v_c with u = scale·v + bias. The ∂u of a row sum to g_L, so v is taken off the base, or with a
  // bias off the anchor.
  CE_INLINE void add_scale_gradient() {
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
    if (place.first_class != 0) return;
    for (int l = 0; l < (Wide ? 1 : kLanes); ++l) {
      const int64_t row = place.row + (l < place.rows ? l : 0);
      if (!excluded(l) && p.upstream.log_partition)
        scale_sum[l] += origin_of(l) * pointer<const double>(p.upstream.log_partition)[row];
    }
  }
  // What is taken off the logits there.
  CE_INLINE double origin_of(int l) const {
    const double anchor = anchored ? double(anchors.of_logits[l]) : 0.0;
    return p.transform.bias ? anchor : double(off.base[l]) + anchor;
  }
  CE_INLINE double chain_scale(int l) const {
    return row_scale(p.transform, place.row + (Wide || l >= place.rows ? 0 : l));
  }
};

#define CE_KERNEL(name, T, wide)                                          \
  CE_CLONES void name(const PullbackProblem& problem, int64_t begin, int64_t end) { \
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
  const PullbackProblem problem{logits, shape, transform, target, prior, saved, upstream, out};
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
