#include "distributions/row_sums.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "common/parallel.hpp"
#include "distributions/divergence.hpp"
#include "evaluation/logarithm.hpp"

namespace ce {
namespace {

constexpr double kLargest = 1.7976931348623157e308;

template <Quantity quantity, bool kFactors>
CE_INLINE double term(double p, double q, double factor) {
  constexpr double kScale = 0x1p60;
  if constexpr (quantity == Quantity::kEntropy) return p > 0.0 ? -p * log_probability(p) : 0.0;
  if constexpr (quantity == Quantity::kCrossEntropy) {
    const double product = p > 0.0 ? -p * log_probability(q) : 0.0;
    return p > 0.0 && q == 0.0 ? kInf<double> : product;
  }
  p *= kScale;
  factor *= kScale;
  const double product = factor * q;
  if constexpr (quantity == Quantity::kDivergence) {
    if constexpr (!kFactors) return divergence(p, product, p - product);
    // The product may be too small for a number where p is not: its logarithm is that of two quotients.
    const double log = log_ratio(p / factor, q);
    return divergence(p, product, std::fma(-factor, q, p), log, p > 0.0 && q > 0.0 && factor > 0.0);
  }
  const double middle = 0.5 * (p + product), half = 0.5 * (p - product);
  return divergence(p, middle, half) + divergence(product, middle, -half);
}

// Entries of one row or of several short ones, as they are worked on.
struct Entries {
  alignas(64) double p[kLanes], q[kLanes], factor[kLanes], term[kLanes];
};

template <Quantity quantity, bool kFactors>
CE_INLINE bool compute_terms(Entries& e) {
  int valid = 1;
  for (int l = 0; l < kLanes; ++l) {
    const double p = e.p[l], q = e.q[l];
    valid &= (p >= 0.0) & (p <= kLargest) & (q >= 0.0) & (q <= kLargest);
    e.term[l] = term<quantity, kFactors>(p, q, e.factor[l]);
  }
  return valid;
}

constexpr bool has_scale(Quantity quantity) {
  return quantity == Quantity::kDivergence || quantity == Quantity::kJensenShannon;
}

template <Quantity quantity, bool kFactors, class From>
CE_CLONES DistributionChecks sum_rows(const DistributionRows& in, int64_t begin, int64_t end, double* values) {
  constexpr double kUnscale = has_scale(quantity) ? 0x1p-60 : 1.0;
  const int64_t C = in.classes;
  const From* p = pointer<const From>(in.p);
  const From* q = pointer<const From>(in.q);
  Entries e;
  DistributionChecks checks;
  const auto finish = [&](int64_t row, double value, double of_p, double of_q) {
    values[row] = value * kUnscale;
    checks.finite &= std::fabs(value) <= kLargest;
    checks.p_miss = std::max(checks.p_miss, std::fabs(of_p - 1.0));
    checks.q_miss = std::max(checks.q_miss, std::fabs(of_q - 1.0));
  };
  // Rows shorter than a vector are worked on together, and summed one entry after the other.
  const int64_t together = C < kLanes ? (C ? kLanes / C : 1) : 1;
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = end - row < together ? end - row : together;
    alignas(64) double sums[3][kLanes] = {};
    for (int64_t from = 0; from < C; from += kLanes) {
      const int64_t n = C < kLanes ? rows * C : (C - from < kLanes ? C - from : kLanes);
      for (int l = 0; l < kLanes; ++l) e.p[l] = e.q[l] = 0.0;
      for (int l = 0; l < kLanes; ++l) e.factor[l] = kFactors && C >= kLanes ? in.factors[row] : 1.0;
      copy_run(p + row * C + from, e.p, n, WidenTo<double>());
      if (kFactors && C < kLanes) {
        for (int64_t l = 0; l < n; ++l) {
          const int64_t r = row + l / C;
          e.factor[l] = in.factors[r];
          e.q[l] = double(widen(q[r / in.period * C + l % C]));
        }
      } else {
        copy_run(q + (kFactors ? row / in.period : row) * C + from, e.q, n, WidenTo<double>());
      }
      checks.valid &= compute_terms<quantity, kFactors>(e);
      if (C < kLanes) {
        for (int64_t r = 0; r < rows; ++r) {
          double value = 0.0, of_p = 0.0, of_q = 0.0;
          for (int64_t l = r * C; l < (r + 1) * C; ++l) {
            value += e.term[l];
            of_p += e.p[l];
            of_q += e.q[l];
          }
          finish(row + r, value, of_p, of_q);
        }
      } else {
        for (int l = 0; l < kLanes; ++l) {
          sums[0][l] += e.term[l];
          sums[1][l] += e.p[l];
          sums[2][l] += e.q[l];
        }
      }
    }
    if (C >= kLanes) finish(row, sum_lanes(sums[0]), sum_lanes(sums[1]), sum_lanes(sums[2]));
  }
  return checks;
}

template <Quantity quantity, bool kFactors = false>
DistributionChecks sum_all(const DistributionRows& in, double* values, int threads) {
  constexpr int64_t kBlock = 1 << 15;  // entries
  const int64_t C = in.classes > 0 ? in.classes : 1;
  // A multiple of the rows that are worked on together, so that threads work on the same groups as one does.
  const int64_t together = C < kLanes ? kLanes / C : 1;
  const int64_t rows = (kBlock / C + together) / together * together;
  DistributionChecks all;
  std::mutex access;
  with_floating(in.dtype, [&](auto number) {
    using From = decltype(number);
    parallel_blocks(in.rows, rows, threads, [&](int64_t begin, int64_t end) {
      const DistributionChecks checks = sum_rows<quantity, kFactors, From>(in, begin, end, values);
      const std::lock_guard<std::mutex> lock(access);
      all.valid &= checks.valid;
      all.finite &= checks.finite;
      all.p_miss = std::max(all.p_miss, checks.p_miss);
      all.q_miss = std::max(all.q_miss, checks.q_miss);
    });
  });
  return all;
}

}  // namespace

DistributionChecks row_sums(const DistributionRows& in, double* values, int threads) {
  switch (in.quantity) {
    case Quantity::kEntropy: return sum_all<Quantity::kEntropy>(in, values, threads);
    case Quantity::kCrossEntropy: return sum_all<Quantity::kCrossEntropy>(in, values, threads);
    case Quantity::kDivergence:
      return in.factors ? sum_all<Quantity::kDivergence, true>(in, values, threads)
                        : sum_all<Quantity::kDivergence>(in, values, threads);
    default: return sum_all<Quantity::kJensenShannon>(in, values, threads);
  }
}

}  // namespace ce
