#include "rows/set_rows.hpp"

#include "rows/chunk.hpp"
#include "common/parallel.hpp"

namespace ce {
namespace {

// Of classes that lie side by side.
CE_CLONES uint8_t any_of_row(const uint8_t* row, int64_t classes) {
  int64_t c = 0;
  for (; c + kLanes <= classes; c += kLanes) {
    uint8_t any = 0;
    for (int l = 0; l < kLanes; ++l) any |= row[c + l];
    if (any) return 1;
  }
  for (; c < classes; ++c)
    if (row[c]) return 1;
  return 0;
}

// Of up to kLanes rows that lie side by side, class by class.
CE_CLONES void any_of_tile(const uint8_t* mask, int64_t class_stride, int64_t classes, int rows, uint8_t* has_any) {
  alignas(64) uint8_t any[kLanes];
  for (int l = 0; l < kLanes; ++l) any[l] = l < rows ? 0 : 1;
  for (int64_t c = 0; c < classes; ++c, mask += class_stride) {
    uint8_t every = 1;
    if (rows == kLanes) {
      for (int l = 0; l < kLanes; ++l) any[l] |= uint8_t(mask[l] != 0);
    } else {
      for (int l = 0; l < rows; ++l) any[l] |= uint8_t(mask[l] != 0);
    }
    for (int l = 0; l < kLanes; ++l) every &= any[l];
    if (every) break;
  }
  std::memcpy(has_any, any, size_t(rows));
}

}  // namespace

void rows_with_any(const View& mask, const Shape& shape, uint8_t* has_any, int threads) {
  const uint8_t* data = pointer<const uint8_t>(mask.address);
  const bool tiles = mask.class_stride != 1 && shape.inner > 1 && mask.inner_stride == 1;
  parallel_blocks(shape.rows(), block_of_rows(shape, true, threads), threads, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end;) {
      const uint8_t* from = data + row_offset(mask, shape, row);
      int64_t rows = 1;
      if (tiles) {
        rows = std::min(std::min<int64_t>(kLanes, end - row), shape.inner - row % shape.inner);
        any_of_tile(from, mask.class_stride, shape.classes, int(rows), has_any + row);
      } else if (mask.class_stride == 1) {
        has_any[row] = any_of_row(from, shape.classes);
      } else {
        any_of_tile(from, mask.class_stride, shape.classes, 1, has_any + row);
      }
      row += rows;
    }
  });
}

}  // namespace ce
