#include "rows/few_classes.hpp"

#include "common/halves.hpp"
#include "rows/log_sum.hpp"

namespace ce {
namespace {

constexpr int kGroup = 32;  // lanes that stay in registers over the classes of their rows

// A few tiles of rows, class by class: runs of a kilobyte are what memory reads and writes well. Lines are a little
// further apart than they are long, so that they do not crowd the same cache sets.
template <class T>
struct Panel {
  static constexpr int kRows = 4 * kLanes, kStride = kRows + 16;
  alignas(64) T at[kDepth * kStride];
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
      for (int64_t c = 0; c < classes; ++c, from += view.class_stride) read_run(from, at + c * kStride);
    } else {
      for (int64_t r = 0; r < rows; ++r, from += row_stride)
        for (int64_t c = 0; c < classes; ++c) at[c * kStride + r] = T(widen(from[c * view.class_stride]));
    }
    for (int64_t c = 0; c < classes; ++c)
      for (int64_t r = rows; r % kLanes; ++r) at[c * kStride + r] = T(0);
  }

  // Where the panel to come stands in memory, `rows_in` rows on.
  template <class Stored>
  CE_INLINE Ahead ahead_of(const View& view, const Shape& shape, int64_t rows_in, int64_t end) const {
    const int64_t next = row + kRows + rows_in;
    if (shape.inner == 1 || view.inner_stride != 1 || next + kGroup > end || next % shape.inner < kRows) return {};
    const Stored* there = pointer<const Stored>(view.address) + row_offset(view, shape, next);
    return {reinterpret_cast<const char*>(there), view.class_stride * int64_t(sizeof(Stored)),
            kGroup * int64_t(sizeof(Stored))};
  }

  template <class Stored>
  CE_INLINE void write(const View& view, const Shape& shape) const {
    Stored* to = pointer<Stored>(view.address) + row_offset(view, shape, row);
    const int64_t row_stride = shape.inner > 1 ? view.inner_stride : view.outer_stride;
    if (row_stride == 1) {
      for (int64_t c = 0; c < classes; ++c, to += view.class_stride) write_run(at + c * kStride, to);
    } else {
      for (int64_t r = 0; r < rows; ++r, to += row_stride)
        for (int64_t c = 0; c < classes; ++c) to[c * view.class_stride] = narrow<Stored>(at[c * kStride + r]);
    }
  }

 private:
  template <class Stored>
  CE_INLINE void read_run(const Stored* from, T* to) const {
    if (rows == kRows) {
      for (int r = 0; r < kRows; ++r) to[r] = T(widen(from[r]));
    } else {
      for (int64_t r = 0; r < rows; ++r) to[r] = T(widen(from[r]));
    }
  }
  template <class Stored>
  CE_INLINE void write_run(const T* from, Stored* to) const {
    if (rows == kRows) {
      for (int r = 0; r < kRows; ++r) to[r] = narrow<Stored>(from[r]);
    } else {
      for (int64_t r = 0; r < rows; ++r) to[r] = narrow<Stored>(from[r]);
    }
  }
};

// The labels of a tile; those that count for nothing stand at class 0.
struct Labels {
  int64_t given[kLanes];
  int32_t label[kLanes];
  bool ignored[kLanes], bad[kLanes];
  bool special;  // whether a row is ignored or bad

  CE_INLINE Labels(const Target& target, int64_t classes, int64_t row, int64_t rows) {
    const int64_t* from = pointer<const int64_t>(target.indices) + row;
    if (rows == kLanes) {
      std::memcpy(given, from, sizeof given);
    } else {
      for (int l = 0; l < kLanes; ++l) given[l] = l < rows ? from[l] : 0;
    }
    bool any = false;
    for (int l = 0; l < kLanes; ++l) {
      const bool skip = target.has_ignore && given[l] == target.ignore_index;
      const bool outside = uint64_t(given[l]) >= uint64_t(classes);
      ignored[l] = skip;
      bad[l] = outside && !skip;
      label[l] = skip || outside ? 0 : int32_t(given[l]);
      any |= skip || outside;
    }
    special = any;
  }
};

template <class T>
CE_INLINE void store_lanes(uintptr_t plane, int64_t row, int64_t rows, const T* lanes) {
  if (!plane) return;
  double* to = pointer<double>(plane) + row;
  if (rows == kLanes) {
    for (int l = 0; l < kLanes; ++l) to[l] = double(lanes[l]);
  } else {
    for (int64_t l = 0; l < rows; ++l) to[l] = double(lanes[l]);
  }
}
CE_INLINE void load_lanes(uintptr_t plane, int64_t row, int64_t rows, double* lanes) {
  const double* from = pointer<const double>(plane) + row;
  if (rows == kLanes) {
    std::memcpy(lanes, from, kLanes * sizeof(double));
  } else {
    for (int l = 0; l < kLanes; ++l) lanes[l] = l < rows ? from[l] : 0.0;
  }
}

template <class T>
CE_INLINE void row_rates(const Transform& transform, int64_t row, int64_t rows, double* scale) {
  for (int l = 0; l < kLanes; ++l) scale[l] = row_scale(transform, row + (l < rows ? l : 0));
}

// top = max u and rest = Σ e^{scale·(u − top)} over the others, where terms equal to the top are counted rather
// than summed: the count less one is exact.
template <class T>
CE_INLINE void sum_group(const T* u, int64_t classes, const T* rate, const Ahead& ahead, T* top, T* rest) {
  const Exp2Shift<T> range(0);
  alignas(64) T high[kGroup], base[kGroup], pace[kGroup], sum[kGroup], ties[kGroup];
  std::memcpy(pace, rate, sizeof pace);
  for (int l = 0; l < kGroup; ++l) high[l] = -kInf<T>;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kGroup; ++l) {
      const T here = u[c * Panel<T>::kStride + l];
      high[l] = here > high[l] ? here : high[l];
    }
  for (int l = 0; l < kGroup; ++l) base[l] = reference(high[l]);
  for (int l = 0; l < kGroup; ++l) sum[l] = ties[l] = T(0);
  for (int64_t c = 0; c < classes; ++c) {
    ahead.fetch(int(c));
    for (int l = 0; l < kGroup; ++l) {
      const T here = u[c * Panel<T>::kStride + l];
      const T e = exp2_shifted((here - base[l]) * pace[l], range.floor, range.magic);
      const bool tie = here == high[l];
      sum[l] += tie ? T(0) : e;
      ties[l] += tie ? T(1) : T(0);
    }
  }
  for (int l = 0; l < kGroup; ++l) rest[l] = sum[l] + (high[l] == -kInf<T> ? T(0) : ties[l] - T(1));
  std::memcpy(top, high, sizeof high);
}

template <class T, class Stored>
CE_INLINE int64_t statistics(const View& logits, const Shape& shape, const Transform& transform,
                             const Target& target, const Statistics& planes, int64_t begin, int64_t end) {
  Panel<T> panel;
  int64_t first_bad = -1;
  for (int64_t from = begin; from < end; from += panel.rows) {
    panel.place(shape, from, end);
    panel.template read<Stored>(logits, shape);
    for (int64_t at = 0; at < panel.rows; at += kLanes) {
      const int64_t row = from + at, rows = std::min<int64_t>(kLanes, panel.rows - at);
      const Labels labels(target, shape.classes, row, rows);
      alignas(64) double scale[kLanes], odds[kLanes];
      alignas(64) T own[kLanes], rate[kLanes], top[kLanes], rest[kLanes];
      row_rates<T>(transform, row, rows, scale);
      for (int l = 0; l < kLanes; ++l) rate[l] = T(scale[l] * kLog2E);
      T* const u = panel.at + at;
      for (int l = 0; l < kLanes; ++l) {
        T& target_u = u[labels.label[l] * Panel<T>::kStride + l];
        own[l] = target_u;
        target_u = -kInf<T>;
      }
      for (int l = 0; l < kLanes; l += kGroup)
        sum_group(u + l, panel.classes, rate + l, panel.template ahead_of<Stored>(logits, shape, at + l, end), top + l,
                  rest + l);
      for (int l = 0; l < kLanes; ++l) odds[l] = double(top[l]) - double(own[l]);
      if (transform.margin != 0.0 || transform.class_margin)
        for (int l = 0; l < rows; ++l) odds[l] += margin_of(transform, row + l, labels.label[l]);
      // A row whose log-odds are NaN saves NaN, so that its gradient is NaN too.
      alignas(64) double rests[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        const double D = odds[l] * scale[l] + log1p_nonnegative(double(rest[l]));
        odds[l] = top[l] == kInf<T> || own[l] == kInf<T> ? kNaN : D;
        rests[l] = odds[l] != odds[l] ? kNaN : double(rest[l]);
      }
      for (int l = 0; labels.special && l < rows; ++l) {
        if (labels.bad[l] && first_bad < 0) first_bad = row + l;
        if (labels.bad[l]) odds[l] = rests[l] = kNaN, top[l] = T(0);
        if (labels.ignored[l]) odds[l] = -kInf<double>, rests[l] = 0.0, top[l] = T(0);
      }
      store_lanes(planes.log_odds, row, rows, odds);
      store_lanes(planes.top, row, rows, top);
      store_lanes(planes.rest, row, rows, rests);
    }
  }
  return first_bad;
}

// ∂u = g_D e^{u − top}/(1 + rest) off target; see row_pullback.cpp for the shift.
template <class T>
CE_INLINE void pull_group(T* u, int64_t classes, const T* base, const T* rate, const T* alpha, const T* floor,
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

template <class T, class Stored>
CE_INLINE void pullback(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                        const Statistics& saved, uintptr_t upstream, const View& gradient, int64_t begin,
                        int64_t end) {
  Panel<T> panel;
  for (int64_t from = begin; from < end; from += panel.rows) {
    panel.place(shape, from, end);
    panel.template read<Stored>(logits, shape);
    for (int64_t at = 0; at < panel.rows; at += kLanes) {
      const int64_t row = from + at, rows = std::min<int64_t>(kLanes, panel.rows - at);
      const Labels labels(target, shape.classes, row, rows);
      alignas(64) double scale[kLanes], top[kLanes], rest[kLanes], g_D[kLanes];
      alignas(64) T base[kLanes], rate[kLanes], alpha[kLanes], floor[kLanes], magic[kLanes], own[kLanes];
      bool dead[kLanes];
      load_lanes(saved.top, row, rows, top);
      load_lanes(saved.rest, row, rows, rest);
      load_lanes(upstream, row, rows, g_D);
      row_rates<T>(transform, row, rows, scale);
      bool any_dead = false;
      for (int l = 0; l < kLanes; ++l) {
        base[l] = T(reference(top[l]));
        rate[l] = T(scale[l] * kLog2E);
        const double factor = g_D[l] * scale[l] / (1.0 + rest[l]);
        const bool small = factor < 8.67e-19 && factor > -8.67e-19;
        const Exp2Shift<T> range(small ? T(0) : T(64));
        alpha[l] = T(small ? factor : factor * 5.421010862427522e-20);  // 2^−64
        floor[l] = range.floor;
        magic[l] = range.magic;
        own[l] = T(-g_D[l] * scale[l]);
        dead[l] = g_D[l] == 0.0 || labels.ignored[l];  // whatever rest is
        any_dead |= dead[l];
      }
      T* const u = panel.at + at;
      for (int l = 0; l < kLanes; l += kGroup)
        pull_group(u + l, panel.classes, base + l, rate + l, alpha + l, floor + l, magic + l,
                   panel.template ahead_of<Stored>(logits, shape, at + l, end));
      for (int l = 0; l < kLanes; ++l)
        if (!labels.bad[l]) u[labels.label[l] * Panel<T>::kStride + l] = own[l];
      for (int64_t c = 0; any_dead && c < panel.classes; ++c)
        for (int l = 0; l < kLanes; ++l)
          u[c * Panel<T>::kStride + l] = dead[l] ? T(0) : u[c * Panel<T>::kStride + l];
    }
    panel.template write<Stored>(gradient, shape);
  }
}

#define CE_FEW(name, T, Stored)                                                                                   \
  CE_CLONES int64_t statistics_##name(const View& logits, const Shape& shape, const Transform& transform,        \
                                      const Target& target, const Statistics& planes, int64_t begin,             \
                                      int64_t end) {                                                              \
    return statistics<T, Stored>(logits, shape, transform, target, planes, begin, end);                          \
  }                                                                                                               \
  CE_CLONES void pullback_##name(const View& logits, const Shape& shape, const Transform& transform,             \
                                 const Target& target, const Statistics& saved, uintptr_t upstream,              \
                                 const View& gradient, int64_t begin, int64_t end) {                              \
    pullback<T, Stored>(logits, shape, transform, target, saved, upstream, gradient, begin, end);                \
  }
CE_FEW(float32, float, float)
CE_FEW(float64, double, double)
CE_FEW(bfloat16, float, BFloat16)
CE_FEW(float16, float, Float16)
#undef CE_FEW

}  // namespace

int64_t few_classes_statistics(const View& logits, const Shape& shape, const Transform& transform,
                               const Target& target, const Statistics& planes, int64_t begin, int64_t end) {
  static constexpr decltype(&statistics_float32) kOf[] = {statistics_float32, statistics_float64,
                                                          statistics_bfloat16, statistics_float16};
  return kOf[int(logits.dtype)](logits, shape, transform, target, planes, begin, end);
}

void few_classes_pullback(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                          const Statistics& saved, uintptr_t upstream, const View& gradient, int64_t begin,
                          int64_t end) {
  static constexpr decltype(&pullback_float32) kOf[] = {pullback_float32, pullback_float64, pullback_bfloat16,
                                                        pullback_float16};
  kOf[int(logits.dtype)](logits, shape, transform, target, saved, upstream, gradient, begin, end);
}

}  // namespace ce
