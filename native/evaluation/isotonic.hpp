// The best increasing function of ordered predictions.
#pragma once

#include <cstdint>

namespace ce {

// Pools adjacent violators: from n weights, the part of each that has label 1, and a count of predictions, to those of
// blocks whose frequency of label 1 increases, written over them. Returns how many blocks there are.
int64_t pool_adjacent_violators(double* weight, double* positive, int64_t* predictions, int64_t n);

// The best increasing functions of n ordered predictions, one for each row of `positive` (rows, n): from the part of each
// weight that has label 1 to the frequency of label 1 in its block, written over it.
void increasing_fits(const double* weight, double* positive, int64_t rows, int64_t n);

}  // namespace ce
