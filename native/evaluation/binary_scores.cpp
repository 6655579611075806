#include <cmath>

#include "evaluation/logarithm.hpp"
#include "evaluation/row_scores.hpp"

namespace ce {
namespace {

constexpr int kTogether = 64;

struct Pair {  // of the positive class and of its complement
  double p, q, log_p, log_q;
};

template <Prediction kind>
CE_INLINE Pair pair_of(double x) {
  if constexpr (kind == Prediction::kProbability) return {x, 1.0 - x, log_probability(x), log_complement(x)};
  if constexpr (kind == Prediction::kLogit) {
    const double e = exp_nonpositive(x > 0 ? -x : x), log1p = log1p_unit(e);
    const double less = e / (1.0 + e), more = 1.0 / (1.0 + e), far = (x > 0 ? -x : x) - log1p;
    return x > 0 ? Pair{more, less, -log1p, far} : Pair{less, more, far, -log1p};
  }
  const double p = exp_nonpositive(x), q = -expm1_nonpositive(x);
  const double near = log_probability(q), tail = log_complement(p);
  return {p, q, x, x > -0.6931471805599453 ? near : tail};
}

CE_INLINE double times_log(double mass, double log) { return mass == 0.0 ? 0.0 : mass * log; }

// Adding it rounds a number to units of 2^-48, which stand in the lowest bits.
constexpr double kFix = 1.5 * 0x1p52 / kFixedUnits;

template <Prediction kind, class From, class Label>
CE_CLONES void score(const From* x, const Label* labels, int64_t n, int64_t at, const RowScores& out, int64_t* units) {
  alignas(64) double lanes[9][kTogether], truth[kTogether], log_p[kTogether], log_q[kTogether];
  double *const p = lanes[7], *const q = lanes[8];
  copy_run<kTogether>(x, p, n, WidenTo<double>());
  copy_run<kTogether>(labels, truth, n, [](Label t) { return double(t); });
  for (int64_t l = n; l < kTogether; ++l) p[l] = p[0], truth[l] = truth[0];
  for (int l = 0; l < kTogether; ++l) {
    const Pair b = pair_of<kind>(p[l]);
    p[l] = b.p;
    q[l] = b.q;
    log_p[l] = b.log_p;
    log_q[l] = b.log_q;
  }
  for (int l = 0; l < kTogether; ++l) {
    const double t = truth[l];
    const Pair b = {p[l], q[l], log_p[l], log_q[l]};
    const double distance = t * b.q - (1.0 - t) * b.p, slope = b.q - b.p, odds = b.log_p - b.log_q;
    lanes[0][l] = 0.0 - (times_log(t, b.log_p) + times_log(1.0 - t, b.log_q));  // never −0
    lanes[1][l] = -(times_log(b.p, b.log_p) + times_log(b.q, b.log_q));
    lanes[2][l] = b.p * b.q == 0.0 ? 0.0 : b.p * b.q * (odds * odds);
    lanes[3][l] = distance * distance;
    lanes[4][l] = distance * slope;
    lanes[5][l] = slope * slope * (b.p * b.q);
    lanes[6][l] = b.p > b.q ? t : 1.0 - t;
  }
  double* const targets[9] = {out.loss,           out.entropy, out.variance,    out.brier,     out.brier_excess,
                              out.brier_variance, out.correct, out.probability, out.complement};
  for (int s = 0; s < 9; ++s)
    if (targets[s]) copy_run<kTogether>(lanes[s], targets[s] + at, n, WidenTo<double>());
  if (!units) return;
  for (int s = 0; s < kFixed; ++s) {
    if (n < kTogether)
      for (int64_t l = n; l < kTogether; ++l) lanes[s + 1][l] = 0.0;
    for (int l = 0; l < kTogether; ++l)
      units[s * kTogether + l] += bit_cast<int64_t>(lanes[s + 1][l] + kFix) - bit_cast<int64_t>(kFix);
  }
}

template <Prediction kind, class From, class Label>
void score_all(const BinaryRows& rows, const RowScores& out, FixedSum* fixed) {
  constexpr int64_t kBlock = 128 * kTogether;  // rows whose units a lane can hold
  const From* x = pointer<const From>(rows.prediction);
  const Label* labels = pointer<const Label>(rows.labels);
  for (int64_t begin = 0; begin < rows.n; begin += kBlock) {
    const int64_t end = rows.n - begin < kBlock ? rows.n : begin + kBlock;
    alignas(64) int64_t units[kFixed * kTogether] = {};
    for (int64_t i = begin; i < end; i += kTogether)
      score<kind>(x + i, labels + i, end - i < kTogether ? end - i : kTogether, i, out, fixed ? units : nullptr);
    if (!fixed) continue;
    for (int s = 0; s < kFixed; ++s)
      for (int l = 0; l < kTogether; ++l) add_fixed(fixed[s], units[s * kTogether + l]);
  }
}

template <Prediction kind>
void score_kind(const BinaryRows& rows, const RowScores& out, FixedSum* fixed) {
  const bool wide = rows.dtype == Dtype::kFloat64;
  if (wide && rows.soft) return score_all<kind, double, double>(rows, out, fixed);
  if (wide) return score_all<kind, double, int64_t>(rows, out, fixed);
  if (rows.soft) return score_all<kind, float, double>(rows, out, fixed);
  score_all<kind, float, int64_t>(rows, out, fixed);
}

}  // namespace

void binary_scores(const BinaryRows& rows, const RowScores& out, FixedSum* fixed) {
  switch (rows.kind) {
    case Prediction::kProbability: return score_kind<Prediction::kProbability>(rows, out, fixed);
    case Prediction::kLogit: return score_kind<Prediction::kLogit>(rows, out, fixed);
    case Prediction::kLogProbability: return score_kind<Prediction::kLogProbability>(rows, out, fixed);
  }
}

}  // namespace ce
