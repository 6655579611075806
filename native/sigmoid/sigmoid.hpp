// The sigmoid family: every element is a yes-or-no question with a loss of its own.
//
//   loss = ω (w₊ q φ₊(log p) + w₋ (1 − q) φ₋(log(1 − p_m))),   p = σ(z),   q = (1 − ε) t + ε/2
//
// with φ(log p) = −(1 − p)^γ log p (cross-entropy at γ = 0) and, after Ridnik et al., p_m = max(p − m, 0).
// A term without mass is 0, whatever its logarithm.
#pragma once

#include "common/lanes.hpp"

namespace ce {

// Contiguous arrays by address, 0 where absent; logits are floating, labels of any dtype, and an integer label that is
// neither 0 nor 1 is read as NaN. Element i is class (i / inner) mod classes. The loss type is
// double for logits of double, else float; weights have it too.
struct SigmoidProblem {
  uintptr_t logits;
  Dtype logits_type;
  uintptr_t labels;
  Dtype labels_type;
  int64_t size, classes, inner;
  uintptr_t sample_weight;  // ω, one per element; or, with weight_per_row, one for all classes of a row
  bool weight_per_row;
  uintptr_t positive_weight, negative_weight;  // w₊ and w₋, [classes]; w₋ only beside w₊
  double smoothing;                            // ε
  double positive_gamma, negative_gamma;       // γ₊, γ₋
  double negative_shift;                       // m
};

struct SigmoidTotals {
  double loss = 0.0;
  double weight = 0.0;         // Σ ω w₋
  double least_weight = 0.0;   // the smallest ω w₋, if it is negative
  int64_t invalid_label = -1;  // the first that is outside [0, 1] and has weight
};

// Writes the loss of every element, or the sum of so many that lie `together`, to `losses`, and the derivatives by the
// logits, in their type, to `slopes`, each if given; returns the sum of the losses.
SigmoidTotals sigmoid_loss(const SigmoidProblem&, uintptr_t losses, int threads, uintptr_t slopes = 0,
                           int64_t together = 1);

// Writes the gradient, in the logits' type: times `scale`, or times `upstream`, one factor of the loss type
// for every element.
void sigmoid_gradient(const SigmoidProblem&, double scale, uintptr_t upstream, uintptr_t gradient, int threads);

// Writes the first and second derivative by each logit of its loss, in the loss type, both computed in double; the
// second, with `positive`, without its negative terms, if there is no shift. Returns the first label that is outside [0, 1]
// and has weight, or -1.
int64_t sigmoid_derivatives(const SigmoidProblem&, bool positive, uintptr_t first, uintptr_t second, int threads);

}  // namespace ce
