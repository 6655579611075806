#include "evaluation/grid.hpp"

#include <cmath>

#include "common/simd.hpp"

namespace ce {
namespace {

constexpr int64_t kTogether = 1024;

CE_INLINE int64_t half_of(int bits) { return 2 + (int64_t(32) << bits); }

}  // namespace

CE_CLONES void grid_places(const double* p, const double* complement, int64_t n, int bits, int32_t* places) {
  const int shift = 52 - bits;
  const int64_t least = int64_t(bit_cast<uint64_t>(0x1p-33) >> shift), last = 2 * half_of(bits);
  for (int64_t i = 0; i < n; ++i) {
    const double q = complement ? complement[i] : 1.0 - p[i];
    const double low = p[i] <= q ? p[i] : q;
    const int64_t level = int64_t(bit_cast<uint64_t>(low) >> shift) - least + 2;
    const int64_t place = low == 0.0 ? 0 : level < 2 ? 1 : level;
    places[i] = int32_t(p[i] <= q ? place : last - place);
  }
}

void grid_counts(const double* p, const double* complement, const int64_t* labels, int64_t n, int64_t first,
                 int64_t classes, int bits, int64_t* counts) {
  const int64_t size = 2 * (2 * half_of(bits) + 1);
  alignas(64) int32_t places[kTogether];
  for (int64_t c = 0; c < classes; ++c)
    for (int64_t i = 0; i < n; i += kTogether) {
      const int64_t m = n - i < kTogether ? n - i : kTogether;
      grid_places(p + c * n + i, complement ? complement + c * n + i : nullptr, m, bits, places);
      for (int64_t j = 0; j < m; ++j) ++counts[c * size + 2 * places[j] + (labels[i + j] == first + c)];
    }
}

CE_CLONES void bin_counts(const double* p, const int64_t* labels, int64_t n, int64_t bins, int64_t* counts,
                          int64_t* sums) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t place = int64_t(p[i] * double(bins)), bin = place < bins ? place : bins - 1;
    const int64_t units = int64_t(std::nearbyint(p[i] * 0x1p54));
    ++counts[2 * bin + labels[i]];
    sums[2 * bin] += units >> 27;
    sums[2 * bin + 1] += units & 0x7ffffff;
  }
}

CE_CLONES void octave_counts(const double* x, int64_t n, int bits, int low, int64_t places, int64_t* counts) {
  const int64_t first = int64_t(1023 + low) << bits;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t place = int64_t(bit_cast<uint64_t>(x[i]) >> (52 - bits)) - first;
    ++counts[place < 0 ? 0 : place < places ? place : places - 1];
  }
}

}  // namespace ce
