#include "rows/chunk.hpp"

namespace ce {
namespace {

template <class From, class To, class Convert>
CE_INLINE void copy_strided(const From* from, int64_t from_stride, To* to, int64_t to_stride, int64_t n,
                            const Convert& convert) {
  if (from_stride == 1 && to_stride == 1) return copy_run(from, to, n, convert);
  for (int64_t i = 0; i < n; ++i) to[i * to_stride] = convert(from[i * from_stride]);
}

// The rows of a tile stand side by side in memory.
CE_INLINE bool adjacent(const View& view, const Shape& shape, const Extent& e) {
  return view.inner_stride == 1 && e.row / shape.inner == (e.row + e.rows - 1) / shape.inner;
}

template <class From, class T>
CE_INLINE void read_typed(const View& view, const Shape& shape, const Extent& e, bool wide, T padding,
                          Chunk<T>& chunk) {
  const From* data = pointer<const From>(view.address) + e.first_class * view.class_stride;
  const WidenTo<T> convert;
  if (wide) {
    T* to = &chunk.at[0][0];
    copy_strided(data + row_offset(view, shape, e.row), view.class_stride, to, 1, e.classes, convert);
    for (int64_t i = e.classes; i % kLanes; ++i) to[i] = padding;
    return;
  }
  if (adjacent(view, shape, e)) {
    data += row_offset(view, shape, e.row);
    for (int64_t k = 0; k < e.classes; ++k)
      copy_strided(data + k * view.class_stride, 1, chunk.at[k], 1, e.rows, convert);
  } else {
    for (int64_t l = 0; l < e.rows; ++l)
      copy_strided(data + row_offset(view, shape, e.row + l), view.class_stride, &chunk.at[0][l], kLanes, e.classes,
               convert);
  }
  for (int64_t k = 0; k < e.classes; ++k)
    for (int64_t l = e.rows; l < kLanes; ++l) chunk.at[k][l] = padding;
}

template <class T>
CE_INLINE void read_any(const View& view, const Shape& shape, const Extent& extent, bool wide, T padding,
                        Chunk<T>& chunk) {
  with_floating(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    read_typed<decltype(stored)>(view, shape, extent, wide, padding, chunk);
  });
}

template <class To, class T>
CE_INLINE void write_typed(const Chunk<T>& chunk, const Shape& shape, const Extent& e, bool wide,
                           const View& view) {
  To* data = pointer<To>(view.address) + e.first_class * view.class_stride;
  const NarrowTo<To> convert;
  if (wide) {
    copy_strided(&chunk.at[0][0], 1, data + row_offset(view, shape, e.row), view.class_stride, e.classes, convert);
  } else if (adjacent(view, shape, e)) {
    data += row_offset(view, shape, e.row);
    for (int64_t k = 0; k < e.classes; ++k)
      copy_strided(chunk.at[k], 1, data + k * view.class_stride, 1, e.rows, convert);
  } else {
    for (int64_t l = 0; l < e.rows; ++l)
      copy_strided(&chunk.at[0][l], kLanes, data + row_offset(view, shape, e.row + l), view.class_stride, e.classes,
               convert);
  }
}

template <class T>
CE_INLINE void write_any(const Chunk<T>& chunk, const Shape& shape, const Extent& extent, bool wide,
                         const View& view) {
  with_floating(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    write_typed<decltype(stored)>(chunk, shape, extent, wide, view);
  });
}

template <class T, bool Wide>
CE_INLINE void transform_placed(const Transform& transform, const Extent& extent, Chunk<T>& u, Chunk<T>* slope,
                                const Anchors<T>* anchors) {
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
  if (anchors) {
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) u.at[k][l] -= anchors->of_logits[l];
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

template <class T>
CE_INLINE void transform_any(const Transform& transform, const Extent& extent, bool wide, Chunk<T>& u,
                             Chunk<T>* slope, const Anchors<T>* anchors) {
  if (wide)
    transform_placed<T, true>(transform, extent, u, slope, anchors);
  else
    transform_placed<T, false>(transform, extent, u, slope, anchors);
}

}  // namespace

#define CE_CHUNK(T)                                                                                               \
  CE_CLONES void read_chunk(const View& view, const Shape& shape, const Extent& extent, bool wide, T padding,     \
                            Chunk<T>& chunk) {                                                                    \
    read_any(view, shape, extent, wide, padding, chunk);                                                          \
  }                                                                                                               \
  CE_CLONES void write_chunk(const Chunk<T>& chunk, const Shape& shape, const Extent& extent, bool wide,          \
                             const View& view) {                                                                  \
    write_any(chunk, shape, extent, wide, view);                                                                  \
  }                                                                                                               \
  CE_CLONES void apply_transform(const Transform& transform, const Extent& extent, bool wide, Chunk<T>& u,        \
                                 Chunk<T>* slope, const Anchors<T>* anchors) {                                    \
    if (!transform.plain() || anchors) transform_any(transform, extent, wide, u, slope, anchors);                 \
  }
CE_CHUNK(float)
CE_CHUNK(double)
#undef CE_CHUNK

}  // namespace ce
