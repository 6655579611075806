// Sixteen rows at a time, class after class: a lane is a row.
#include "evaluation/linear_softmax.hpp"

#include <cstddef>
#include <vector>

#include "common/parallel.hpp"
#include "evaluation/logarithm.hpp"

namespace ce {
namespace {

constexpr int kRows = 16;
constexpr int64_t kBlock = 256 * kRows;

struct Tile {
  Tile(int64_t classes, int64_t sums)
      : z(size_t(classes * kRows)), u(z.size()), t(z.size()), sums(size_t(sums * kRows)) {}
  std::vector<double> z, u, t, sums;  // as [class][row]
  alignas(64) double weight[kRows];
};

CE_CLONES void map_scores(const LinearSoftmax& map, int64_t classes, const double* __restrict z, double* __restrict u) {
  for (int64_t k = 0; k < classes; ++k) {
    const double* row = map.coefficients + k * (map.diagonal ? 2 : classes + 1);
    double* own = u + k * kRows;
    if (map.diagonal) {
      for (int l = 0; l < kRows; ++l) own[l] = row[0] * z[k * kRows + l] + row[1];
      continue;
    }
    for (int l = 0; l < kRows; ++l) own[l] = row[classes];
    for (int64_t j = 0; j < classes; ++j)
      for (int l = 0; l < kRows; ++l) own[l] += row[j] * z[j * kRows + l];
  }
}

// u becomes q − t. With e = e^{u − max u} over the classes but the most probable one, log q = (u − max u) − log1p(Σ e).
CE_CLONES void differentiate(int64_t classes, const double* __restrict z, const double* __restrict t,
                             double* __restrict u, double* __restrict loss, double* __restrict slope,
                             double* __restrict curvature) {
  alignas(64) double top[kRows], rest[kRows], below[kRows] = {}, mean[kRows] = {};
  for (int l = 0; l < kRows; ++l) {
    top[l] = u[l];
    rest[l] = -1.0;  // the most probable class adds 1, and others that are as probable
    slope[l] = curvature[l] = 0.0;
  }
  for (int64_t c = 1; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) top[l] = u[c * kRows + l] > top[l] ? u[c * kRows + l] : top[l];
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) rest[l] += u[c * kRows + l] == top[l] ? 1.0 : 0.0;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double less = u[c * kRows + l] - top[l], e = exp_nonpositive(less);
      below[l] += t[c * kRows + l] == 0.0 ? 0.0 : t[c * kRows + l] * less;
      rest[l] += less < 0.0 ? e : 0.0;
      u[c * kRows + l] = e;
    }
  for (int l = 0; l < kRows; ++l) loss[l] = log1p_nonnegative(rest[l]) - below[l];
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double q = u[c * kRows + l] / (1.0 + rest[l]);
      mean[l] += q * z[c * kRows + l];
      u[c * kRows + l] = q;
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double q = u[c * kRows + l], x = z[c * kRows + l], away = x - mean[l];
      curvature[l] += q * (away * away);
      u[c * kRows + l] = q - t[c * kRows + l];
      slope[l] += u[c * kRows + l] * x;
    }
}

CE_CLONES void add_gradient(bool diagonal, int64_t classes, const double* __restrict z,
                            const double* __restrict weight, double* __restrict u, double* __restrict sums) {
  for (int64_t k = 0; k < classes; ++k) {
    double *residual = u + k * kRows, *own = sums + k * (diagonal ? 2 : classes + 1) * kRows;
    for (int l = 0; l < kRows; ++l) residual[l] *= weight[l];
    for (int64_t j = diagonal ? k : 0; j < (diagonal ? k + 1 : classes); ++j, own += kRows)
      for (int l = 0; l < kRows; ++l) own[l] += residual[l] * z[j * kRows + l];
    for (int l = 0; l < kRows; ++l) own[l] += residual[l];
  }
}

// The rows from `from` on, of which there are n; the first of them, without weight, in place of those that are missing.
CE_CLONES void load(const LinearSoftmax& map, int64_t from, int64_t n, double* __restrict z, double* __restrict t,
                    double* __restrict weight) {
  const Matrix& x = map.rows.x;
  const double* first = pointer<const double>(x.address) + from * x.row_stride;
  alignas(64) int64_t label[kRows];
  for (int l = 0; l < kRows; ++l) {
    const int64_t row = from + (l < n ? l : 0);
    weight[l] = l < n ? (map.weight ? map.weight[row] : 1.0) : 0.0;
    label[l] = map.rows.soft ? 0 : pointer<const int64_t>(map.rows.labels)[row];
  }
  for (int64_t c = 0; c < x.classes; ++c, z += kRows, t += kRows) {
    const double* column = first + c * x.class_stride;
    if (x.row_stride == 1 && n == kRows) {
      for (int l = 0; l < kRows; ++l) z[l] = column[l];
    } else {
      for (int l = 0; l < kRows; ++l) z[l] = column[(l < n ? l : 0) * x.row_stride];
    }
    if (map.rows.soft) {
      const double* masses = pointer<const double>(map.rows.labels) + from * x.classes + c;
      for (int l = 0; l < kRows; ++l) t[l] = masses[(l < n ? l : 0) * x.classes];
    } else {
      for (int l = 0; l < kRows; ++l) t[l] = c == label[l] ? 1.0 : 0.0;
    }
  }
}

void write(const double* lanes, int64_t n, double* to) {
  for (int64_t l = 0; to && l < n; ++l) to[l] = lanes[l];
}

void add_block(const LinearSoftmax& map, const LinearSoftmaxTerms& terms, int64_t begin, int64_t end, int64_t size,
               double* gradient) {
  const int64_t classes = map.rows.x.classes;
  Tile tile(classes, size);
  alignas(64) double loss[kRows], slope[kRows], curvature[kRows];
  const auto at = [](double* array, int64_t row) { return array ? array + row : nullptr; };
  for (int64_t from = begin; from < end; from += kRows) {
    const int64_t n = end - from < kRows ? end - from : kRows;
    load(map, from, n, tile.z.data(), tile.t.data(), tile.weight);
    map_scores(map, classes, tile.z.data(), tile.u.data());
    differentiate(classes, tile.z.data(), tile.t.data(), tile.u.data(), loss, slope, curvature);
    write(loss, n, at(terms.loss, from));
    write(slope, n, at(terms.slope, from));
    write(curvature, n, at(terms.curvature, from));
    if (gradient)
      add_gradient(map.diagonal, classes, tile.z.data(), tile.weight, tile.u.data(), tile.sums.data());
  }
  for (int64_t i = 0; gradient && i < size; ++i) {
    gradient[i] = 0.0;
    for (int l = 0; l < kRows; ++l) gradient[i] += tile.sums[size_t(i * kRows + l)];
  }
}

}  // namespace

void linear_softmax(const LinearSoftmax& map, const LinearSoftmaxTerms& terms, int threads) {
  const int64_t n = map.rows.x.n, classes = map.rows.x.classes;
  const int64_t size = classes * (map.diagonal ? 2 : classes + 1), blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> gradients(terms.gradient ? size_t(blocks * size) : 0);
  parallel_blocks(n, kBlock, threads, [&](int64_t begin, int64_t end) {
    double* gradient = terms.gradient ? gradients.data() + begin / kBlock * size : nullptr;
    add_block(map, terms, begin, end, size, gradient);
  });
  if (!terms.gradient) return;
  for (int64_t i = 0; i < size; ++i) {
    terms.gradient[i] = 0.0;
    for (int64_t b = 0; b < blocks; ++b) terms.gradient[i] += gradients[size_t(b * size + i)];
  }
}

}  // namespace ce
