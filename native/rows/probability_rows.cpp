#include "rows/probability_rows.hpp"

#include <cmath>

#include "common/halves.hpp"
#include "rows/log_sum.hpp"
#include "common/parallel.hpp"

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

}  // namespace

bool are_probabilities(const View& x, const Shape& shape) {
  switch (x.dtype) {
    case Dtype::kFloat32: return all_rows_fit<float>(x, shape);
    case Dtype::kFloat64: return all_rows_fit<double>(x, shape);
    case Dtype::kBFloat16: return all_rows_fit<BFloat16>(x, shape);
    case Dtype::kFloat16: return all_rows_fit<Float16>(x, shape);
  }
  return false;
}

void probability_rows(const View& probabilities, const Shape& shape, const int64_t* labels, double* sums,
                      double* picked, int threads) {
  const Problem problem{probabilities, shape, labels, sums, picked};
  const bool wide = use_wide(probabilities, shape), is_double = probabilities.dtype == Dtype::kFloat64;
  const auto kernel = wide ? (is_double ? wide_double : wide_float) : (is_double ? tile_double : tile_float);
  parallel_blocks(shape.rows(), block_of_rows(shape, wide, threads), threads,
                  [&](int64_t begin, int64_t end) { kernel(problem, begin, end); });
}

}  // namespace ce
