#include "evaluation/isotonic.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/spawn.hpp"
#include "evaluation/logarithm.hpp"

namespace ce {
namespace {

constexpr int kRows = 16;
constexpr int64_t kBlock = 256 * kRows;
constexpr int64_t kCells = 1 << 14;

// e becomes the log-odds of logarithms z of probabilities. What is left beside the most probable class is added up, for
// its complement would lose digits; of other classes, that is at least a half.
CE_CLONES void odds_of(int64_t classes, const double* __restrict z, double farthest, double* __restrict e) {
  alignas(64) double top[kRows], at[kRows] = {}, others[kRows] = {};
  for (int l = 0; l < kRows; ++l) top[l] = z[l];
  for (int64_t c = 1; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const bool higher = z[c * kRows + l] > top[l];
      at[l] = higher ? double(c) : at[l];
      top[l] = higher ? z[c * kRows + l] : top[l];
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      e[c * kRows + l] = exp_nonpositive(z[c * kRows + l]);
      others[l] += at[l] == double(c) ? 0.0 : e[c * kRows + l];
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double rest = at[l] == double(c) ? others[l] : 1.0 - e[c * kRows + l];
      const double odds = z[c * kRows + l] - log_probability(rest);
      e[c * kRows + l] = odds > farthest ? farthest : (odds < -farthest ? -farthest : odds);
    }
}

// Where to look for the last knot that is not right of x: between those of the bounds of its cell.
class Cells {
 public:
  explicit Cells(const Knots& knots) : first_(knots.at[0]), last_(size_t(kCells + 1)) {
    const double span = knots.at[knots.count - 1] - first_;
    scale_ = span > 0.0 ? double(kCells) / span : 0.0;
    int64_t i = 0;
    for (int64_t c = 0; c <= kCells; ++c) {
      while (i + 1 < knots.count && cell(knots.at[i + 1]) < c) ++i;
      last_[size_t(c)] = i;  // the last knot in a cell before this one
    }
  }
  // The cell of x between the first and the last knot: it does not fall as x rises.
  int64_t cell(double x) const {
    const int64_t c = int64_t((x - first_) * scale_);
    return c < kCells ? c : kCells - 1;
  }
  int64_t below(int64_t cell) const { return last_[size_t(cell)]; }

 private:
  double first_, scale_;
  std::vector<int64_t> last_;
};

double value(const Knots& knots, const Cells& cells, double x) {
  const double *at = knots.at, *to = knots.to;
  if (!(x >= at[0])) return x == x ? to[0] : x;
  if (x >= at[knots.count - 1]) return to[knots.count - 1];
  const int64_t c = cells.cell(x);
  int64_t low = cells.below(c), high = cells.below(c + 1) + 1;  // at[low] ≤ x < at[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (at[middle] <= x ? low : high) = middle;
  }
  if (at[low] == x) return to[low];
  return to[low] + (to[low + 1] - to[low]) / (at[low + 1] - at[low]) * (x - at[low]);
}

CE_CLONES void take_log_sigmoid(int64_t n, double* x) {
  for (int64_t i = 0; i < n; ++i) x[i] = -softplus(-x[i]);
}

}  // namespace

int64_t pool_adjacent_violators(double* weight, double* positive, int64_t* predictions, int64_t n) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < n; ++i) {
    double w = weight[i], a = positive[i];
    int64_t count = predictions[i];
    for (; blocks > 0 && positive[blocks - 1] * w >= a * weight[blocks - 1]; --blocks) {  // at least as high: one block
      w += weight[blocks - 1];
      a += positive[blocks - 1];
      count += predictions[blocks - 1];
    }
    weight[blocks] = w;
    positive[blocks] = a;
    predictions[blocks++] = count;
  }
  return blocks;
}

void increasing_fits(const double* weight, double* positive, int64_t rows, int64_t n) {
  std::vector<double> weights(static_cast<size_t>(n)), ones(weights);
  std::vector<int64_t> predictions(weights.size());
  for (double* row = positive; row != positive + rows * n; row += n) {
    std::copy(weight, weight + n, weights.begin());
    std::copy(row, row + n, ones.begin());
    std::fill(predictions.begin(), predictions.end(), 1);
    const int64_t blocks = pool_adjacent_violators(weights.data(), ones.data(), predictions.data(), n);
    double* end = row;
    for (size_t b = 0; b < size_t(blocks); ++b) end = std::fill_n(end, predictions[b], ones[b] / weights[b]);
  }
}

void odds_against_rest(const Matrix& log_p, double farthest, double* odds, int threads) {
  const int64_t n = log_p.n, classes = log_p.classes;
  const double* first = pointer<const double>(log_p.address);
  spawned_blocks(n, kBlock, threads, [&](int64_t begin, int64_t end) {
    std::vector<double> z(size_t(classes * kRows)), e(z.size());
    for (int64_t from = begin; from < end; from += kRows) {
      const int64_t count = end - from < kRows ? end - from : kRows;
      for (int64_t c = 0; c < classes; ++c)
        for (int l = 0; l < kRows; ++l)
          z[size_t(c * kRows + l)] =
              first[(from + (l < count ? l : 0)) * log_p.row_stride + c * log_p.class_stride];
      odds_of(classes, z.data(), farthest, e.data());
      for (int64_t c = 0; c < classes; ++c)
        for (int64_t l = 0; l < count; ++l) odds[c * n + from + l] = e[size_t(c * kRows + l)];
    }
  });
}

void interpolate(const std::vector<Knots>& curves, const double* x, int64_t n, bool log_sigmoid, double* y,
                 int threads) {
  const std::vector<Cells> cells(curves.begin(), curves.end());
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  spawned_blocks(blocks * int64_t(curves.size()), 1, threads, [&](int64_t task, int64_t) {
    const int64_t curve = task / blocks, begin = task % blocks * kBlock;
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    const double* from = x + curve * n + begin;
    double* to = y + curve * n + begin;
    for (int64_t i = 0; i < count; ++i) to[i] = value(curves[size_t(curve)], cells[size_t(curve)], from[i]);
    if (log_sigmoid) take_log_sigmoid(count, to);
  });
}

}  // namespace ce
