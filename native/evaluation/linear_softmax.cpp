// A tile of rows at a time, class after class: a lane is a row.
#include "evaluation/linear_softmax.hpp"

#include <cstddef>
#include <vector>

#include "common/spawn.hpp"
#include "evaluation/linear_softmax_tile.hpp"
#include "evaluation/logarithm.hpp"

namespace ce {
namespace {

constexpr int kRows = kTileRows;
constexpr int64_t kBlock = 256 * kRows;

struct Tile {
  Tile(int64_t classes, int64_t sums)
      : z(size_t((classes + 1) * kRows), 1.0), u(z.size()), t(z.size()), sums(size_t(sums * kLane)) {}
  std::vector<double> z, u, t;  // as [class][row]; the last row of z is 1
  std::vector<double> sums;     // of the gradient, as [coefficient][lane]
  alignas(64) double weight[kRows];
  alignas(64) int64_t label[kRows];
};

// With e = e^{u − max u} over the classes but the most probable one, log q = (u − max u) − log1p(Σ e). Writes e over u,
// 1/Σ e of all classes, and the loss: of labels, or of masses where `masses` is true.
CE_CLONES void exponentiate(int64_t classes, const int64_t* __restrict label, bool masses, const double* __restrict t,
                            double* __restrict u, double* __restrict scale, double* __restrict loss) {
  alignas(64) double top[kRows], rest[kRows], below[kRows];
  for (int l = 0; l < kRows; ++l) {
    top[l] = u[l];
    rest[l] = -1.0;  // the most probable class adds 1, and others that are as probable
    below[l] = 0.0;
  }
  for (int64_t c = 1; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) top[l] = u[c * kRows + l] > top[l] ? u[c * kRows + l] : top[l];
  if (masses) {
    for (int64_t c = 0; c < classes; ++c)
      for (int l = 0; l < kRows; ++l)
        below[l] += t[c * kRows + l] == 0.0 ? 0.0 : t[c * kRows + l] * (u[c * kRows + l] - top[l]);
  } else {
    for (int l = 0; l < kRows; ++l) below[l] = u[label[l] * kRows + l] - top[l];
  }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double less = u[c * kRows + l] - top[l], e = exp_nonpositive(less);
      rest[l] += less < 0.0 ? e : 1.0;
      u[c * kRows + l] = e;
    }
  for (int l = 0; l < kRows; ++l) {
    loss[l] = log1p_nonnegative(rest[l]) - below[l];
    scale[l] = 1.0 / (1.0 + rest[l]);
  }
}

// The slope and the curvature of the loss along z, from e.
CE_CLONES void differentiate(int64_t classes, const double* __restrict z, const int64_t* __restrict label, bool masses,
                             const double* __restrict t, const double* __restrict e, const double* __restrict scale,
                             double* __restrict slope, double* __restrict curvature) {
  alignas(64) double mean[kRows] = {}, own[kRows] = {};
  for (int l = 0; l < kRows; ++l) curvature[l] = 0.0;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) mean[l] += e[c * kRows + l] * scale[l] * z[c * kRows + l];
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) {
      const double away = z[c * kRows + l] - mean[l];
      curvature[l] += e[c * kRows + l] * scale[l] * (away * away);
    }
  if (masses) {  // they need not sum to exactly 1
    for (int64_t c = 0; c < classes; ++c)
      for (int l = 0; l < kRows; ++l) own[l] += t[c * kRows + l] * z[c * kRows + l];
  } else {
    for (int l = 0; l < kRows; ++l) own[l] = z[label[l] * kRows + l];
  }
  for (int l = 0; l < kRows; ++l) slope[l] = mean[l] - own[l];
}

// e becomes w (q − t).
CE_CLONES void subtract_truth(int64_t classes, const int64_t* __restrict label, bool masses, const double* __restrict t,
                              const double* __restrict scale, const double* __restrict weight, double* __restrict e) {
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) e[c * kRows + l] *= scale[l];
  if (masses) {
    for (int64_t c = 0; c < classes; ++c)
      for (int l = 0; l < kRows; ++l) e[c * kRows + l] -= t[c * kRows + l];
  } else {
    for (int l = 0; l < kRows; ++l) e[label[l] * kRows + l] -= 1.0;
  }
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) e[c * kRows + l] *= weight[l];
}

// Of an odd number, the last class or feature stands beside itself, and its second sums are thrown away.
CE_CLONES void add_gradient(bool diagonal, int64_t classes, const double* __restrict x, const double* __restrict residual,
                            double* __restrict sums) {
  const int64_t features = diagonal ? 2 : classes + 1;
  alignas(64) double spare[3][kLane] = {};
  for (int64_t k = 0; k < classes; k += diagonal ? 1 : 2) {
    const bool two = !diagonal && k + 1 < classes;
    const double* r[2] = {residual + k * kRows, residual + (two ? k + 1 : k) * kRows};
    for (int64_t j = 0; j < features; j += 2) {
      const bool pair = j + 1 < features;
      const int64_t first = diagonal ? k : j, second = diagonal ? classes : (pair ? j + 1 : j);
      double* own = sums + (k * features + j) * kLane;
      double* next = two ? own + features * kLane : spare[0];
      add_products<kRows>(r, {x + first * kRows, x + second * kRows},
                          {{own, pair ? own + kLane : spare[1]}, {next, pair && two ? next + kLane : spare[2]}});
    }
  }
}

// The truth of the rows, as `load_tile` reads them: labels, or masses.
void load_truth(const LinearSoftmax& map, int64_t from, int64_t n, int64_t* label, double* t) {
  const int64_t classes = map.rows.x.classes;
  if (!map.rows.soft) {
    const int64_t* labels = pointer<const int64_t>(map.rows.labels) + from;
    for (int l = 0; l < kRows; ++l) label[l] = labels[l < n ? l : 0];
    return;
  }
  const double* masses = pointer<const double>(map.rows.labels) + from * classes;
  for (int64_t c = 0; c < classes; ++c)
    for (int l = 0; l < kRows; ++l) t[c * kRows + l] = masses[(l < n ? l : 0) * classes + c];
}

void write(const double* lanes, int64_t n, double* to) {
  for (int64_t l = 0; to && l < n; ++l) to[l] = lanes[l];
}

void add_block(const LinearSoftmax& map, const LinearSoftmaxTerms& terms, int64_t begin, int64_t end, int64_t size,
               double* gradient) {
  const int64_t classes = map.rows.x.classes;
  const bool masses = map.rows.soft;
  Tile tile(classes, size);
  double *z = tile.z.data(), *u = tile.u.data(), *t = tile.t.data();
  alignas(64) double scale[kRows], loss[kRows], slope[kRows], curvature[kRows];
  const auto at = [](double* array, int64_t row) { return array ? array + row : nullptr; };
  for (int64_t from = begin; from < end; from += kRows) {
    const int64_t n = end - from < kRows ? end - from : kRows;
    load_tile(map, from, n, z, tile.weight);
    load_truth(map, from, n, tile.label, t);
    map_tile(map, classes, z, u);
    exponentiate(classes, tile.label, masses, t, u, scale, loss);
    write(loss, n, at(terms.loss, from));
    if (terms.slope || terms.curvature) {
      differentiate(classes, z, tile.label, masses, t, u, scale, slope, curvature);
      write(slope, n, at(terms.slope, from));
      write(curvature, n, at(terms.curvature, from));
    }
    if (gradient) {
      subtract_truth(classes, tile.label, masses, t, scale, tile.weight, u);
      add_gradient(map.diagonal, classes, z, u, tile.sums.data());
    }
  }
  for (int64_t i = 0; gradient && i < size; ++i) {
    gradient[i] = 0.0;
    for (int l = 0; l < kLane; ++l) gradient[i] += tile.sums[size_t(i * kLane + l)];
  }
}

}  // namespace

CE_CLONES void load_tile(const LinearSoftmax& map, int64_t from, int64_t n, double* __restrict z,
                         double* __restrict weight) {
  const Matrix& x = map.rows.x;
  const double* first = pointer<const double>(x.address) + from * x.row_stride;
  for (int l = 0; l < kRows; ++l) weight[l] = l < n ? (map.weight ? map.weight[from + l] : 1.0) : 0.0;
  for (int64_t c = 0; c < x.classes; ++c, z += kRows) {
    const double* column = first + c * x.class_stride;
    if (x.row_stride == 1 && n == kRows) {
      for (int l = 0; l < kRows; ++l) z[l] = column[l];
    } else {
      for (int l = 0; l < kRows; ++l) z[l] = column[(l < n ? l : 0) * x.row_stride];
    }
  }
}

CE_CLONES void map_tile(const LinearSoftmax& map, int64_t classes, const double* __restrict z, double* __restrict u) {
  for (int64_t k = 0; k < classes; ++k, u += kRows) {
    const double* row = map.coefficients + k * (map.diagonal ? 2 : classes + 1);
    if (map.diagonal) {
      for (int l = 0; l < kRows; ++l) u[l] = row[0] * z[k * kRows + l] + row[1];
      continue;
    }
    Vector sums[kRows / kLane];
#pragma GCC unroll 8
    for (int l = 0; l < kRows / kLane; ++l) sums[l] = row[classes] + Vector{};
    for (int64_t j = 0; j < classes; ++j)
#pragma GCC unroll 8
      for (int l = 0; l < kRows / kLane; ++l) sums[l] += row[j] * lanes(z + j * kRows + l * kLane);
#pragma GCC unroll 8
    for (int l = 0; l < kRows / kLane; ++l) lanes(u + l * kLane) = sums[l];
  }
}

void linear_softmax(const LinearSoftmax& map, const LinearSoftmaxTerms& terms, int threads) {
  const int64_t n = map.rows.x.n, classes = map.rows.x.classes;
  const int64_t size = classes * (map.diagonal ? 2 : classes + 1), blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> gradients(terms.gradient ? size_t(blocks * size) : 0);
  spawned_blocks(n, kBlock, threads, [&](int64_t begin, int64_t end) {
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
