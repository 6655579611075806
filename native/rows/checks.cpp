#include "rows/checks.hpp"

#include <cmath>

#include "common/parallel.hpp"
#include "rows/chunk.hpp"

namespace ce {
namespace {

struct Problem {
  View probabilities;
  Shape shape;
  const int64_t* labels;
  double *sums, *picked;
};

template <class T, bool Wide>
CE_INLINE void rows_of(const Problem& p, int64_t begin, int64_t end) {
  Place<Wide> place;
  Chunk<T> chunk;
  for (int64_t row = begin; row < end; row += place.rows) {
    place.row = row;
    place.rows = Wide ? 1 : std::min<int64_t>(kLanes, end - row);
    alignas(64) double sum[kLanes] = {};
    alignas(64) T least[kLanes] = {};
    for (int64_t l = 0; l < place.rows; ++l) p.picked[row + l] = kNaN;
    for (int64_t c = 0; c < p.shape.classes; c += place.kClasses) {
      place.first_class = c;
      place.classes = std::min<int64_t>(place.kClasses, p.shape.classes - c);
      read_chunk(p.probabilities, p.shape, place, Wide, T(0), chunk);
      for (int k = 0; k < place.depth(); ++k) {
        for (int l = 0; l < kLanes; ++l) sum[l] += double(chunk.at[k][l]);
        for (int l = 0; l < kLanes; ++l) least[l] = chunk.at[k][l] < least[l] ? chunk.at[k][l] : least[l];
      }
      for (int l = 0; l < place.rows; ++l) {
        const int64_t y = p.labels[row + l];
        if (place.holds(y)) p.picked[row + l] = double(chunk.at[place.depth_of(y)][place.lane_of(y, l)]);
      }
    }
    for (int l = 0; l < kLanes; ++l) sum[l] = least[l] < T(0) ? kNaN : sum[l];
    if (Wide) {
      p.sums[row] = sum_lanes(sum);
    } else {
      for (int64_t l = 0; l < place.rows; ++l) p.sums[row + l] = sum[l];
    }
  }
}

#define CE_KERNEL(name, T, wide) \
  CE_CLONES void name(const Problem& p, int64_t begin, int64_t end) { rows_of<T, wide>(p, begin, end); }
CE_KERNEL(wide_float, float, true)
CE_KERNEL(wide_double, double, true)
CE_KERNEL(tile_float, float, false)
CE_KERNEL(tile_double, double, false)
#undef CE_KERNEL

template <class Stored>
bool all_rows_fit(const View& x, const Shape& shape) {
  for (int64_t row = 0; row < shape.rows(); ++row) {
    const Stored* from = pointer<const Stored>(x.address) + row_offset(x, shape, row);
    double sum = 0.0;
    for (int64_t c = 0; c < shape.classes; ++c) {
      const double p = double(widen(from[c * x.class_stride]));
      if (!(p >= 0.0 && p <= 1.0)) return false;
      sum += p;
    }
    if (!(std::abs(sum - 1.0) < 1e-3)) return false;
  }
  return true;
}

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

bool are_probabilities(const View& x, const Shape& shape) {
  bool result = false;
  with_floating(x.dtype, [&](auto stored) { result = all_rows_fit<decltype(stored)>(x, shape); });
  return result;
}

void probability_rows(const View& probabilities, const Shape& shape, const int64_t* labels, double* sums,
                      double* picked, int threads) {
  const Problem problem{probabilities, shape, labels, sums, picked};
  const bool wide = use_wide(probabilities, shape), is_double = probabilities.dtype == Dtype::kFloat64;
  const auto kernel = wide ? (is_double ? wide_double : wide_float) : (is_double ? tile_double : tile_float);
  parallel_blocks(shape.rows(), block_of_rows(shape, wide, threads), threads,
                  [&](int64_t begin, int64_t end) { kernel(problem, begin, end); });
}

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
