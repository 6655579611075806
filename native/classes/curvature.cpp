#include "classes/curvature.hpp"

#include "classes/softmax_row.hpp"
#include "common/parallel.hpp"

namespace ce {
namespace {

// Turns u and v into the product, in place of u. Of the top v − p · v is v rest/(1 + rest) − Σ_{c≠top} p v.
template <class T>
CE_INLINE void bend(T* u, T* e, T* v, int64_t width, int64_t top, double scale, double factor,
                    const AheadOfUse<false>& next_u, const AheadOfUse<false>& next_v) {
  const SoftmaxRow<T> s(u, e, width, top, scale);
  const double v_top = double(v[top]);
  v[top] = T(0);
  const T to_p = s.to_p;
  const double others = sum_row<T>(width, [=](int64_t c) __attribute__((always_inline)) { return e[c] * to_p * v[c]; });
  const T mean = T(others + s.inverse * v_top), f = T(factor);
  for (int64_t c = 0; c < width; c += kRowLanes) {
    next_u(c);
    next_v(c);
    for (int l = 0; l < kRowLanes; ++l) u[c + l] = f * (e[c + l] * to_p) * (v[c + l] - mean);
  }
  u[top] = T(factor * s.inverse * (v_top * (s.rest * s.inverse) - others));
}

// scale·z + bias in place, but for a number that is the same for all: see Anchors.
template <class T>
CE_INLINE void add_bias(const CurvatureRows& in, T* z, int64_t classes) {
  const T scale = T(in.scale);
  T high = -kInf<T>;
  for (int64_t c = 0; c < classes; ++c) {
    const T u = scale * z[c] + T(in.bias[c]);
    high = u > high ? u : high;
  }
  const T anchor = anchor_of<T>(double(high), in.scale);
  for (int64_t c = 0; c < classes; ++c) z[c] = scale * (z[c] - anchor) + T(in.bias[c]);
}

template <class T>
CE_CLONES void bend_rows(const CurvatureRows& in, const double* factors, const View& direction, const View& out,
                         int64_t begin, int64_t end) {
  const Tile tile(in.logits, in.shape);
  const AlignedArray<T> numbers(tile.width * (2 * tile.rows + 1));
  T *const u = numbers.data(), *const v = u + tile.rows * tile.width, *const e = v + tile.rows * tile.width;
  for (int64_t row = begin; row < end; row += tile.rows) {
    const int64_t n = std::min(tile.rows, end - row);
    tile.load(in.logits, in.shape, row, n, -kInf<T>, u);
    tile.load(direction, in.shape, row, n, T(0), v);
    AheadOfUse<false> next_u, next_v;
    if (tile.rows == 1) {
      next_u = {in.logits, in.shape, row + 1};
      next_v = {direction, in.shape, row + 1};
    }
    for (int64_t r = 0; r < n; ++r) {
      T* const own = u + r * tile.width;
      const double factor = factors[row + r];
      if (in.bias) add_bias(in, own, tile.classes);
      const int64_t top = factor == 0.0 ? -1 : find_top(own, tile.width);
      if (top < 0) {
        for (int64_t c = 0; c < tile.classes; ++c) own[c] = factor == 0.0 ? T(0) : T(kNaN);
      } else {
        bend(own, e, v + r * tile.width, tile.width, top, in.bias ? 1.0 : in.scale, factor, next_u, next_v);
      }
    }
    tile.store(u, out, in.shape, row, n);
  }
}

}  // namespace

void curvature_rows(const CurvatureRows& in, const double* factors, const View& direction, const View& out,
                    int threads) {
  parallel_blocks(in.shape.rows(), rows_with(32768, in.shape.classes), threads, [&](int64_t begin, int64_t end) {
    if (in.logits.dtype == Dtype::kFloat64) {
      bend_rows<double>(in, factors, direction, out, begin, end);
    } else {
      bend_rows<float>(in, factors, direction, out, begin, end);
    }
  });
}

}  // namespace ce
