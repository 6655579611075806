// What is checked of rows before a loss is computed: probabilities, and masks of label sets.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// For every row its sum, NaN if an entry is negative, and the entry of its label, NaN if there is no such class;
// both as double[rows]. One read of the array.
void probability_rows(const View& probabilities, const Shape& shape, const int64_t* labels, double* sums,
                      double* picked, int threads);

// Whether every row lies in [0, 1] and sums to 1 within 1e-3. Reading stops at the first number that does not fit.
bool are_probabilities(const View& x, const Shape& shape);

// has_any[row] = whether a byte of the row of a mask is not 0. A row is read up to the first of them.
void rows_with_any(const View& mask, const Shape& shape, uint8_t* has_any, int threads);

}  // namespace ce
