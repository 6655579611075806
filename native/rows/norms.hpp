// Rows divided by their norms, and the gradient of that; a row of zeros is divided by 1.
//
//   y = x/‖x‖        ∂/∂x of g · y = (g − y (g · y))/‖x‖
#pragma once

#include "common/lanes.hpp"

namespace ce {

// Of contiguous rows x[n][width] of floats or doubles; `norms` are written by the first and read by the second. All is
// computed in double and rounded once.
void divide_by_norms(uintptr_t x, Dtype dtype, int64_t n, int64_t width, uintptr_t y, double* norms, int threads);
void pull_from_norms(uintptr_t x, Dtype dtype, int64_t n, int64_t width, const double* norms, uintptr_t upstream,
                     uintptr_t gradient, int threads);

}  // namespace ce
