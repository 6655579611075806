// Sixteen rows at a time, class after class: a lane is a row, so that rows of ten classes fill vectors as well as rows
// of a hundred thousand.
#include <cmath>
#include <vector>

#include "common/parallel.hpp"
#include "evaluation/logarithm.hpp"
#include "evaluation/row_scores.hpp"

namespace ce {
namespace {

constexpr int kRows = 16;

// p and log p of sixteen rows, as [class][row].
struct Tile {
  explicit Tile(int64_t classes) : p(size_t(classes * kRows)), log_p(size_t(classes * kRows)) {}
  std::vector<double> p, log_p;
};

CE_CLONES void from_probabilities(int64_t classes, double* p, double* log_p) {
  for (int64_t i = 0; i < classes * kRows; i += kRows)
    for (int l = 0; l < kRows; ++l) log_p[i + l] = log_probability(p[i + l]);
}

CE_CLONES void from_logarithms(int64_t classes, double* p, double* log_p) {
  for (int64_t i = 0; i < classes * kRows; i += kRows)
    for (int l = 0; l < kRows; ++l) {
      log_p[i + l] = p[i + l];
      p[i + l] = exp_nonpositive(p[i + l]);
    }
}

// With e = e^{u − max u} over the classes but the most probable one, log p = (u − max u) − log1p(Σ e).
CE_CLONES void from_logits(int64_t classes, double* p, double* log_p) {
  alignas(64) double top[kRows], rest[kRows] = {};
  alignas(64) int64_t at[kRows] = {};
  for (int l = 0; l < kRows; ++l) top[l] = p[l];
  for (int64_t c = 1; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double u = p[c * kRows + l];
      at[l] = u > top[l] ? c : at[l];
      top[l] = u > top[l] ? u : top[l];
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double below = p[c * kRows + l] - top[l];
      const double e = exp_nonpositive(below);
      log_p[c * kRows + l] = below;
      p[c * kRows + l] = e;
      rest[l] += c == at[l] ? 0.0 : e;
    }
  alignas(64) double log_rest[kRows], whole[kRows];
  for (int l = 0; l < kRows; ++l) {
    log_rest[l] = log1p_nonnegative(rest[l]);
    whole[l] = 1.0 + rest[l];
  }
  for (int64_t i = 0; i < classes * kRows; i += kRows)
    for (int l = 0; l < kRows; ++l) {
      log_p[i + l] -= log_rest[l];
      p[i + l] /= whole[l];
    }
}

struct Sums {
  alignas(64) double entropy[kRows], variance[kRows], square[kRows], square_variance[kRows], top[kRows];
  alignas(64) int64_t at[kRows];
};

CE_CLONES void moments(int64_t classes, const double* p, const double* log_p, Sums& sums) {
  for (int l = 0; l < kRows; ++l) {
    sums.entropy[l] = sums.variance[l] = sums.square[l] = sums.square_variance[l] = 0.0;
    sums.top[l] = -1.0;
    sums.at[l] = 0;
  }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double x = p[c * kRows + l];
      sums.entropy[l] -= x > 0.0 ? x * log_p[c * kRows + l] : 0.0;
      sums.square[l] += x * x;
      sums.at[l] = x > sums.top[l] ? c : sums.at[l];
      sums.top[l] = x > sums.top[l] ? x : sums.top[l];
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double x = p[c * kRows + l];
      const double excess = log_p[c * kRows + l] + sums.entropy[l], distance = x - sums.square[l];
      sums.variance[l] += x > 0.0 ? x * (excess * excess) : 0.0;
      sums.square_variance[l] += x * (distance * distance);
    }
}

// Σ p^β (log p)^k for β = ¼, ½, 2, 4 and k = 0, 1, 2.
struct PowerSums {
  alignas(64) double sum[4][3][kRows];
};

CE_CLONES void power_sums(int64_t classes, const double* p, const double* log_p, PowerSums& sums) {
  for (auto& beta : sums.sum)
    for (auto& order : beta)
      for (int l = 0; l < kRows; ++l) order[l] = 0.0;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double x = p[c * kRows + l], log = x > 0.0 ? log_p[c * kRows + l] : 0.0;
      const double root = std::sqrt(x), fourth = std::sqrt(root), square = x * x;
      const double power[4] = {fourth, root, square, square * square};
#pragma GCC unroll 4
      for (int b = 0; b < 4; ++b) {
        sums.sum[b][0][l] += power[b];
        sums.sum[b][1][l] += power[b] * log;
        sums.sum[b][2][l] += power[b] * (log * log);
      }
    }
}

constexpr double kPowers[4] = {0.25, 0.5, 2.0, 4.0};

// t and what of the row's numbers depends on it: for one label the class's numbers, for masses sums over the classes.
struct Truth {
  double log_p, brier, expected_p, correct;
  int64_t rank;
};

Truth of_label(int64_t classes, const double* p, const double* log_p, int l, int64_t label, double square,
               int64_t at) {
  const double own = p[label * kRows + l];
  Truth truth = {log_p[label * kRows + l], 0.0, own, label == at ? 1.0 : 0.0, 0};
  for (int64_t c = 0; c < classes; ++c) {
    const double x = p[c * kRows + l];
    truth.rank += x > own || (x == own && c < label);
  }
  // Σ (p − t)² without a difference of large sums: what is not the label's, and the label's.
  double others = 0.0;
  if (own * own <= 0.5 * square) {
    others = square - own * own;
  } else {
    for (int64_t c = 0; c < classes; ++c) others += c == label ? 0.0 : p[c * kRows + l] * p[c * kRows + l];
  }
  truth.brier = others + (1.0 - own) * (1.0 - own);
  return truth;
}

Truth of_masses(int64_t classes, const double* p, const double* log_p, int l, const double* t, int64_t at) {
  Truth truth = {0.0, 0.0, 0.0, t[at], 0};
  for (int64_t c = 0; c < classes; ++c) {
    const double x = p[c * kRows + l];
    truth.log_p += t[c] == 0.0 ? 0.0 : t[c] * log_p[c * kRows + l];
    truth.brier += (x - t[c]) * (x - t[c]);
    truth.expected_p += t[c] * x;
  }
  return truth;
}

template <class From>
void load(const From* x, int64_t n, int64_t classes, double* tile) {
  for (int l = 0; l < kRows; ++l) {
    const From* row = x + (l < n ? l : 0) * classes;
    for (int64_t c = 0; c < classes; ++c) tile[c * kRows + l] = double(row[c]);
  }
}

template <class From>
void score(const MatrixRows& rows, const RowScores& out, const MatrixScores& more, int64_t begin, int64_t end) {
  const int64_t classes = rows.classes;
  Tile tile(classes);
  Sums sums;
  PowerSums powers;
  for (int64_t from = begin; from < end; from += kRows) {
    const int64_t n = end - from < kRows ? end - from : kRows;
    double *p = tile.p.data(), *log_p = tile.log_p.data();
    load(pointer<const From>(rows.prediction) + from * classes, n, classes, p);
    if (rows.kind == Prediction::kProbability) from_probabilities(classes, p, log_p);
    if (rows.kind == Prediction::kLogit) from_logits(classes, p, log_p);
    if (rows.kind == Prediction::kLogProbability) from_logarithms(classes, p, log_p);
    moments(classes, p, log_p, sums);
    if (more.powers) power_sums(classes, p, log_p, powers);
    for (int l = 0; l < n; ++l) {
      const int64_t i = from + l;
      const Truth truth =
          rows.soft ? of_masses(classes, p, log_p, l, pointer<const double>(rows.labels) + i * classes, sums.at[l])
                    : of_label(classes, p, log_p, l, pointer<const int64_t>(rows.labels)[i], sums.square[l], sums.at[l]);
      out.loss[i] = truth.log_p == 0.0 ? 0.0 : -truth.log_p;
      out.entropy[i] = sums.entropy[l];
      out.variance[i] = sums.variance[l];
      out.brier[i] = truth.brier;
      out.brier_excess[i] = 2.0 * (sums.square[l] - truth.expected_p);
      out.brier_variance[i] = 4.0 * sums.square_variance[l];
      out.correct[i] = truth.correct;
      out.probability[i] = sums.top[l];
      more.rank[i] = truth.rank;
      if (more.powers)
        for (int b = 0; b < 4; ++b) {
          const double* s = &powers.sum[b][0][l];
          const double mean = s[kRows] / s[0];
          double* to = more.powers + b * 3 * rows.n + i;
          to[0] = log_probability(s[0]) - kPowers[b] * truth.log_p;
          to[rows.n] = mean - truth.log_p;
          to[2 * rows.n] = s[2 * kRows] / s[0] - mean * mean;
        }
    }
    if (more.probabilities)
      for (int64_t c = 0; c < classes; ++c)
        for (int l = 0; l < n; ++l) more.probabilities[c * rows.n + from + l] = p[c * kRows + l];
  }
}

template <class From>
CE_CLONES void totals_of(const From* x, bool logarithms, int64_t begin, int64_t end, int64_t classes, double* totals) {
  alignas(64) double sum[kRows];
  for (int64_t from = begin; from < end; from += kRows) {
    const int64_t n = end - from < kRows ? end - from : kRows;
    for (int l = 0; l < kRows; ++l) sum[l] = 0.0;
    for (int64_t c = 0; c < classes; ++c)
      for (int l = 0; l < kRows; ++l) {
        const double v = double(x[(from + (l < n ? l : 0)) * classes + c]);
        const bool inside = logarithms ? v <= 0.0 : v >= 0.0 && v <= 1.0;
        sum[l] += inside ? (logarithms ? exp_nonpositive(v) : v) : kNaN;
      }
    for (int64_t l = 0; l < n; ++l) totals[from + l] = sum[l];
  }
}

}  // namespace

void matrix_scores(const MatrixRows& rows, const RowScores& out, const MatrixScores& more, int threads) {
  parallel_blocks(rows.n, 64 * kRows, threads, [&](int64_t begin, int64_t end) {
    if (rows.dtype == Dtype::kFloat64) return score<double>(rows, out, more, begin, end);
    score<float>(rows, out, more, begin, end);
  });
}

void row_totals(uintptr_t x, Dtype dtype, bool logarithms, int64_t n, int64_t classes, double* totals, int threads) {
  parallel_blocks(n, 64 * kRows, threads, [&](int64_t begin, int64_t end) {
    if (dtype == Dtype::kFloat64) return totals_of(pointer<const double>(x), logarithms, begin, end, classes, totals);
    totals_of(pointer<const float>(x), logarithms, begin, end, classes, totals);
  });
}

}  // namespace ce
