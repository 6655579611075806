// Sixteen rows at a time, class after class: a lane is a row, so that rows of ten classes fill vectors as well as rows
// of a hundred thousand.
#include <cmath>
#include <vector>

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

// Σ p^β (log p)^k for β = ¼, ½, 2 and k = 0, 1, 2; then what MatrixScores::powers says.
struct PowerSums {
  alignas(64) double sum[kPowers][3][kRows];
};

CE_CLONES void power_sums(int64_t classes, const double* p, const double* log_p, PowerSums& sums) {
  for (auto& beta : sums.sum)
    for (auto& order : beta)
      for (int l = 0; l < kRows; ++l) order[l] = 0.0;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double x = p[c * kRows + l], log = x > 0.0 ? log_p[c * kRows + l] : 0.0;
      const double root = std::sqrt(x), power[kPowers] = {std::sqrt(root), root, x * x};
#pragma GCC unroll 4
      for (int b = 0; b < kPowers; ++b) {
        sums.sum[b][0][l] += power[b];
        sums.sum[b][1][l] += power[b] * log;
        sums.sum[b][2][l] += power[b] * (log * log);
      }
    }
  for (auto& beta : sums.sum)
    for (int l = 0; l < kRows; ++l) {
      const double whole = beta[0][l], mean = beta[1][l] / whole;
      beta[0][l] = log_probability(whole);
      beta[1][l] = mean;
      beta[2][l] = beta[2][l] / whole - mean * mean;
    }
}

// t and what of the rows' numbers depends on it.
struct Truth {
  alignas(64) double log_p[kRows], p[kRows], brier[kRows], correct[kRows];
  alignas(64) int64_t rank[kRows];
};

// Σ (p − t)² has no difference of large sums: what is not the label's, and the label's.
CE_CLONES void of_labels(int64_t classes, const double* p, const double* log_p, const int64_t* labels,
                         const Sums& sums, Truth& truth) {
  alignas(64) int64_t label[kRows];
  for (int l = 0; l < kRows; ++l) {
    label[l] = labels[l];
    truth.p[l] = p[label[l] * kRows + l];
    truth.log_p[l] = log_p[label[l] * kRows + l];
    truth.correct[l] = label[l] == sums.at[l] ? 1.0 : 0.0;
    truth.brier[l] = (1.0 - truth.p[l]) * (1.0 - truth.p[l]);
    truth.rank[l] = 0;
  }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double x = p[c * kRows + l];
      truth.brier[l] += c == label[l] ? 0.0 : x * x;
      truth.rank[l] += (x > truth.p[l] || (x == truth.p[l] && c < label[l])) ? 1 : 0;
    }
}

void of_masses(int64_t classes, const double* p, const double* log_p, const double* masses, int64_t n,
               const Sums& sums, Truth& truth) {
  for (int l = 0; l < kRows; ++l) {
    const double* t = masses + (l < n ? l : 0) * classes;
    truth.log_p[l] = truth.brier[l] = truth.p[l] = 0.0;
    truth.correct[l] = t[sums.at[l]];
    truth.rank[l] = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const double x = p[c * kRows + l];
      truth.log_p[l] += t[c] == 0.0 ? 0.0 : t[c] * log_p[c * kRows + l];
      truth.brier[l] += (x - t[c]) * (x - t[c]);
      truth.p[l] += t[c] * x;
    }
  }
}

// The rows from `from` on, of which there are n, as [class][row]; the first of them in place of those that are missing.
template <class From>
CE_CLONES void load(const Matrix& x, int64_t from, int64_t n, double* tile) {
  const From* first = pointer<const From>(x.address) + from * x.row_stride;
  for (int64_t c = 0; c < x.classes; ++c) {
    const From* column = first + c * x.class_stride;
    if (x.row_stride == 1 && n == kRows) {
      for (int l = 0; l < kRows; ++l) tile[c * kRows + l] = double(column[l]);
    } else {
      for (int l = 0; l < kRows; ++l) tile[c * kRows + l] = double(column[(l < n ? l : 0) * x.row_stride]);
    }
  }
}

constexpr int kSums = kFixed + 3 * kPowers;

// Adds the first n lanes of each array, in units of 2^-48; clears the others.
CE_CLONES void add_units(double* const* arrays, int count, int64_t n, int64_t* units) {
  for (int s = 0; s < count; ++s) {
    double* lanes = arrays[s];
    for (int64_t l = n; l < kRows; ++l) lanes[l] = 0.0;
    for (int l = 0; l < kRows; ++l) units[s * kRows + l] += int64_t(std::nearbyint(lanes[l] * kFixedUnits));
  }
}

template <class T>
void write(const T* lanes, int64_t n, T* to) {
  for (int64_t l = 0; l < n; ++l) to[l] = lanes[l];
}

void write_all(int64_t from, int64_t n, const RowScores& out, const MatrixScores& more, int64_t rows, Sums& sums,
               Truth& truth, PowerSums& powers, int64_t* units) {
  alignas(64) double loss[kRows], excess[kRows], variance[kRows];
  for (int l = 0; l < kRows; ++l) {
    loss[l] = truth.log_p[l] == 0.0 ? 0.0 : -truth.log_p[l];
    excess[l] = 2.0 * (sums.square[l] - truth.p[l]);
    variance[l] = 4.0 * sums.square_variance[l];
  }
  double* bounded[kSums] = {sums.entropy, sums.variance, truth.brier, excess, variance, truth.correct};
  double* arrays[kSums] = {out.entropy,      out.variance,       out.brier,
                           out.brier_excess, out.brier_variance, out.correct};
  for (int which = 0; which < 3 * kPowers; ++which) {
    bounded[kFixed + which] = powers.sum[which / 3][which % 3];
    arrays[kFixed + which] = more.powers ? more.powers + which * rows : nullptr;
  }
  for (int s = 0; s < kSums; ++s)
    if (arrays[s]) write(bounded[s], n, arrays[s] + from);
  write(loss, n, out.loss + from);
  write(sums.top, n, out.probability + from);
  write(truth.rank, n, more.rank + from);
  if (units) add_units(bounded, kSums, n, units);
}

template <class From>
void score(const MatrixRows& rows, const RowScores& out, const MatrixScores& more, int64_t begin, int64_t end,
           int64_t* units) {
  const int64_t classes = rows.x.classes;
  Tile tile(classes);
  Sums sums;
  PowerSums powers = {};
  Truth truth;
  for (int64_t from = begin; from < end; from += kRows) {
    const int64_t n = end - from < kRows ? end - from : kRows;
    double *p = tile.p.data(), *log_p = tile.log_p.data();
    load<From>(rows.x, from, n, p);
    if (rows.kind == Prediction::kProbability) from_probabilities(classes, p, log_p);
    if (rows.kind == Prediction::kLogit) from_logits(classes, p, log_p);
    if (rows.kind == Prediction::kLogProbability) from_logarithms(classes, p, log_p);
    moments(classes, p, log_p, sums);
    if (classes > 2) power_sums(classes, p, log_p, powers);
    if (rows.soft) {
      of_masses(classes, p, log_p, pointer<const double>(rows.labels) + from * classes, n, sums, truth);
    } else {
      int64_t labels[kRows];
      for (int l = 0; l < kRows; ++l) labels[l] = pointer<const int64_t>(rows.labels)[from + (l < n ? l : 0)];
      of_labels(classes, p, log_p, labels, sums, truth);
    }
    write_all(from, n, out, more, rows.x.n, sums, truth, powers, units);
    if (more.probabilities)
      for (int64_t c = 0; c < classes; ++c)
        for (int l = 0; l < n; ++l) more.probabilities[c * rows.x.n + from + l] = p[c * kRows + l];
  }
}

CE_INLINE double in_range(double v, bool logarithms) {
  const bool inside = logarithms ? v <= 0.0 : v >= 0.0 && v <= 1.0;
  return inside ? (logarithms ? exp_nonpositive(v) : v) : kNaN;
}

template <class From>
CE_CLONES void add_column(const From* column, int64_t stride, bool logarithms, int64_t n, double* totals) {
  if (stride == 1 && !logarithms) {
    for (int64_t i = 0; i < n; ++i) totals[i] += in_range(double(column[i]), false);
  } else {
    for (int64_t i = 0; i < n; ++i) totals[i] += in_range(double(column[i * stride]), logarithms);
  }
}

template <class From>
void totals_of(const Matrix& x, bool logarithms, double* totals) {
  constexpr int64_t kTogether = 512;  // rows whose numbers stay in the nearest caches
  for (int64_t from = 0; from < x.n; from += kTogether) {
    const int64_t n = x.n - from < kTogether ? x.n - from : kTogether;
    for (int64_t i = 0; i < n; ++i) totals[from + i] = 0.0;
    const From* first = pointer<const From>(x.address) + from * x.row_stride;
    for (int64_t c = 0; c < x.classes; ++c)
      add_column(first + c * x.class_stride, x.row_stride, logarithms, n, totals + from);
  }
}

}  // namespace

void matrix_scores(const MatrixRows& rows, const RowScores& out, const MatrixScores& more, FixedSum* fixed) {
  constexpr int64_t kBlock = 64 * kRows;  // rows whose units a lane can hold
  for (int64_t begin = 0; begin < rows.x.n; begin += kBlock) {
    const int64_t end = rows.x.n - begin < kBlock ? rows.x.n : begin + kBlock;
    alignas(64) int64_t units[kSums * kRows] = {};
    if (rows.x.dtype == Dtype::kFloat64) {
      score<double>(rows, out, more, begin, end, fixed ? units : nullptr);
    } else {
      score<float>(rows, out, more, begin, end, fixed ? units : nullptr);
    }
    if (!fixed) continue;
    for (int s = 0; s < kSums; ++s)
      for (int l = 0; l < kRows; ++l) add_fixed(fixed[s], units[s * kRows + l]);
  }
}

void row_totals(const Matrix& x, bool logarithms, double* totals) {
  if (x.dtype == Dtype::kFloat64) return totals_of<double>(x, logarithms, totals);
  totals_of<float>(x, logarithms, totals);
}

}  // namespace ce
