// The log loss of a softmax of linear maps of scores, with its derivatives: what calibrators of many classes minimize.
#pragma once

#include <cstdint>

#include "evaluation/row_scores.hpp"

namespace ce {

// With z the scores of a row and t its truth: u = W z + b, q = softmax(u), loss = −Σ t log q.
struct LinearSoftmax {
  MatrixRows rows;             // float64; their kind is of no effect
  const double* weight;        // of each row; null if all are 1
  const double* coefficients;  // (C, C + 1), W beside b; (C, 2) if W is diagonal
  bool diagonal;
};

// Null leaves an array out.
struct LinearSoftmaxTerms {
  double* loss;       // of each row
  double* slope;      // Σ (q − t) z
  double* curvature;  // Σ q z² − (Σ q z)²
  double* gradient;   // Σ over rows of w (q − t) z and w (q − t), as the coefficients
};

// Blocks of rows are summed in their order, so that the sums do not depend on the number of threads.
void linear_softmax(const LinearSoftmax& map, const LinearSoftmaxTerms& terms, int threads);

// The Hessian of the summed loss by the coefficients, row by row: (size, size), with as many as there are coefficients.
void linear_softmax_hessian(const LinearSoftmax& map, double* hessian, int threads);

}  // namespace ce
