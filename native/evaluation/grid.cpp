#include "evaluation/grid.hpp"

#include <cmath>

#include "common/simd.hpp"

namespace ce {
namespace {

constexpr int64_t kTogether = 1024;

CE_INLINE int64_t half_of(int bits) { return 2 + (int64_t(32) << bits); }

CE_CLONES void octave_places(const double* x, int64_t n, int bits, int low, int64_t places, int32_t* at) {
  const int64_t first = int64_t(1023 + low) << bits;
  for (int64_t i = 0; i < n; ++i) {
    const double finite = x[i] <= 1.7976931348623157e308 ? x[i] : 0.0;
    const int64_t place = int64_t(bit_cast<uint64_t>(finite) >> (52 - bits)) - first;
    at[i] = int32_t(place < 0 ? 0 : place < places ? place : places - 1);
  }
}

// From places to the counts of a label and of the others, which stand in pairs.
CE_CLONES void pair_places(const int64_t* labels, int64_t n, int64_t label, int32_t* places) {
  for (int64_t i = 0; i < n; ++i) places[i] = 2 * places[i] + (labels[i] == label ? 1 : 0);
}

// The pair of each row's bin, and its probability in units of 2^-54 as high · 2^27 + low.
CE_CLONES void bin_places(const double* p, const int64_t* labels, int64_t n, int bins, int32_t* places, int32_t* high,
                          int32_t* low) {
  constexpr double kRoundUnits = 0x1.8p52;  // adding it rounds to integers, which stand in the lowest bits
  for (int64_t i = 0; i < n; ++i) {
    const int32_t bin = int32_t(p[i] * double(bins));
    places[i] = 2 * (bin < bins ? bin : bins - 1) + int32_t(labels[i]);
    high[i] = int32_t(p[i] * 0x1p27);
    low[i] = int32_t(bit_cast<int64_t>((p[i] * 0x1p27 - double(high[i])) * 0x1p27 + kRoundUnits));
  }
}

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
      pair_places(labels + i, m, first + c, places);
      for (int64_t j = 0; j < m; ++j) ++counts[c * size + places[j]];
    }
}

void bin_counts(const double* p, const int64_t* labels, int64_t n, int bins, BinCount* counts) {
  alignas(64) int32_t places[kTogether], high[kTogether], low[kTogether];
  for (int64_t i = 0; i < n; i += kTogether) {
    const int64_t m = n - i < kTogether ? n - i : kTogether;
    bin_places(p + i, labels + i, m, bins, places, high, low);
    for (int64_t j = 0; j < m; ++j) {
      BinCount& count = counts[places[j]];
      ++count.rows;
      count.high += high[j];
      count.low += low[j];
    }
  }
}

void octave_counts(const double* x, int64_t n, int bits, int low, int64_t places, int64_t* counts) {
  alignas(64) int32_t at[kTogether];
  for (int64_t i = 0; i < n; i += kTogether) {
    const int64_t m = n - i < kTogether ? n - i : kTogether;
    octave_places(x + i, m, bits, low, places, at);
    for (int64_t j = 0; j < m; ++j) ++counts[at[j]];
  }
}

}  // namespace ce
