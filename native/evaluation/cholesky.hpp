// Solutions of symmetric positive definite systems, on one thread.
#pragma once

#include <cstdint>

namespace ce {

// Writes L with L Lᵀ = A over the lower half of A (n, n). False if A is not positive definite.
bool cholesky_factor(double* a, int64_t n);

// Writes the solution of L Lᵀ x = b over b (n).
void cholesky_solve(const double* factor, int64_t n, double* b);

}  // namespace ce
