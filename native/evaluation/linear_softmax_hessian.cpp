// The Hessian of the log loss of a softmax of linear maps of scores.
#include <cstddef>
#include <vector>

#include "common/exp.hpp"
#include "common/spawn.hpp"
#include "evaluation/linear_softmax.hpp"
#include "evaluation/linear_softmax_tile.hpp"

namespace ce {
namespace {

constexpr int64_t kBlock = 16 * kTileRows;  // rows whose features stay in the nearest cache

// The features of rows that are padded to whole blocks, the probabilities of their classes, and their weights, 0 for the
// padding: each as [feature, class][row].
struct Padded {
  Padded(int64_t classes, int64_t n)
      : rows((n + kBlock - 1) / kBlock * kBlock),
        x(size_t((classes + 1) * rows), 1.0),  // the last feature is 1
        q(size_t(classes * rows)),
        weight(size_t(rows)) {}
  int64_t rows;
  std::vector<double> x, q, weight;
};

CE_CLONES void normalize(int64_t classes, double* __restrict u) {
  alignas(64) double top[kTileRows], total[kTileRows] = {};
  for (int l = 0; l < kTileRows; ++l) top[l] = u[l];
  for (int64_t c = 1; c < classes; ++c)
    for (int l = 0; l < kTileRows; ++l) top[l] = u[c * kTileRows + l] > top[l] ? u[c * kTileRows + l] : top[l];
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kTileRows; ++l) {
      u[c * kTileRows + l] = exp_nonpositive(u[c * kTileRows + l] - top[l]);
      total[l] += u[c * kTileRows + l];
    }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kTileRows; ++l) u[c * kTileRows + l] /= total[l];
}

// Σ x y over a block: every lane is added on its own.
CE_CLONES double product(const double* __restrict x, const double* __restrict y) {
  alignas(64) double sum[kTileRows];
  for (int l = 0; l < kTileRows; ++l) sum[l] = 0.0;
  for (int64_t r = 0; r < kBlock; r += kTileRows)
    for (int l = 0; l < kTileRows; ++l) sum[l] += x[r + l] * y[r + l];
#pragma GCC unroll 4
  for (int half = kTileRows / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

CE_CLONES void multiply(const double* __restrict x, const double* __restrict y, double* __restrict to) {
  for (int64_t r = 0; r < kBlock; ++r) to[r] = x[r] * y[r];
}

// s = w q_k (δ_kl − q_l): the second derivatives of a row's loss by the scores of two classes.
CE_CLONES void curvatures(const double* __restrict weight, const double* __restrict q, const double* __restrict other,
                          double same, double* __restrict s) {
  for (int64_t r = 0; r < kBlock; ++r) s[r] = weight[r] * (q[r] * (same - other[r]));
}

// Adds Σ s x_i x_j of a block to sums (features, features), for j ≤ i at least. Of an odd number, the last feature stands
// beside itself.
CE_CLONES void add_block(const double* const* x, int64_t features, const double* s, double* sums) {
  alignas(64) double scaled[2][kBlock];
  for (int64_t i = 0; i < features; i += 2) {
    const int64_t rows[2] = {i, i + 1 < features ? i + 1 : i};
    for (int k = 0; k < 2; ++k)
      for (int64_t r = 0; r < kBlock; ++r) scaled[k][r] = s[r] * x[rows[k]][r];
    for (int64_t j = 0; j <= i; j += 2) {
      const int64_t columns[2] = {j, j + 1 < features ? j + 1 : j};
      alignas(64) double lanes[2][2][kLane] = {};
      add_products<kBlock>({scaled[0], scaled[1]}, {x[columns[0]], x[columns[1]]},
                           {{lanes[0][0], lanes[0][1]}, {lanes[1][0], lanes[1][1]}});
      for (int k = 0; k < int(1 + rows[1] - rows[0]); ++k)
        for (int l = 0; l < int(1 + columns[1] - columns[0]); ++l)
          for (int lane = 0; lane < kLane; ++lane) sums[rows[k] * features + columns[l]] += lanes[k][l][lane];
    }
  }
}

// The sums for the classes k and l, which are symmetric in the features of a matrix: written at both places.
void add_pair(const Padded& rows, bool diagonal, int64_t classes, int64_t k, int64_t l, double* hessian) {
  const int64_t features = diagonal ? 2 : classes + 1, size = classes * features;
  std::vector<double> sums(size_t(features * features), 0.0);
  std::vector<const double*> x(size_t(features), nullptr);
  alignas(64) double s[kBlock], scaled[kBlock];
  for (int64_t from = 0; from < rows.rows; from += kBlock) {
    const auto feature = [&](int64_t i) { return rows.x.data() + i * rows.rows + from; };
    const double* q = rows.q.data() + from;
    curvatures(rows.weight.data() + from, q + k * rows.rows, q + l * rows.rows, k == l ? 1.0 : 0.0, s);
    if (diagonal) {
      const double *own = feature(k), *other = feature(l), *one = feature(classes);
      multiply(s, own, scaled);
      sums[0] += product(scaled, other);
      sums[1] += product(scaled, one);
      sums[2] += product(s, other);
      sums[3] += product(s, one);
      continue;
    }
    for (int64_t i = 0; i < features; ++i) x[size_t(i)] = feature(i);
    add_block(x.data(), features, s, sums.data());
  }
  for (int64_t i = 0; i < features; ++i)
    for (int64_t j = 0; j < features; ++j) {
      const double sum = sums[size_t(diagonal || j <= i ? i * features + j : j * features + i)];
      hessian[(k * features + i) * size + l * features + j] = sum;
      hessian[(l * features + j) * size + k * features + i] = sum;
    }
}

}  // namespace

void linear_softmax_hessian(const LinearSoftmax& map, double* hessian, int threads) {
  const int64_t n = map.rows.x.n, classes = map.rows.x.classes;
  Padded rows(classes, n);
  spawned_blocks(n, kBlock, threads, [&](int64_t begin, int64_t end) {
    std::vector<double> z(size_t(classes * kTileRows)), u(z.size());
    for (int64_t from = begin; from < end; from += kTileRows) {
      const int64_t count = end - from < kTileRows ? end - from : kTileRows;
      load_tile(map, from, count, z.data(), rows.weight.data() + from);
      map_tile(map, classes, z.data(), u.data());
      normalize(classes, u.data());
      for (int64_t c = 0; c < classes; ++c)
        for (int l = 0; l < kTileRows; ++l) {
          rows.x[size_t(c * rows.rows + from + l)] = z[size_t(c * kTileRows + l)];
          rows.q[size_t(c * rows.rows + from + l)] = u[size_t(c * kTileRows + l)];
        }
    }
  });
  // The pairs k ≥ l of classes, numbered row by row, in turn: each is summed by one thread.
  spawned_blocks(classes * (classes + 1) / 2, 1, threads, [&](int64_t pair, int64_t) {
    int64_t k = 0;
    while ((k + 1) * (k + 2) / 2 <= pair) ++k;
    add_pair(rows, map.diagonal, classes, k, pair - k * (k + 1) / 2, hessian);
  });
}

}  // namespace ce
