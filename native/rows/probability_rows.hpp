// Rows of probabilities: whether they are, what they sum to, and what they give to a label.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// For every row its sum, NaN if an entry is negative, and the entry of its label, NaN if there is no such class;
// both as double[rows]. One read of the array.
void probability_rows(const View& probabilities, const Shape& shape, const int64_t* labels, double* sums,
                      double* picked, int threads);

// Whether every row lies in [0, 1] and sums to 1 within 1e-3. Reading stops at the first number that does not fit.
bool are_probabilities(const View& x, const Shape& shape);

}  // namespace ce
