#include "xla/numbers.hpp"

#include "common/simd.hpp"

namespace ce::xla {

CE_CLONES void widen(const float* from, double* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

CE_CLONES void round(const double* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = float(from[i]);
}

CE_CLONES void widen(const int32_t* from, int64_t* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

}  // namespace ce::xla
