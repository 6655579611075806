// Losses that act on every class of a row, in one call: for every row or as a sum.
//
//   ℓ = ω Σ_c a_c φ(p_c)     a_c = w_c ((1−ε) t_c + ε r_c)     W = ω Σ_c w_c t_c
//
// and others of the same shape (formulas.hpp, bi_tempered.hpp). No more than some numbers of every row are kept from the
// forward to the backward pass: what a row is made of stays in the cache while it is worked on, so that each pass reads
// the logits once.
#pragma once

#include "classes/formulas.hpp"
#include "rows/loss.hpp"

namespace ce {

enum class Formula : int { kFocal, kPower, kBrier, kCrammerSinger, kWestonWatkins, kBiTempered, kCrossEntropy, kMixture };

// What is summed over the classes, of logits times `scale`. The target is one label, a mass for every class, or both:
// masses that are the row of a table (C, C) which the label names.
struct ClassFormula {
  Formula formula;
  FormulaNumbers numbers;
  double scale;
};

class ClassLoss {
 public:
  ClassLoss(const ClassFormula& formula, const View& logits, const Shape& shape, const Target& target,
            const RowTerms& terms, const float* class_weight = nullptr);

  // As of RowLoss.
  RowLossTotals evaluate(uintptr_t losses, int threads) const;
  // The losses alone, one double for every row.
  void evaluate_rows(double* losses, int threads) const;
  // What the last evaluation has left for a pullback, which another object of the same problem may be given.
  const std::vector<double>& kept_numbers() const { return kept; }
  void keep(const double* numbers, int64_t n) { kept.assign(numbers, numbers + n); }
  bool has_probabilities() const { return are_probabilities(logits, shape); }
  void pullback(uintptr_t logits, double factor, const double* upstream, const View& gradient, int threads) const;
  // The derivative of the pullback by the logits, along a direction; of all formulas but the hinges and cross-entropy,
  // whose derivatives are constant and those of curvature.hpp.
  void pullback_along(uintptr_t logits, double factor, const double* upstream, const View& direction, const View& out,
                      int threads) const;

 private:
  bool is_soft() const { return target.dense.address && !target.indices; }

  ClassFormula formula;
  View logits;
  Shape shape;
  Target target;
  RowTerms terms;
  std::vector<double> weights;  // w_c, in whole lines; none if all are 1
  std::vector<double> prior;    // ε r_c w_c, likewise; none if ε is 0
  mutable std::vector<double> kept;  // kKept numbers of every row

  template <class Work>
  void with_formula(const Work& work) const;
  template <class Work>
  void with_formula_of_duals(const Work& work) const;
  template <class Form>
  class Reader;
  template <class Form>
  int64_t sum_rows(const Form& form, int64_t begin, int64_t end, double* losses, double* masses, double* errors) const;
  int64_t sum_all_rows(double* losses, double* masses, double* errors, int threads) const;
  template <class Form>
  void pull_rows(const Form& form, const View& from, const View* direction, double factor, const double* upstream,
                 const View& gradient, int64_t begin, int64_t end) const;
  template <class Form>
  void pull_block(const Form& form, const View& from, double factor, const double* upstream, const View& gradient,
                  int64_t begin, int64_t end) const;
  template <class Form>
  void pull_block_along(const Form& form, const View& from, const View& direction, double factor,
                        const double* upstream, const View& out, int64_t begin, int64_t end) const;
};

}  // namespace ce
