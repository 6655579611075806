#include "rows/chunk.hpp"

#include "common/halves.hpp"

namespace ce {
namespace {

// Runs of 64 are worth a loop of fixed length.
template <class From, class To, class Convert>
CE_INLINE void copy_run(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t n,
                        const Convert& convert) {
  if (from_stride == 1 && to_stride == 1) {
    if (n == kLanes) {
      for (int i = 0; i < kLanes; ++i) to[i] = convert(from[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i] = convert(from[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_stride] = convert(from[i * from_stride]);
  }
}

// The rows of a tile stand side by side in memory.
CE_INLINE bool adjacent(const View& view, const Shape& shape, const Extent& e) {
  return view.inner_stride == 1 && e.row / shape.inner == (e.row + e.rows - 1) / shape.inner;
}

template <class From, class T>
CE_INLINE void read_typed(const View& view, const Shape& shape, const Extent& e, bool wide, T padding,
                          Chunk<T>& chunk) {
  const From* data = pointer<const From>(view.address) + e.first_class * view.class_stride;
  const auto convert = [](From x) __attribute__((always_inline)) { return T(widen(x)); };
  if (wide) {
    T* to = &chunk.at[0][0];
    copy_run(data + row_offset(view, shape, e.row), view.class_stride, to, 1, e.classes, convert);
    for (int64_t i = e.classes; i % kLanes; ++i) to[i] = padding;
    return;
  }
  if (adjacent(view, shape, e)) {
    data += row_offset(view, shape, e.row);
    for (int64_t k = 0; k < e.classes; ++k)
      copy_run(data + k * view.class_stride, 1, chunk.at[k], 1, e.rows, convert);
  } else {
    for (int64_t l = 0; l < e.rows; ++l)
      copy_run(data + row_offset(view, shape, e.row + l), view.class_stride, &chunk.at[0][l], kLanes, e.classes,
               convert);
  }
  for (int64_t k = 0; k < e.classes; ++k)
    for (int64_t l = e.rows; l < kLanes; ++l) chunk.at[k][l] = padding;
}

template <class T>
CE_INLINE void read_any(const View& view, const Shape& shape, const Extent& extent, bool wide, T padding,
                        Chunk<T>& chunk) {
  switch (view.dtype) {
    case Dtype::kFloat32: return read_typed<float>(view, shape, extent, wide, padding, chunk);
    case Dtype::kFloat64: return read_typed<double>(view, shape, extent, wide, padding, chunk);
    case Dtype::kBFloat16: return read_typed<BFloat16>(view, shape, extent, wide, padding, chunk);
    case Dtype::kFloat16: return read_typed<Float16>(view, shape, extent, wide, padding, chunk);
  }
}

template <class To, class T>
CE_INLINE void write_typed(const Chunk<T>& chunk, const Shape& shape, const Extent& e, bool wide,
                           const View& view) {
  To* data = pointer<To>(view.address) + e.first_class * view.class_stride;
  const auto convert = [](T x) __attribute__((always_inline)) { return narrow<To, T>(x); };
  if (wide) {
    copy_run(&chunk.at[0][0], 1, data + row_offset(view, shape, e.row), view.class_stride, e.classes, convert);
  } else if (adjacent(view, shape, e)) {
    data += row_offset(view, shape, e.row);
    for (int64_t k = 0; k < e.classes; ++k)
      copy_run(chunk.at[k], 1, data + k * view.class_stride, 1, e.rows, convert);
  } else {
    for (int64_t l = 0; l < e.rows; ++l)
      copy_run(&chunk.at[0][l], kLanes, data + row_offset(view, shape, e.row + l), view.class_stride, e.classes,
               convert);
  }
}

template <class T>
CE_INLINE void write_any(const Chunk<T>& chunk, const Shape& shape, const Extent& extent, bool wide,
                         const View& view) {
  switch (view.dtype) {
    case Dtype::kFloat32: return write_typed<float>(chunk, shape, extent, wide, view);
    case Dtype::kFloat64: return write_typed<double>(chunk, shape, extent, wide, view);
    case Dtype::kBFloat16: return write_typed<BFloat16>(chunk, shape, extent, wide, view);
    case Dtype::kFloat16: return write_typed<Float16>(chunk, shape, extent, wide, view);
  }
}

template <class T, bool Wide>
CE_INLINE void transform_placed(const Transform& transform, const Extent& extent, Chunk<T>& u, Chunk<T>* slope) {
  const Place<Wide> place{extent};
  const int depth = place.depth();
  if (transform.softcap != 0.0) {
    const T cap = T(transform.softcap);
    for (int k = 0; k < depth; ++k) {
      alignas(64) T value[kLanes], derivative[kLanes];
      for (int l = 0; l < kLanes; ++l) tanh_and_derivative(u.at[k][l] / cap, value[l], derivative[l]);
      for (int l = 0; l < kLanes; ++l) u.at[k][l] = cap * value[l];
      for (int l = 0; l < kLanes && slope; ++l) slope->at[k][l] = derivative[l];
    }
  }
  if (transform.bias) {
    alignas(64) T line[kLanes], scale[kLanes];
    for (int l = 0; l < kLanes; ++l)
      scale[l] = T(row_scale(transform, place.row + (Wide || l >= place.rows ? 0 : l)));
    for (int k = 0; k < depth; ++k) {
      class_line(pointer<const T>(transform.bias), place, k, line);
      for (int l = 0; l < kLanes; ++l) u.at[k][l] = scale[l] * u.at[k][l] + line[l];
    }
  }
  // Padding stays −∞ whatever the transform made of it.
  for (int k = 0; k < depth; ++k)
    for (int l = 0; l < kLanes; ++l) u.at[k][l] = place.inside(k, l) ? u.at[k][l] : -kInf<T>;
}

CE_CLONES void read_float(const View& v, const Shape& s, const Extent& e, bool wide, float padding,
                          Chunk<float>& c) {
  read_any(v, s, e, wide, padding, c);
}
CE_CLONES void read_double(const View& v, const Shape& s, const Extent& e, bool wide, double padding,
                           Chunk<double>& c) {
  read_any(v, s, e, wide, padding, c);
}
CE_CLONES void write_float(const Chunk<float>& c, const Shape& s, const Extent& e, bool wide, const View& v) {
  write_any(c, s, e, wide, v);
}
CE_CLONES void write_double(const Chunk<double>& c, const Shape& s, const Extent& e, bool wide, const View& v) {
  write_any(c, s, e, wide, v);
}
CE_CLONES void transform_float(const Transform& t, const Extent& e, bool wide, Chunk<float>& u,
                               Chunk<float>* slope) {
  wide ? transform_placed<float, true>(t, e, u, slope) : transform_placed<float, false>(t, e, u, slope);
}
CE_CLONES void transform_double(const Transform& t, const Extent& e, bool wide, Chunk<double>& u,
                                Chunk<double>* slope) {
  wide ? transform_placed<double, true>(t, e, u, slope) : transform_placed<double, false>(t, e, u, slope);
}

}  // namespace

void read_chunk(const View& view, const Shape& shape, const Extent& extent, bool wide, float padding,
                Chunk<float>& chunk) {
  read_float(view, shape, extent, wide, padding, chunk);
}
void read_chunk(const View& view, const Shape& shape, const Extent& extent, bool wide, double padding,
                Chunk<double>& chunk) {
  read_double(view, shape, extent, wide, padding, chunk);
}
void write_chunk(const Chunk<float>& chunk, const Shape& shape, const Extent& extent, bool wide,
                 const View& view) {
  write_float(chunk, shape, extent, wide, view);
}
void write_chunk(const Chunk<double>& chunk, const Shape& shape, const Extent& extent, bool wide,
                 const View& view) {
  write_double(chunk, shape, extent, wide, view);
}
void apply_transform(const Transform& transform, const Extent& extent, bool wide, Chunk<float>& u,
                     Chunk<float>* slope) {
  if (!transform.plain()) transform_float(transform, extent, wide, u, slope);
}
void apply_transform(const Transform& transform, const Extent& extent, bool wide, Chunk<double>& u,
                     Chunk<double>* slope) {
  if (!transform.plain()) transform_double(transform, extent, wide, u, slope);
}

}  // namespace ce
