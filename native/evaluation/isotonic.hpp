// The best increasing function of ordered predictions.
#pragma once

#include <cstdint>
#include <vector>

#include "evaluation/row_scores.hpp"

namespace ce {

// Pools adjacent violators: from n weights, the part of each that has label 1, and a count of predictions, to those of
// blocks whose frequency of label 1 increases, written over them. Returns how many blocks there are.
int64_t pool_adjacent_violators(double* weight, double* positive, int64_t* predictions, int64_t n);

// The best increasing functions of n ordered predictions, one for each row of `positive` (rows, n): from the part of each
// weight that has label 1 to the frequency of label 1 in its block, written over it.
void increasing_fits(const double* weight, double* positive, int64_t rows, int64_t n);

// Writes the log-odds of each class against the others, as [class][row], for float64 logarithms of probabilities that sum
// to 1. They are not farther from 0 than `farthest`.
void odds_against_rest(const Matrix& log_p, double farthest, double* odds, int threads);

// A function that is linear between knots in increasing order, and constant beyond them; right of a knot that is there
// twice, it begins with the second.
struct Knots {
  const double *at, *to;
  int64_t count;
};

// The values of curves, each at n numbers of its own, as [curve][number]; or the logarithms of their logistic sigmoids.
void interpolate(const std::vector<Knots>& curves, const double* x, int64_t n, bool log_sigmoid, double* y, int threads);

}  // namespace ce
