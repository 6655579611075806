#include "rows/few_classes.hpp"

#include <type_traits>

#include "rows/pullback_factors.hpp"
#include "rows/statistics_finish.hpp"

namespace ce {
namespace {

constexpr int kGroup = 32;  // lanes that stay in registers over the classes of their rows

// Calls body with the number of classes as a constant if there is a copy of the loop for it, else with -1: rows that lie
// one behind the other are read and written entry by entry, where counting classes would take longer than moving them.
template <class Body>
CE_INLINE void with_class_count(int64_t classes, const Body& body) {
  switch (classes) {
    case 2: return body(std::integral_constant<int, 2>());
    case 3: return body(std::integral_constant<int, 3>());
    case 4: return body(std::integral_constant<int, 4>());
    case 5: return body(std::integral_constant<int, 5>());
    case 8: return body(std::integral_constant<int, 8>());
    case 10: return body(std::integral_constant<int, 10>());
    default: return body(std::integral_constant<int, -1>());
  }
}

// A few tiles of rows, class by class: runs of a kilobyte are what memory reads and writes well. Lines are a little
// further apart than they are long, so that they do not crowd the same cache sets.
template <class T>
struct Panel {
  static constexpr int kRows = 4 * kLanes, kStride = kRows + 16;
  alignas(64) T at[kMaxFewClasses * kStride];
  int64_t row, rows, classes;

  // As many rows as lie side by side, from `from` on.
  CE_INLINE void place(const Shape& shape, int64_t from, int64_t end) {
    row = from;
    rows = std::min<int64_t>(kRows, end - from);
    if (shape.inner > 1) rows = std::min(rows, shape.inner - from % shape.inner);
    classes = shape.classes;
  }

  template <class Stored>
  CE_INLINE void read(const View& view, const Shape& shape) {
    const Stored* from = pointer<const Stored>(view.address) + row_offset(view, shape, row);
    const int64_t row_stride = shape.inner > 1 ? view.inner_stride : view.outer_stride;
    if (row_stride == 1) {
      for (int64_t c = 0; c < classes; ++c, from += view.class_stride)
        copy_run<kRows>(from, at + c * kStride, rows, WidenTo<T>());
    } else {
      with_class_count(view.class_stride == 1 ? classes : -1, [&](auto count) __attribute__((always_inline)) {
        const int64_t n = count > 0 ? int64_t(count) : classes, step = count > 0 ? 1 : view.class_stride;
        for (int64_t r = 0; r < rows; ++r, from += row_stride)
          for (int64_t c = 0; c < n; ++c) at[c * kStride + r] = T(widen(from[c * step]));
      });
    }
    for (int64_t c = 0; c < classes; ++c)
      for (int64_t r = rows; r % kLanes; ++r) at[c * kStride + r] = T(0);
  }

  // Where the panel to come stands in memory, `rows_in` rows on.
  CE_INLINE Ahead ahead_of(const View& view, const Shape& shape, int64_t rows_in, int64_t end) const {
    const int64_t next = row + kRows + rows_in;
    if (shape.inner == 1 || view.inner_stride != 1 || next + kGroup > end || next % shape.inner < kRows) return {};
    const int64_t size = size_of(view.dtype);
    return {pointer<const char>(view.address) + row_offset(view, shape, next) * size, view.class_stride * size,
            kGroup * size};
  }

  template <class Stored>
  CE_INLINE void write(const View& view, const Shape& shape) const {
    Stored* to = pointer<Stored>(view.address) + row_offset(view, shape, row);
    const int64_t row_stride = shape.inner > 1 ? view.inner_stride : view.outer_stride;
    if (row_stride == 1) {
      for (int64_t c = 0; c < classes; ++c, to += view.class_stride)
        copy_run<kRows>(at + c * kStride, to, rows, NarrowTo<Stored>());
    } else {
      with_class_count(view.class_stride == 1 ? classes : -1, [&](auto count) __attribute__((always_inline)) {
        const int64_t n = count > 0 ? int64_t(count) : classes, step = count > 0 ? 1 : view.class_stride;
        for (int64_t r = 0; r < rows; ++r, to += row_stride)
          for (int64_t c = 0; c < n; ++c) to[c * step] = narrow<Stored>(at[c * kStride + r]);
      });
    }
  }
};

// Numbers of 16 bits are converted apart from the arithmetic, which is that of float32: one copy of it serves all three.
template <class Body>
CE_INLINE void with_half(Dtype dtype, const Body& body) {
  if (dtype == Dtype::kBFloat16) return body(BFloat16());
  body(Float16());
}
CE_CLONES void read_halves(Panel<float>& panel, const View& view, const Shape& shape) {
  with_half(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    panel.read<decltype(stored)>(view, shape);
  });
}
CE_CLONES void write_halves(const Panel<float>& panel, const View& view, const Shape& shape) {
  with_half(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    panel.write<decltype(stored)>(view, shape);
  });
}

template <class T>
CE_INLINE void read_panel(Panel<T>& panel, const View& view, const Shape& shape) {
  if constexpr (std::is_same_v<T, float>)
    if (view.dtype != Dtype::kFloat32) return read_halves(panel, view, shape);
  panel.template read<T>(view, shape);
}
template <class T>
CE_INLINE void write_panel(const Panel<T>& panel, const View& view, const Shape& shape) {
  if constexpr (std::is_same_v<T, float>)
    if (view.dtype != Dtype::kFloat32) return write_halves(panel, view, shape);
  panel.template write<T>(view, shape);
}

// Where the labels stand in a panel; those outside the classes stand at class 0.
template <class T>
CE_INLINE void find_labels(const RowLabels& labels, int64_t classes, int32_t* at) {
  for (int l = 0; l < kLanes; ++l) at[l] = uint64_t(labels.label[l]) < uint64_t(classes) ? int32_t(labels.label[l]) : 0;
  for (int l = 0; l < kLanes; ++l) at[l] = at[l] * Panel<T>::kStride + l;
}

// top = max u and rest = Σ e^{scale·(u − top)} over the others, where terms equal to the top are counted rather
// than summed: the count less one is exact. With kKeep the terms are left in place of the u.
template <bool kKeep, class T>
CE_INLINE void sum_group(T* u, int64_t classes, const T* rate, const Ahead& ahead, double* top, double* rest) {
  const Exp2Shift<T> range(0);
  alignas(64) T high[kGroup], base[kGroup], pace[kGroup], sum[kGroup], ties[kGroup];
  std::memcpy(pace, rate, sizeof pace);
  for (int l = 0; l < kGroup; ++l) high[l] = -kInf<T>;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kGroup; ++l) {
      const T here = u[c * Panel<T>::kStride + l];
      high[l] = here > high[l] ? here : high[l];
    }
  for (int l = 0; l < kGroup; ++l) base[l] = finite_or_zero(high[l]);
  for (int l = 0; l < kGroup; ++l) sum[l] = ties[l] = T(0);
  for (int64_t c = 0; c < classes; ++c) {
    ahead.fetch(int(c));
    for (int l = 0; l < kGroup; ++l) {
      const T here = u[c * Panel<T>::kStride + l];
      const T e = exp2_shifted((here - base[l]) * pace[l], range.floor, range.magic);
      if (kKeep) u[c * Panel<T>::kStride + l] = e;
      const bool tie = here == high[l];
      sum[l] += tie ? T(0) : e;
      ties[l] += tie ? T(1) : T(0);
    }
  }
  for (int l = 0; l < kGroup; ++l) rest[l] = double(sum[l] + (high[l] == -kInf<T> ? T(0) : ties[l] - T(1)));
  for (int l = 0; l < kGroup; ++l) top[l] = double(high[l]);
}

// ∂D/∂u of the rows whose terms are left in `e`: e/(1 + rest) off target, and −1 at the label.
template <class T>
CE_INLINE void differentiate_log_odds(T* e, int64_t classes, const RowFinish<true>& finish, const int32_t* label) {
  alignas(64) T factor[kLanes], at_label[kLanes];
  const RowLabels& labels = finish.labels;
  for (int l = 0; l < kLanes; ++l) {
    const double rest = labels.invalid[l] ? kNaN : finish.rest[l];
    factor[l] = T(1.0 / (1.0 + rest));
    at_label[l] = rest == rest ? T(-1) : T(kNaN);
  }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kLanes; ++l) e[c * Panel<T>::kStride + l] *= factor[l];
  for (int l = 0; l < kLanes; ++l) e[label[l]] = at_label[l];
  for (int64_t c = 0; labels.any_excluded && c < classes; ++c)
    for (int l = 0; l < kLanes; ++l)
      e[c * Panel<T>::kStride + l] = labels.ignored[l] ? T(0) : e[c * Panel<T>::kStride + l];
}

template <class T, bool kGradient>
CE_INLINE int64_t statistics(const StatisticsProblem& p, const View& gradient, int64_t begin, int64_t end) {
  Panel<T> panel;
  RowFinish<true> finish(p);
  int64_t first_invalid = -1;
  for (int64_t from = begin; from < end; from += panel.rows) {
    panel.place(p.shape, from, end);
    read_panel(panel, p.logits, p.shape);
    for (int64_t at = 0; at < panel.rows; at += kLanes) {
      const int64_t row = from + at;
      const int rows = int(std::min<int64_t>(kLanes, panel.rows - at));
      alignas(64) T target[kLanes], rate[kLanes];
      alignas(64) int32_t label[kLanes];
      finish.begin(row, rows);
      find_labels<T>(finish.labels, panel.classes, label);
      for (int l = 0; l < kLanes; ++l) rate[l] = T(finish.scale[l] * kLog2E);
      T* const u = panel.at + at;
      for (int l = 0; l < kLanes; ++l) {
        T& target_u = u[label[l]];
        target[l] = target_u;
        target_u = -kInf<T>;
      }
      for (int l = 0; l < kLanes; ++l) finish.target[l] = double(target[l]);
      for (int l = 0; l < kLanes; l += kGroup)
        sum_group<kGradient>(u + l, panel.classes, rate + l,
                  panel.ahead_of(p.logits, p.shape, at + l, end), finish.off.top + l,
                  finish.off.rest + l);
      const int64_t invalid = finish.store_all();
      if (first_invalid < 0) first_invalid = invalid;
      if (kGradient) differentiate_log_odds(u, panel.classes, finish, label);
    }
    if (kGradient) write_panel(panel, gradient, p.shape);
  }
  return first_invalid;
}

// ∂u = α e^{u − top} off target.
template <class T>
CE_INLINE void pullback_group(T* u, int64_t classes, const T* base, const T* rate, const T* alpha, const T* floor,
                          const T* magic, const Ahead& ahead) {
  alignas(64) T origin[kGroup], pace[kGroup], factor[kGroup], least[kGroup], round[kGroup];
  std::memcpy(origin, base, sizeof origin);
  std::memcpy(pace, rate, sizeof pace);
  std::memcpy(factor, alpha, sizeof factor);
  std::memcpy(least, floor, sizeof least);
  std::memcpy(round, magic, sizeof round);
  for (int64_t c = 0; c < classes; ++c) {
    ahead.fetch(int(c));
#pragma GCC ivdep
    for (int l = 0; l < kGroup; ++l) {
      T& here = u[c * Panel<T>::kStride + l];
      here = factor[l] * exp2_shifted((here - origin[l]) * pace[l], least[l], round[l]);
    }
  }
}

template <class T>
CE_INLINE void pullback(const PullbackProblem& p, int64_t begin, int64_t end) {
  Panel<T> panel;
  RowFactors<true> factors(p);
  for (int64_t from = begin; from < end; from += panel.rows) {
    panel.place(p.shape, from, end);
    read_panel(panel, p.logits, p.shape);
    for (int64_t at = 0; at < panel.rows; at += kLanes) {
      const int64_t row = from + at;
      const int rows = int(std::min<int64_t>(kLanes, panel.rows - at));
      alignas(64) T base[kLanes], rate[kLanes], alpha[kLanes], floor[kLanes], magic[kLanes];
      alignas(64) int32_t label[kLanes];
      factors.compute(row, rows);
      find_labels<T>(factors.labels, panel.classes, label);
      for (int l = 0; l < kLanes; ++l) {
        const Exp2Shift<T> range{T(factors.shift[l])};
        rate[l] = T(factors.scale[l] * kLog2E);
        base[l] = T(factors.off.base[l]);
        alpha[l] = T(factors.off.alpha[l]);
        floor[l] = range.floor;
        magic[l] = range.magic;
      }
      T* const u = panel.at + at;
      for (int l = 0; l < kLanes; l += kGroup)
        pullback_group(u + l, panel.classes, base + l, rate + l, alpha + l, floor + l, magic + l,
                       panel.ahead_of(p.logits, p.shape, at + l, end));
      for (int l = 0; l < kLanes; ++l)
        if (uint64_t(factors.labels.label[l]) < uint64_t(panel.classes)) u[label[l]] = T(factors.at_target(l, 0));
      for (int64_t c = 0; factors.any_excluded && c < panel.classes; ++c)
        for (int l = 0; l < kLanes; ++l)
          u[c * Panel<T>::kStride + l] = factors.excluded[l] ? T(0) : u[c * Panel<T>::kStride + l];
    }
    write_panel(panel, p.out.logits, p.shape);
  }
}

template <class T>
CE_CLONES int64_t statistics_of(const StatisticsProblem& problem, int64_t begin, int64_t end) {
  return statistics<T, false>(problem, {}, begin, end);
}
template <class T>
CE_CLONES void gradients_of(const StatisticsProblem& problem, const View& gradient, int64_t begin, int64_t end) {
  statistics<T, true>(problem, gradient, begin, end);
}
template <class T>
CE_CLONES void pullback_of(const PullbackProblem& problem, int64_t begin, int64_t end) {
  pullback<T>(problem, begin, end);
}

}  // namespace

int64_t few_classes_statistics(const View& logits, const Shape& shape, const Transform& transform,
                               const Target& target, const Statistics& out, int64_t begin, int64_t end) {
  const auto kernel = logits.dtype == Dtype::kFloat64 ? statistics_of<double> : statistics_of<float>;
  return kernel({logits, shape, transform, target, {}, nullptr, out}, begin, end);
}

void few_classes_gradients(const View& logits, const Shape& shape, const Target& target, const Statistics& out,
                           const View& gradient, int64_t begin, int64_t end) {
  const auto kernel = logits.dtype == Dtype::kFloat64 ? gradients_of<double> : gradients_of<float>;
  kernel({logits, shape, {}, target, {}, nullptr, out}, gradient, begin, end);
}

void few_classes_pullback(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                          const Statistics& saved, uintptr_t upstream, const View& gradient, int64_t begin,
                          int64_t end) {
  const auto kernel = logits.dtype == Dtype::kFloat64 ? pullback_of<double> : pullback_of<float>;
  Cotangents cotangents;
  cotangents.log_odds = upstream;
  Gradients out;
  out.logits = gradient;
  kernel({logits, shape, transform, target, {}, saved, cotangents, out}, begin, end);
}

}  // namespace ce
