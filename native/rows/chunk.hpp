// Rows as lanes.
//
// A chunk is a small buffer of kDepth × kLanes numbers in the first-level cache. It is filled in one of two ways
// and worked on in one way only:
//   wide   64 consecutive classes of one row side by side, for rows of many classes; the lanes are added up at
//          the row's end;
//   tile   64 rows side by side, for few classes, or where the rows are what is contiguous (class axis 1).
#pragma once

#include <algorithm>
#include <cmath>

#include "common/exp.hpp"
#include "rows/problem.hpp"

namespace ce {

constexpr int kDepth = 64;
constexpr int64_t kMaxTileClasses = 128;  // up to here a class axis of stride 1 is read as tiles

template <class T>
struct Chunk {
  alignas(64) T at[kDepth][kLanes];
};

// A chunk's lines, wherever they are: in a chunk, or where they lie in an array.
template <class T>
using Lines = const T (*)[kLanes];

inline bool use_wide(const View& logits, const Shape& shape) {
  return shape.classes > kMaxTileClasses && logits.class_stride == 1;
}

// Rows that a thread takes at a time: whole tiles, and enough work to be worth handing out. Blocks of a few
// megabytes keep threads off each other's pages, which are cleared when they are first written.
inline int64_t block_of_rows(const Shape& shape, bool wide, int threads) {
  constexpr int64_t kLeast = 32768, kMost = 1 << 22;  // entries
  const int64_t classes = std::max<int64_t>(1, shape.classes);
  const int64_t share = shape.rows() * classes / (4 * std::max(1, threads));
  const int64_t rows = std::max<int64_t>(1, std::min(kMost, std::max(kLeast, share)) / classes);
  return wide ? rows : (rows + kLanes - 1) / kLanes * kLanes;
}

// Where a chunk lies: `rows` rows from `row` on (wide: one), classes [first_class, first_class + classes).
struct Extent {
  int64_t row, rows;
  int64_t first_class, classes;
};

template <bool Wide>
struct Place : Extent {
  static constexpr int64_t kClasses = Wide ? kDepth * kLanes : kDepth;  // of a full chunk

  CE_INLINE int depth() const { return int(Wide ? (classes + kLanes - 1) / kLanes : classes); }
  CE_INLINE int64_t class_at(int k, int l) const { return first_class + (Wide ? k * kLanes + l : k); }
  CE_INLINE bool holds(int64_t c) const { return c >= first_class && c < first_class + classes; }
  // Where class c of the l-th row stands.
  CE_INLINE int depth_of(int64_t c) const { return int(Wide ? (c - first_class) / kLanes : c - first_class); }
  CE_INLINE int lane_of(int64_t c, int l) const { return Wide ? int((c - first_class) % kLanes) : l; }
  // Whether lane l of line k holds a class of a row, and not padding.
  CE_INLINE bool inside(int k, int l) const {
    return Wide ? int64_t(k) * kLanes + l < classes : l < rows;
  }
};

// Memory to chunk, converting; places outside the extent get `padding`.
void read_chunk(const View& view, const Shape& shape, const Extent& extent, bool wide, float padding,
                Chunk<float>& chunk);
void read_chunk(const View& view, const Shape& shape, const Extent& extent, bool wide, double padding,
                Chunk<double>& chunk);
// Chunk to memory, rounding to the view's dtype.
void write_chunk(const Chunk<float>& chunk, const Shape& shape, const Extent& extent, bool wide, const View& view);
void write_chunk(const Chunk<double>& chunk, const Shape& shape, const Extent& extent, bool wide,
                 const View& view);

// What is taken off the logits of a row, in every lane the same or each its own, before a bias or a margin is added:
// near 0 these sums keep the digits that they would lose beside logits near 10⁵. `offset` is that in units of u.
template <class T>
struct Anchors {
  alignas(64) T of_logits[kLanes];
  alignas(64) double offset[kLanes];
};

// Up to here an anchor gains no more than some millionths.
constexpr double kNearZero = 64.0;

// The anchor of a row whose u are as large as this, where u = unit·z + b.
template <class T>
CE_INLINE T anchor_of(double u, double unit) {
  return std::abs(u) > kNearZero && std::abs(u) < kInf<double> ? T(u / unit) : T(0);
}

// z → softcap(z), or with a bias scale·softcap(z) + bias, in place, both with anchors taken off softcap(z), if given.
// `slope`, if given, receives softcap'(z).
void apply_transform(const Transform& transform, const Extent& extent, bool wide, Chunk<float>& u,
                     Chunk<float>* slope, const Anchors<float>* anchors);
void apply_transform(const Transform& transform, const Extent& extent, bool wide, Chunk<double>& u,
                     Chunk<double>* slope, const Anchors<double>* anchors);

CE_INLINE int64_t row_offset(const View& view, const Shape& shape, int64_t row) {
  if (shape.inner == 1) return row * view.outer_stride;
  return (row / shape.inner) * view.outer_stride + (row % shape.inner) * view.inner_stride;
}

// The lines of the chunk to come, for the processor to fetch while it works on this one: between chunks its own
// prefetchers lose the thread, and over many streams (class axis 1) they never find it.
struct Ahead {
  const char* from = nullptr;
  int64_t line_step = 0, line_bytes = 0;

  CE_INLINE void fetch(int k) const {
    for (int64_t b = 0; b < line_bytes; b += 64) __builtin_prefetch(from + k * line_step + b);
  }
  CE_INLINE void fetch_to_write(int k) const {
    for (int64_t b = 0; b < line_bytes; b += 64) __builtin_prefetch(from + k * line_step + b, 1);
  }
};

template <bool Wide>
CE_INLINE Ahead ahead_of(const View& view, const Shape& shape, const Place<Wide>& place) {
  const int64_t size = size_of(view.dtype), line = kLanes * size;
  const char* here = pointer<const char>(view.address) +
                     (row_offset(view, shape, place.row) + place.first_class * view.class_stride) * size;
  if (Wide) return {here + kDepth * line, line, line};
  if (view.inner_stride != 1 || shape.inner < kLanes) return {};
  const int64_t step = view.class_stride * size;
  return {shape.classes <= kDepth ? here + line : here + kDepth * step, step, line};
}

// The mask of a label set, as 0 and 1.
template <class T, bool Wide>
CE_INLINE void read_mask(const View& mask, const Shape& shape, const Place<Wide>& place, Chunk<T>& chunk) {
  const uint8_t* data = pointer<const uint8_t>(mask.address);
  for (int k = 0; k < place.depth(); ++k)
    for (int l = 0; l < kLanes; ++l) {
      const int64_t at = place.inside(k, l) ? row_offset(mask, shape, place.row + (Wide ? 0 : l)) +
                                                  place.class_at(k, l) * mask.class_stride
                                            : -1;
      chunk.at[k][l] = at >= 0 && data[at] ? T(1) : T(0);
    }
}

// A vector over the classes, laid out like a chunk's k-th line.
template <class T, bool Wide>
CE_INLINE void class_line(const T* values, const Place<Wide>& place, int k, T* line) {
  if (!Wide) {
    for (int l = 0; l < kLanes; ++l) line[l] = values[place.first_class + k];
    return;
  }
  const T* from = values + place.first_class + int64_t(k) * kLanes;
  if (place.inside(k, kLanes - 1)) {
    for (int l = 0; l < kLanes; ++l) line[l] = from[l];
  } else {
    for (int l = 0; l < kLanes; ++l) line[l] = place.inside(k, l) ? from[l] : T(0);
  }
}

CE_INLINE double row_scale(const Transform& transform, int64_t row) {
  return transform.temperatures ? 1.0 / pointer<const double>(transform.temperatures)[row] : transform.scale;
}
// The scale that is still to be applied to the differences in a chunk: with a bias it is applied on load.
CE_INLINE double pending_scale(const Transform& transform, int64_t row) {
  return transform.bias ? 1.0 : row_scale(transform, row);
}
// That of up to kLanes rows, a lane for each; those past the last have the first's.
CE_INLINE void load_pending_scales(const Transform& transform, int64_t row, int rows, double* scale) {
  const double first = pending_scale(transform, row);
  for (int l = 0; l < kLanes; ++l) scale[l] = first;
  if (transform.temperatures)
    for (int l = 1; l < rows; ++l) scale[l] = pending_scale(transform, row + l);
}
// What u counts of a logit in a chunk.
CE_INLINE double unit_of(const Transform& transform, int64_t row) {
  return transform.bias ? row_scale(transform, row) : 1.0;
}
// What the margin takes off class c's logit, in the chunk's units.
CE_INLINE double margin_of(const Transform& transform, int64_t row, int64_t c) {
  const double margin =
      transform.class_margin ? pointer<const double>(transform.class_margin)[c] : transform.margin;
  return transform.bias ? margin * row_scale(transform, row) : margin;
}
template <class T, bool Wide>
CE_INLINE void subtract_set_margins(const Transform& transform, const Place<Wide>& place, const Chunk<T>& mask,
                                Chunk<T>& u) {
  if (!transform.has_margin()) return;
  for (int k = 0; k < place.depth(); ++k)
    for (int l = 0; l < kLanes; ++l)
      if (mask.at[k][l] != T(0))
        u.at[k][l] = T(double(u.at[k][l]) -
                       margin_of(transform, place.row + (Wide ? 0 : l), place.class_at(k, l)));
}

// Whether an index of a row is the first of its value.
CE_INLINE bool first_occurrence(const int64_t* y, int64_t j) {
  for (int64_t i = 0; i < j; ++i)
    if (y[i] == y[j]) return false;
  return true;
}

}  // namespace ce
