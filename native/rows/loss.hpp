// The losses of labels and of sets of them, under any link of rows/links.hpp, in one call: for every row or as a sum.
//
//   ℓ = ω ((1−ε) Σ_j a_j φ(D_j) + ε G_r + z L² − η H)        W = ω Σ_j a_j        a_j = w_{y_j} t_j
//
// At ten classes the arithmetic takes a microsecond, and every further call from Python takes as long again.
#pragma once

#include <optional>
#include <vector>

#include "common/memory.hpp"
#include "rows/checks.hpp"
#include "rows/links.hpp"
#include "rows/problem.hpp"

namespace ce {

// What of the loss is not the logits or the target; what is null is 1, of the smoothing prior 1/classes.
struct RowTerms {
  Link link;                            // φ
  double smoothing = 0.0;               // ε
  const double* smoothing_prior = nullptr;  // [classes], before class weights
  double z_loss = 0.0;                  // z
  double entropy_bonus = 0.0;           // η
  const double* class_weight = nullptr;   // w[classes]
  const double* masses = nullptr;         // t[rows][k]
  const double* sample_weight = nullptr;  // ω[rows]
  const double* divisors = nullptr;       // N[rows], of which a 0 takes its row out
};

struct RowLossTotals {
  double loss = 0.0, mass = 0.0;  // Σ ℓ, Σ W
  double least_mass = 0.0;        // the smallest W, or 0
  int64_t counted = 0;            // rows that are not ignored
  int64_t bad_row = -1;           // the first with a label outside the classes
  int64_t empty_row = -1;         // the first without a finite logit in its label set
  double mass_error = 0.0;        // by how much soft targets of a row that counts miss a sum of 1, at most
};

class RowLoss {
 public:
  // Class weights in single precision are given beside the terms, in which there are none then.
  RowLoss(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
          const RowTerms& terms, const float* class_weight = nullptr);

  // `losses`, if there are any, are those of the rows, in float64 for logits of float64 and else in float32.
  RowLossTotals evaluate(uintptr_t losses, int threads);

  // Whether the logits are probabilities already.
  bool has_probabilities() const { return are_probabilities(logits, shape); }

  // The gradient of `factor` times the sum of the losses, each times its number in `upstream` if there are any, by the
  // logits, which are where they were or at a new address.
  void pullback(uintptr_t logits, double factor, const double* upstream, const View& gradient, int threads) const;

 private:
  // The shared doubles, column by column: those of the statistics that the problem has, and upstream gradients, which
  // lie where a statistic did that only the loss needs. Of a row of few classes the log-odds are not touched, for there
  // the work is done in blocks that stay in the cache.
  struct Planes {
    double *top = nullptr, *rest = nullptr;
    double *slope = nullptr, *log_odds = nullptr, *by_log_odds = nullptr;  // k a row
    double *L_above_top = nullptr, *set_top = nullptr, *set_rest = nullptr, *prior_term = nullptr;
    double* prior_slope = nullptr;  // where it is no constant
    double *log_partition = nullptr, *by_log_partition = nullptr;
    double *entropy = nullptr, *by_entropy = nullptr;
  };
  struct Part;

  View logits;
  Shape shape;
  Transform transform;
  Target target;
  RowTerms terms;
  Prior prior;
  std::vector<double> class_weights;
  std::vector<float> prior_values;
  std::vector<double> prior_doubles;
  std::optional<Scratch> memory;  // of the planes, from the first pass on
  Planes planes;

  void make_prior();
  bool is_normalized() const { return terms.link.kind == LinkKind::kNormalized; }
  bool has_set() const { return target.mask.address != 0; }
  bool only_log_odds() const {
    return target.indices && target.k == 1 && !prior.present && terms.z_loss == 0.0 && terms.entropy_bonus == 0.0;
  }
  bool has_few_classes() const;
  void make_planes();
  Statistics statistics() const;
  void finish(int64_t begin, int64_t end, const double* log_odds, uintptr_t losses, Part& part) const;
  void weigh(double factor, const double* upstream, int64_t begin, int64_t end, double* by_log_odds) const;
};

}  // namespace ce
