#include "classes/curvature.hpp"

#include <vector>

#include "classes/softmax_row.hpp"
#include "common/parallel.hpp"
#include "rows/chunk.hpp"

namespace ce {
namespace {

// A number for each of the statistics of a row.
struct OfStatistics {
  double log_odds = 0.0, log_partition = 0.0, prior_term = 0.0, entropy = 0.0;
};

CE_INLINE double read(uintptr_t plane, int64_t row) { return plane ? pointer<const double>(plane)[row] : 0.0; }
CE_INLINE OfStatistics read(const Cotangents& of, int64_t row) {
  return {read(of.log_odds, row), read(of.log_partition, row), read(of.prior_term, row), read(of.entropy, row)};
}
CE_INLINE void write(uintptr_t plane, int64_t row, double x) {
  if (plane) pointer<double>(plane)[row] = x;
}
CE_INLINE void write(const Cotangents& to, int64_t row, const OfStatistics& x) {
  write(to.log_odds, row, x.log_odds);
  write(to.log_partition, row, x.log_partition);
  write(to.prior_term, row, x.prior_term);
  write(to.entropy, row, x.entropy);
}

// Turns the logits of a row and its direction v into the sum above, in place of u, and tells the tangents. The label
// stands aside as the top does, so that no loop has a class that only one of π and p is of. `label` is −1 of none.
template <class T>
class Bend {
 public:
  CE_INLINE Bend(T* u, T* e, T* v, int64_t width, int64_t place, int64_t label, double scale)
      : s(u, e, width, place, scale), u(u), e(e), v(v), top(place), y(label < 0 || label == place ? -1 : label),
        on_top(label == place), v_top(double(v[place])), v_y(y < 0 ? 0.0 : double(v[y])) {
    if (y >= 0) {
      e_y = double(e[y]) * kUnshift;
      u_y = double(u[y]);
      e[y] = T(0);
    }
    const double ev = sum_row<T>(width, [=](int64_t c) __attribute__((always_inline)) { return e[c] * v[c]; }) * kUnshift;
    others = s.rest - e_y;
    const double lead = v_top * s.rest - (ev + e_y * v_y);  // (v − p · v)/p of the top
    by_top = lead * s.inverse;
    mean = v_top - by_top;
    const double sum = on_top ? others : 1.0 + others;
    to_pi = sum > 0.0 ? 1.0 / sum : 0.0;
    mean_of_others = (ev + (on_top ? 0.0 : v_top)) * to_pi;
    by_top_of_others = on_top ? 0.0 : (v_top * others - ev) * to_pi;
  }

  // ū = Σ p u, to which log p + H is u − ū; and dH.
  CE_INLINE void add_entropy() {
    const T* const u = this->u;
    const T *const e = this->e, *const v = this->v;
    const auto times_u = [=](int64_t c) __attribute__((always_inline)) { return e[c] == T(0) ? T(0) : e[c] * u[c]; };
    const double own = e_y == 0.0 ? 0.0 : e_y * u_y;
    const double eu = sum_row<T>(s.width, times_u) * kUnshift + own;
    const double euv = sum_row<T>(s.width, [=](int64_t c) __attribute__((always_inline)) {
                         return times_u(c) * v[c];
                       }) * kUnshift + own * v_y;
    mean_u = eu * s.inverse;
    of_entropy = mean * mean_u - euv * s.inverse;
  }

  // p · v and the like.
  CE_INLINE OfStatistics tangents(double prior_total, double prior_v) const {
    const double v_label = on_top ? v_top : v_y;
    return {mean_of_others - v_label, mean, prior_total * mean - prior_v, of_entropy};
  }

  template <bool kEntropy, class Ahead>
  CE_INLINE void fill(const OfStatistics& g, double prior_total, const Ahead& ahead) const {
    const double of_D = g.log_odds * to_pi, of_p = (g.log_partition + prior_total * g.prior_term - g.entropy) * s.inverse;
    const double of_H = g.entropy * s.inverse;
    const T to_D = T(of_D * kUnshift), to_p = T(of_p * kUnshift), to_H = T(of_H * kUnshift);
    const T m = T(mean), m_D = T(mean_of_others), m_u = T(mean_u), dH = T(of_entropy);
    T* const u = this->u;
    const T *const e = this->e, *const v = this->v;
    for (int64_t c = 0; c < s.width; c += kRowLanes) {
      ahead(c);
      for (int l = 0; l < kRowLanes; ++l) {
        const T w = v[c + l] - m;
        T x = to_D * (v[c + l] - m_D) + to_p * w;
        if (kEntropy) x -= to_H * (w * (u[c + l] - m_u) + dH);
        u[c + l] = kEntropy && e[c + l] == T(0) ? T(0) : e[c + l] * x;
      }
    }
    u[top] = T(of_D * by_top_of_others + of_p * by_top - of_H * (by_top * -mean_u + of_entropy));
    if (y < 0) return;
    const double w = v_y - mean;
    u[y] = e_y == 0.0 ? T(0) : T(e_y * (of_p * w - of_H * (w * (u_y - mean_u) + of_entropy)));
  }

 private:
  static constexpr double kUnshift = 0x1p-64;
  const SoftmaxRow<T> s;
  T *const u, *const e, *const v;
  const int64_t top, y;  // y of a label that is not the top, else −1
  const bool on_top;
  const double v_top, v_y;
  double e_y = 0.0, u_y = 0.0, others;      // Σ e over all classes but the top and the label
  double mean, by_top;                      // p · v and v − p · v of the top
  double to_pi, mean_of_others, by_top_of_others;  // likewise of π
  double mean_u = 0.0, of_entropy = 0.0;
};

// What is added to logits near 10⁵ keeps its digits beside them near 0: see Anchors. Here nothing depends on a number
// that all u of a row have in them.
template <class T>
CE_INLINE void take_off_anchor(T* z, int64_t classes, double scale, const T* bias) {
  T high = -kInf<T>;
  for (int64_t c = 0; c < classes; ++c) {
    const T u = T(scale) * z[c] + (bias ? bias[c] : T(0));
    high = u > high ? u : high;
  }
  const T anchor = anchor_of<T>(double(high), scale);
  for (int64_t c = 0; c < classes; ++c) z[c] -= anchor;
}

template <class T>
struct Vectors {
  const T* bias;
  const double* margins;
  std::vector<T> prior;  // in whole lines; none of a uniform one
};

template <class T>
CE_CLONES void bend_rows(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                         const Prior& prior, const Vectors<T>& vectors, const Cotangents& upstream,
                         const View& direction, const View& out, const Cotangents& tangents, int64_t begin, int64_t end) {
  const Tile tile(logits, shape);
  const AlignedArray<T> numbers(tile.width * (2 * tile.rows + 1));
  T *const u = numbers.data(), *const v = u + tile.rows * tile.width, *const e = v + tile.rows * tile.width;
  const auto* labels = pointer<const int64_t>(target.indices);
  const bool with_prior = prior.present && tangents.prior_term, with_entropy = upstream.entropy || tangents.entropy;
  const double total = prior.present ? prior.total : 0.0;
  for (int64_t row = begin; row < end; row += tile.rows) {
    const int64_t n = std::min(tile.rows, end - row);
    tile.load(logits, shape, row, n, -kInf<T>, u);
    tile.load(direction, shape, row, n, T(0), v);
    AheadOfUse<false> next_u, next_v;
    if (tile.rows == 1) {
      next_u = {logits, shape, row + 1};
      next_v = {direction, shape, row + 1};
    }
    const auto ahead = [&](int64_t c) __attribute__((always_inline)) {
      next_u(c);
      next_v(c);
    };
    for (int64_t r = 0; r < n; ++r) {
      T *const own = u + r * tile.width, *const along = v + r * tile.width;
      const OfStatistics g = read(upstream, row + r);
      const bool idle = g.log_odds == 0.0 && g.log_partition == 0.0 && g.prior_term == 0.0 && g.entropy == 0.0;
      const int64_t label = labels ? labels[row + r] : -1;
      const bool ignored = labels && target.has_ignore && label == target.ignore_index;
      const bool known = !labels || uint64_t(label) < uint64_t(tile.classes);
      double scale = transform.temperatures ? pointer<const double>(transform.temperatures)[row + r] : transform.scale;
      const double slope = scale;
      const double margin = !labels || !known ? 0.0 : vectors.margins ? vectors.margins[label] : transform.margin;
      if (vectors.bias || margin != 0.0) take_off_anchor(own, tile.classes, scale, vectors.bias);
      if (margin != 0.0) own[label] = T(double(own[label]) - margin);
      if (vectors.bias) {
        for (int64_t c = 0; c < tile.classes; ++c) own[c] = T(scale) * own[c] + vectors.bias[c];
        scale = 1.0;
      }
      const int64_t place = ignored || !known ? -1 : find_top(own, tile.width);
      if (place < 0 || (idle && has_nan(own, tile.width))) {
        const double x = ignored || idle ? 0.0 : kNaN;
        for (int64_t c = 0; c < tile.classes; ++c) own[c] = T(x);
        write(tangents, row + r, {x, x, x, x});
        continue;
      }
      double prior_v = 0.0;
      if (with_prior && vectors.prior.empty()) {
        prior_v = sum_row<T>(tile.width, [=](int64_t c) __attribute__((always_inline)) { return along[c]; }) /
                  double(tile.classes);
      } else if (with_prior) {
        const T* const weights = vectors.prior.data();
        prior_v =
            sum_row<T>(tile.width, [=](int64_t c) __attribute__((always_inline)) { return weights[c] * along[c]; });
      }
      Bend<T> bend(own, e, along, tile.width, place, label, scale);
      if (with_entropy) bend.add_entropy();
      const OfStatistics t = bend.tangents(total, prior_v);
      write(tangents, row + r, {slope * t.log_odds, slope * t.log_partition, slope * t.prior_term, slope * t.entropy});
      const double square = slope * slope;
      const OfStatistics by{square * g.log_odds, square * g.log_partition, square * g.prior_term, square * g.entropy};
      if (with_entropy) {
        bend.template fill<true>(by, total, ahead);
      } else {
        bend.template fill<false>(by, total, ahead);
      }
    }
    tile.store(u, out, shape, row, n);
  }
}

template <class T>
Vectors<T> vectors_of(const Shape& shape, const Transform& transform, const Prior& prior) {
  Vectors<T> found{pointer<const T>(transform.bias), pointer<const double>(transform.class_margin), {}};
  if (!prior.present || !prior.values) return found;
  found.prior.assign(pointer<const T>(prior.values), pointer<const T>(prior.values) + shape.classes);
  found.prior.resize(size_t((shape.classes + kRowLanes - 1) / kRowLanes * kRowLanes));
  return found;
}

template <class T>
void bend_all_rows(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                   const Prior& prior, const Cotangents& upstream, const View& direction, const View& out,
                   const Cotangents& tangents, int threads) {
  const Vectors<T> vectors = vectors_of<T>(shape, transform, prior);
  parallel_blocks(shape.rows(), rows_with(32768, shape.classes), threads, [&](int64_t begin, int64_t end) {
    bend_rows<T>(logits, shape, transform, target, prior, vectors, upstream, direction, out, tangents, begin, end);
  });
}

}  // namespace

void row_curvature(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                   const Prior& prior, const Cotangents& upstream, const View& direction, const View& out,
                   const Cotangents& tangents, int threads) {
  const auto work = logits.dtype == Dtype::kFloat64 ? bend_all_rows<double> : bend_all_rows<float>;
  work(logits, shape, transform, target, prior, upstream, direction, out, tangents, threads);
}

}  // namespace ce
