// What one row contributes to every score, from a prediction that is declared to be a probability, a logit or a
// logarithm of a probability.
//
// A row's numbers depend neither on the other rows nor on its place among them, and every machine has the same bits:
// these files are compiled without contraction.
#pragma once

#include <cstdint>

#include "common/lanes.hpp"
#include "evaluation/grid.hpp"

namespace ce {

enum class Prediction : int { kProbability, kLogit, kLogProbability };

// One array of float64 for each; null leaves it out. With p the predicted distribution and t the truth:
struct RowScores {
  double* loss;            // −Σ t log p
  double* entropy;         // H = −Σ p log p
  double* variance;        // Σ p (log p + H)²: of the loss, if the label were drawn from p
  double* brier;           // Σ (p − t)²; in the binary case (p − t)², for the positive class alone
  double* brier_excess;    // the Brier score less its expectation under p
  double* brier_variance;  // its variance under p
  double* correct;         // mass of t on the most probable class, the first of equal ones
  double* probability;     // of the positive class; of many classes, of the most probable one
  double* complement;      // of the negative class; of many classes it is left alone
};

// Sums of what is bounded, in units of 2^-48, to which each row is rounded: total = high · 2^32 + low. The first six are
// entropy to correct; of many classes three for each power β of p follow, see MatrixScores.
constexpr double kFixedUnits = 0x1p48;
constexpr int kFixed = 6, kPowers = 3;
struct FixedSum {
  int64_t high, low;
};
inline void add_fixed(FixedSum& sum, int64_t units) {
  sum.high += units >> 32;
  sum.low += units & 0xffffffff;
}

// One column, of the positive class. Labels are int64 (0 and 1) or, if soft, float64 in [0, 1].
struct BinaryRows {
  uintptr_t prediction;
  Dtype dtype;
  Prediction kind;
  uintptr_t labels;
  bool soft;
  int64_t n;
};
// `fixed` may be null.
void binary_scores(const BinaryRows& rows, const RowScores& out, FixedSum* fixed);

// What rows of one column with hard labels add to counts and exact sums, in one sweep.
struct BinaryTotals {
  FixedSum* fixed;             // kFixed of them
  int64_t *moments, *special;  // of the loss: see exact_moments
  int64_t* octaves;            // of the loss: see octave_counts
  int octave_bits, octave_low;
  int64_t octave_places;
  BinCount* bins;              // of the probability: see bin_counts
  int bin_count;
  int64_t* grid;               // of the probability: see grid_counts; null leaves it out
  int grid_bits;
};
// Where the rows go whose loss is at least the limit.
struct HighLosses {
  double limit;
  int64_t* places;
  double* loss;
};
// Labels are int64, or int8 if `narrow`. Returns how many rows have a high loss.
int64_t binary_totals(const BinaryRows& rows, bool narrow, const RowScores& out, const BinaryTotals& totals,
                      const HighLosses& high);

// Predictions (n, classes), with their strides in elements.
struct Matrix {
  uintptr_t address;
  Dtype dtype;
  int64_t n, classes, row_stride, class_stride;
};

// Labels are int64 indices or, if soft, float64 (n, classes), rows contiguous.
struct MatrixRows {
  Matrix x;
  Prediction kind;
  uintptr_t labels;
  bool soft;
};

// What many classes add; null leaves it out. Powers: for each power β of p, ¼, ½ and 2, three arrays of n numbers, which
// with q = p^β / Σ p^β are log Σ p^β, the mean of log p under q, and its variance.
struct MatrixScores {
  int64_t* rank;          // classes more probable than the label, or as probable and before it; with soft labels 0
  double* probabilities;  // (classes, n)
  double* powers;         // (3, 3, n)
};
void matrix_scores(const MatrixRows& rows, const RowScores& out, const MatrixScores& more, FixedSum* fixed);

// Sums of the rows of probabilities, or of what logarithms stand for; NaN where a number is NaN or outside its range.
void row_totals(const Matrix& x, bool logarithms, double* totals);

}  // namespace ce
