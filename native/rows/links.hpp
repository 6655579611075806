// Links: what a loss makes of the log-odds against a target, and their derivative by these.
//
// With p = σ(−D) and s = 1 − p = σ(D), both with all their digits. Log-odds of NaN give NaN.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "rows/loss_terms.hpp"

namespace ce {

// As `native_links.KINDS` numbers them; n are the numbers of a link, A and B its numbers of every row.
enum class LinkKind : int {
  kFocal,          // s^γ softplus(D)                                          n = γ
  kPower,          // k (1 − p^q)/q with q > 0, from log-odds b on constant    n = q, k, b, the constant
  kPolynomial,     // a softplus(D) + Σ_j c_j s^j with a ≥ 0, a + j c_j ≥ 0    n = a, c_1, …
  kHuberized,      // softplus(D), and where τp ≤ 1 its tangent in p           n = ln τ
  kUnlikelihood,   // softplus(−D)
  kAdvantage,      // A softplus(D)
  kClippedPolicy,  // −min(r A, clip(r, 1 − c, 1 + c) A) with r = p/e^B        n = c, ln(1 + c), ln(1 − c)
  kNormalized,     // α softplus(D)/(C G) + 2β s, of C classes, where G is
                   // the mean of −ln p_c; see normalized_lanes                n = α, β, C
};

struct Link {
  LinkKind kind = LinkKind::kFocal;
  std::vector<double> numbers = {0.0};
  const double *A = nullptr, *B = nullptr;
};

// All that links are made of, of one target.
struct Odds {
  double minus_log_p, minus_log_s, p, s;
  CE_INLINE explicit Odds(double D) {
    const double e = exp_nonpositive(D > 0.0 ? -D : D), log_likelier = log1p_unit(e), likelier = 1.0 / (1.0 + e);
    minus_log_p = (D > 0.0 ? D : 0.0) + log_likelier;
    minus_log_s = (D > 0.0 ? 0.0 : -D) + log_likelier;
    p = D > 0.0 ? e * likelier : likelier;
    s = D > 0.0 ? likelier : e * likelier;
  }
};

CE_INLINE void power_lanes(const double* D, const Link& link, double* loss, double* slope) {
  const double q = link.numbers[0], k = link.numbers[1], bound = link.numbers[2], constant = link.numbers[3];
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    const double x = -q * odds.minus_log_p;
    const bool flat = D[l] >= bound;
    loss[l] = flat ? constant : -k / q * expm1_nonpositive(x);
    slope[l] = flat ? 0.0 : k * exp_nonpositive(x) * odds.s;
  }
}

// The derivative is s (p Σ_j (a + j c_j) s^{j−1} + a s^N), where no term is negative. Where a c_j is negative and s small,
// neither is one of Σ_j (a/j + c_j) s^j, with the rest of the series of a softplus(D).
CE_INLINE void polynomial_lanes(const double* D, const Link& link, double* loss, double* slope) {
  constexpr double kLikely = 0.25;
  constexpr int64_t kSeries = 28;  // terms of Σ s^j/j that suffice
  const double a = link.numbers[0], *const c = link.numbers.data();
  const int64_t N = int64_t(link.numbers.size()) - 1;
  const bool cancels = std::any_of(c + 1, c + N + 1, [](double x) { return x < 0.0; });
  alignas(64) double p[kLanes], s[kLanes], value[kLanes] = {}, gain[kLanes];
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    p[l] = odds.p;
    s[l] = odds.s;
    loss[l] = a == 0.0 ? 0.0 : a * odds.minus_log_p;
    gain[l] = a;
  }
  for (int64_t j = N; j > 0; --j)
    for (int l = 0; l < kLanes; ++l) value[l] = s[l] * (c[j] + value[l]);
  for (int l = 0; l < kLanes; ++l) loss[l] += value[l];
  // Horner's rule from the highest power on: Σ_{j ≥ i} becomes that over s^{i−1}.
  alignas(64) double rest[kLanes] = {};
  for (int64_t j = N; j > 0; --j) {
    const double g = std::fma(double(j), c[j], a);
    for (int l = 0; l < kLanes; ++l) {
      rest[l] = g + s[l] * rest[l];
      gain[l] *= s[l];
    }
  }
  for (int l = 0; l < kLanes; ++l) slope[l] = s[l] * (p[l] * rest[l] + gain[l]);
  if (!cancels) return;
  for (int l = 0; l < kLanes; ++l) value[l] = 0.0;
  for (int64_t j = N + kSeries; j > 0; --j) {
    const double b = (j > N ? a : std::fma(double(j), c[j], a)) / double(j);
    for (int l = 0; l < kLanes; ++l) value[l] = s[l] * (b + value[l]);
  }
  for (int l = 0; l < kLanes; ++l) loss[l] = s[l] < kLikely ? value[l] : loss[l];
}

CE_INLINE void huberized_lanes(const double* D, const Link& link, double* loss, double* slope) {
  const double log_tau = link.numbers[0];
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    const double log_share = log_tau - odds.minus_log_p, x = log_share > 0.0 ? 0.0 : log_share;
    loss[l] = log_share <= 0.0 ? log_tau - expm1_nonpositive(x) : odds.minus_log_p;
    slope[l] = exp_nonpositive(x) * odds.s;
  }
}

CE_INLINE void unlikelihood_lanes(const double* D, double* loss, double* slope) {
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    loss[l] = odds.minus_log_s;
    slope[l] = -odds.p;
  }
}

CE_INLINE void advantage_lanes(const double* D, const double* A, double* loss, double* slope) {
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    loss[l] = A[l] * odds.minus_log_p;
    slope[l] = A[l] * odds.s;
  }
}

// An advantage of 0 gives 0 whatever the ratio, but for NaN.
CE_INLINE void clipped_policy_lanes(const double* D, const Link& link, const double* A, const double* B, double* loss,
                                    double* slope) {
  constexpr double kMost = 693.0;  // whose exponential times an advantage is finite
  const double clip = link.numbers[0], above = link.numbers[1], below = link.numbers[2];
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    const double log_ratio = -odds.minus_log_p - B[l];
    const bool flat = (A[l] > 0.0 && log_ratio > above) || (A[l] < 0.0 && log_ratio < below) ||
                      (A[l] == 0.0 && log_ratio == log_ratio);
    const double x = log_ratio > kMost ? kMost : log_ratio, e = exp_nonpositive(x > 0.0 ? -x : x);
    const double ratio = x > 0.0 ? 1.0 / e : e;
    loss[l] = -A[l] * (flat ? (A[l] > 0.0 ? 1.0 + clip : 1.0 - clip) : ratio);
    slope[l] = flat ? 0.0 : A[l] * ratio * odds.s;
  }
}

// An impossible class makes G infinite: the first term is 0 then, or α if that class is the target, and constant. So it
// is of a single class, where G is 0.
CE_INLINE void normalized_lanes(const double* D, const double* G, const Link& link, double* loss, double* slope,
                                double* slope_G) {
  const double alpha = link.numbers[0], beta = link.numbers[1], C = link.numbers[2];
  for (int l = 0; l < kLanes; ++l) {
    const Odds odds(D[l]);
    const double S = C * G[l];
    const bool flat = S == 0.0 || S == kInf<double>;
    const double share = flat ? (odds.minus_log_p == kInf<double> ? 1.0 : 0.0) : odds.minus_log_p / S;
    loss[l] = alpha * share + 2.0 * beta * odds.s;
    slope[l] = odds.s * ((flat ? 0.0 : alpha / S) + 2.0 * beta * odds.p);
    slope_G[l] = flat ? 0.0 : -alpha * share / G[l];
  }
}

// Of the targets of rows [row, row + rows), whose log-odds are D, one of a row where a link has numbers of every row.
// Finite slopes are at most `most`, the largest number that the gradient is computed in.
CE_INLINE void link_lanes(const double* D, const Link& link, int64_t row, int rows, double most, double* loss,
                          double* slope) {
  if (link.kind == LinkKind::kFocal) return focal_lanes(D, link.numbers[0], loss, slope);
  alignas(64) double A[kLanes] = {}, B[kLanes] = {};
  for (int l = 0; link.A && l < rows; ++l) A[l] = link.A[row + l];
  for (int l = 0; link.B && l < rows; ++l) B[l] = link.B[row + l];
  switch (link.kind) {
    case LinkKind::kPower: power_lanes(D, link, loss, slope); break;
    case LinkKind::kPolynomial: polynomial_lanes(D, link, loss, slope); break;
    case LinkKind::kHuberized: huberized_lanes(D, link, loss, slope); break;
    case LinkKind::kUnlikelihood: unlikelihood_lanes(D, loss, slope); break;
    case LinkKind::kAdvantage: advantage_lanes(D, A, loss, slope); break;
    default: clipped_policy_lanes(D, link, A, B, loss, slope);
  }
  for (int l = 0; l < kLanes; ++l) {
    const double size = std::abs(slope[l]);
    slope[l] = size > most && size < kInf<double> ? std::copysign(most, slope[l]) : slope[l];
  }
}

}  // namespace ce
