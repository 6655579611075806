// Rows copied from wherever they are stored into lines of kRowLanes numbers, and back.
#pragma once

#include <algorithm>
#include <memory>
#include <new>

#include "rows/chunk.hpp"

namespace ce {

// Numbers of a line. Fewer than kLanes: sums of a line stay in registers, of doubles too, and short rows are not padded
// much.
constexpr int kRowLanes = 32;

// An aligned array, not cleared.
template <class T>
class AlignedArray {
 public:
  explicit AlignedArray(int64_t n)
      : memory(static_cast<T*>(::operator new(size_t(n) * sizeof(T), std::align_val_t(64)))) {}
  T* data() const { return memory.get(); }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<T, Free> memory;
};

// The memory of a row of a view, asked for while another is worked on, a line at a time: rows are loaded, worked on and
// stored one after the other, so that memory would be idle meanwhile. Of rows whose classes lie apart, nothing. Loading
// a tile asks for the start of the next row at once; the loops that use this wait for memory and ask line by line.
template <bool kToWrite = false>
struct AheadOfUse {
  const char* at = nullptr;
  int64_t size = 0;

  AheadOfUse() = default;
  CE_INLINE AheadOfUse(const View& view, const Shape& shape, int64_t row) {
    if (!view.address || view.class_stride != 1 || row < 0 || row >= shape.rows()) return;
    size = size_of(view.dtype);
    at = pointer<const char>(view.address) + row_offset(view, shape, row) * size;
  }
  // The line of the kRowLanes classes from `c` on.
  CE_INLINE void operator()(int64_t c) const {
    for (int64_t byte = 0; byte < kRowLanes * size; byte += 64) __builtin_prefetch(at + c * size + byte, kToWrite, 3);
  }
};

// As many rows as are worth copying together: where the classes of a row lie apart, they lie among those of others.
struct Tile {
  int64_t classes, width, rows;  // `width` places for each row: whole lines

  Tile(const View& view, const Shape& shape) : classes(shape.classes) {
    width = std::max<int64_t>(1, (classes + kRowLanes - 1) / kRowLanes) * kRowLanes;
    rows = view.class_stride == 1 ? 1 : std::max<int64_t>(1, std::min<int64_t>(32, 16384 / width));
  }

  // Rows [row, row + n) of a view, filled up by `padding`.
  void load(const View& view, const Shape& shape, int64_t row, int64_t n, float padding, float* to) const;
  void load(const View& view, const Shape& shape, int64_t row, int64_t n, double padding, double* to) const;
  // Rounds to the view's dtype.
  void store(const float* from, const View& view, const Shape& shape, int64_t row, int64_t n) const;
  void store(const double* from, const View& view, const Shape& shape, int64_t row, int64_t n) const;
};

}  // namespace ce
