// Numbers of XLA's buffers in the types that the kernels take them in, and back.
#pragma once

#include <cstdint>

#include "rows/problem.hpp"
#include "xla/handler.hpp"

namespace ce::xla {

void widen(const float* from, double* to, int64_t n);
void round(const double* from, float* to, int64_t n);
void widen(const int32_t* from, int64_t* to, int64_t n);

// Whether statistics, losses or weights are doubles; else they are floats.
inline bool is_double(const Buffer& x) {
  if (x.type != Type::kFloat64 && x.type != Type::kFloat32)
    throw std::invalid_argument("numbers of rows or classes are neither float32 nor float64");
  return x.type == Type::kFloat64;
}

inline void check_labels(const Buffer& x) {
  if (x.type != Type::kInt32 && x.type != Type::kInt64)
    throw std::invalid_argument("labels are neither int32 nor int64");
}

inline int64_t entries(const Buffer& x) {
  int64_t size = 1;
  for (int64_t i = 0; i < x.rank; ++i) size *= x.sizes[i];
  return size;
}

// The shape of logits, behind whose classes are so many axes, and where an array of that shape lies.
inline Shape shape_of(const Buffer& logits, int64_t axes_behind) {
  Shape shape{1, 1, 1};
  const int64_t axis = logits.rank - 1 - axes_behind;
  for (int64_t i = 0; i < logits.rank; ++i)
    (i < axis ? shape.outer : i == axis ? shape.classes : shape.inner) *= logits.sizes[i];
  return shape;
}

inline View view_of(const Buffer& x, const Shape& shape) {
  return {address(x.data), dtype_of(x.type), shape.classes * shape.inner, shape.inner, shape.inner == 1 ? 0 : 1};
}

}  // namespace ce::xla
