#include "classes/tile.hpp"

namespace ce {
namespace {

// Calls run(offset, stride, place, step, count): entries in memory from an offset on, and their places in lines.
template <class Run>
CE_INLINE void each_run(const Tile& tile, const View& view, const Shape& shape, int64_t row, int64_t n,
                        const Run& run) {
  if (n > 1 && row / shape.inner == (row + n - 1) / shape.inner) {
    const int64_t first = row_offset(view, shape, row);
    for (int64_t c = 0; c < tile.classes; ++c)
      run(first + c * view.class_stride, view.inner_stride, c, tile.width, n);
  } else {
    for (int64_t r = 0; r < n; ++r)
      run(row_offset(view, shape, row + r), view.class_stride, r * tile.width, 1, tile.classes);
  }
}

template <class From, class To, class Convert>
CE_INLINE void copy(const From* from, int64_t stride, To* to, int64_t step, int64_t count, const Convert& convert) {
  if (stride == 1 && step == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] = convert(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * step] = convert(from[i * stride]);
  }
}

// The processor's own prefetchers lose the thread between rows, which mostly lie one behind the other: the next one is
// asked for while this one is worked on.
CE_INLINE void prefetch_next(const View& view, const Shape& shape, int64_t row) {
  if (view.class_stride != 1 || row + 1 >= shape.rows()) return;
  const int64_t size = size_of(view.dtype), bytes = shape.classes * size;
  const char* next = pointer<const char>(view.address) + row_offset(view, shape, row + 1) * size;
  for (int64_t b = 0; b < std::min<int64_t>(bytes, 8192); b += 64) __builtin_prefetch(next + b, 0, 2);
}

template <class T>
CE_CLONES void load_rows(const Tile& tile, const View& view, const Shape& shape, int64_t row, int64_t n, T padding,
                         T* to) {
  with_floating(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    const auto* from = pointer<const decltype(stored)>(view.address);
    each_run(tile, view, shape, row, n,
             [&](int64_t at, int64_t stride, int64_t place, int64_t step, int64_t count) __attribute__((always_inline)) {
               copy(from + at, stride, to + place, step, count, WidenTo<T>());
             });
  });
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = tile.classes; c < tile.width; ++c) to[r * tile.width + c] = padding;
  prefetch_next(view, shape, row + n - 1);
}

template <class T>
CE_CLONES void store_rows(const Tile& tile, const T* from, const View& view, const Shape& shape, int64_t row,
                          int64_t n) {
  with_floating(view.dtype, [&](auto stored) __attribute__((always_inline)) {
    using Stored = decltype(stored);
    auto* to = pointer<Stored>(view.address);
    each_run(tile, view, shape, row, n,
             [&](int64_t at, int64_t stride, int64_t place, int64_t step, int64_t count) __attribute__((always_inline)) {
               copy(from + place, step, to + at, stride, count, NarrowTo<Stored>());
             });
  });
}

}  // namespace

void Tile::load(const View& view, const Shape& shape, int64_t row, int64_t n, float padding, float* to) const {
  load_rows(*this, view, shape, row, n, padding, to);
}
void Tile::load(const View& view, const Shape& shape, int64_t row, int64_t n, double padding, double* to) const {
  load_rows(*this, view, shape, row, n, padding, to);
}
void Tile::store(const float* from, const View& view, const Shape& shape, int64_t row, int64_t n) const {
  store_rows(*this, from, view, shape, row, n);
}
void Tile::store(const double* from, const View& view, const Shape& shape, int64_t row, int64_t n) const {
  store_rows(*this, from, view, shape, row, n);
}

}  // namespace ce
