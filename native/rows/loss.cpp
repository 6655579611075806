#include "rows/loss.hpp"

#include <algorithm>

#include "rows/few_classes.hpp"
#include "rows/log_sum.hpp"
#include "common/parallel.hpp"
#include "rows/loss_terms.hpp"
#include "rows/row_weights.hpp"

namespace ce {
namespace {

uintptr_t address(const double* plane) { return reinterpret_cast<uintptr_t>(plane); }

// Planes of whole problems are counted from their first row on, a block's own from the block's.
uintptr_t address_from(const double* block, int64_t begin) {
  return address(block) - uintptr_t(begin) * sizeof(double);
}

// Blocks of rows whose work fits the cache, and as many of them at a time as a thread may take.
template <class Work>
void in_blocks(int64_t n, int64_t share, int threads, const Work& work) {
  const int64_t block = (share + kRowsOfASum - 1) / kRowsOfASum * kRowsOfASum;
  parallel_blocks(n, block, threads, [&](int64_t begin, int64_t end) {
    for (int64_t from = begin; from < end; from += kRowsOfASum) work(from, std::min(from + kRowsOfASum, end));
  });
}

template <class T>
double fill_prior(const RowTerms& terms, int64_t classes, std::vector<T>& values) {
  values.resize(size_t(classes));
  double total = 0.0;
  for (int64_t c = 0; c < classes; ++c) {
    const double w = terms.class_weight ? terms.class_weight[c] : 1.0;
    values[size_t(c)] = T(terms.smoothing_prior ? terms.smoothing_prior[c] * w : w / double(classes));
    total += double(values[size_t(c)]);
  }
  return total;
}

}  // namespace

struct RowLoss::Part {
  double loss, mass, least_mass;
  int64_t counted;
  int64_t bad_row = -1, empty_row = -1;
};

RowLoss::RowLoss(const View& logits, const Shape& shape, const Transform& transform, const Target& target,
                 const RowTerms& terms, const float* class_weight)
    : logits(logits), shape(shape), transform(transform), target(target), terms(terms) {
  if (class_weight) {
    class_weights.assign(class_weight, class_weight + shape.classes);
    this->terms.class_weight = class_weights.data();
  }
  if (terms.smoothing != 0.0 || is_normalized()) make_prior();
}

void RowLoss::make_prior() {
  prior.present = true;
  if (!terms.class_weight && !terms.smoothing_prior) return;
  if (logits.dtype == Dtype::kFloat64) {
    prior.total = fill_prior(terms, shape.classes, prior_doubles);
    prior.values = address(prior_doubles.data());
  } else {
    prior.total = fill_prior(terms, shape.classes, prior_values);
    prior.values = reinterpret_cast<uintptr_t>(prior_values.data());
  }
}

bool RowLoss::has_few_classes() const {
  return only_log_odds() && ce::has_few_classes(logits, shape, transform, target);
}

void RowLoss::make_planes() {
  const int64_t n = shape.rows(), k = target.k;
  const int64_t columns = 2 + 2 * k + (only_log_odds() ? 0 : k + 1) + (has_set() ? 2 : 0) + (prior.present ? 1 : 0) +
                          (is_normalized() ? 1 : 0) + (terms.z_loss != 0.0 ? 2 : 0) + (terms.entropy_bonus != 0.0 ? 2 : 0);
  memory.emplace(size_t(columns * n));
  double* free = memory->data();
  const auto next = [&free, n](int64_t columns) {
    double* plane = free;
    free += columns * n;
    return plane;
  };
  planes.top = next(1);
  planes.rest = next(1);
  planes.slope = next(k);
  planes.log_odds = next(k);
  planes.by_log_odds = only_log_odds() ? planes.log_odds : next(k);
  if (!only_log_odds()) planes.L_above_top = next(1);
  if (has_set()) planes.set_top = next(1), planes.set_rest = next(1);
  if (prior.present) planes.prior_term = next(1);
  if (is_normalized()) planes.prior_slope = next(1);
  if (terms.z_loss != 0.0) planes.log_partition = next(1), planes.by_log_partition = next(1);
  if (terms.entropy_bonus != 0.0) planes.entropy = next(1), planes.by_entropy = next(1);
}

Statistics RowLoss::statistics() const {
  Statistics found;
  found.log_odds = address(planes.log_odds);
  found.top = address(planes.top);
  found.rest = address(planes.rest);
  found.set_top = address(planes.set_top);
  found.set_rest = address(planes.set_rest);
  found.L_above_top = address(planes.L_above_top);
  found.prior_term = address(planes.prior_term);
  found.log_partition = address(planes.log_partition);
  found.entropy = address(planes.entropy);
  return found;
}

// The losses and slopes of rows [begin, end), whose log-odds begin at `log_odds`.
CE_CLONES void RowLoss::finish(int64_t begin, int64_t end, const double* log_odds, uintptr_t row_losses,
                               Part& part) const {
  const int64_t k = target.k;
  const double kept = 1.0 - terms.smoothing;
  const double most = logits.dtype == Dtype::kFloat64 ? std::numeric_limits<double>::max()
                                                      : double(std::numeric_limits<float>::max());
  RowWeights weights(target, terms, shape.classes);
  alignas(64) double losses[kLanes] = {}, masses[kLanes] = {}, least[kLanes] = {};
  part.counted = 0;
  for (int64_t row = begin; row < end; row += kLanes) {
    const int rows = int(std::min<int64_t>(kLanes, end - row));
    alignas(64) double loss[kLanes] = {}, mass[kLanes] = {}, D[kLanes] = {}, phi[kLanes], slope[kLanes];
    alignas(64) double share[kLanes];
    weights.begin(row, rows);
    for (int64_t j = 0; j < k; ++j) {
      for (int l = 0; l < rows; ++l) D[l] = log_odds[(row - begin + l) * k + j];
      weights.shares(j, share);
      if (is_normalized()) {
        alignas(64) double G[kLanes] = {}, slope_G[kLanes];
        for (int l = 0; l < rows; ++l) G[l] = planes.prior_term[row + l];
        normalized_lanes(D, G, terms.link, phi, slope, slope_G);
        for (int l = 0; l < rows; ++l)
          planes.prior_slope[row + l] = product(weights.row[l] * share[l], slope_G[l]);
      } else {
        link_lanes(D, terms.link, row, rows, most, phi, slope);
      }
      for (int l = 0; l < rows; ++l) {
        loss[l] += product(kept * share[l], phi[l]);
        mass[l] += share[l];
        planes.slope[(row + l) * k + j] = product(weights.row[l] * kept * share[l], slope[l]);
      }
    }
    for (int l = 0; terms.smoothing != 0.0 && l < rows; ++l) loss[l] += terms.smoothing * planes.prior_term[row + l];
    for (int l = 0; terms.z_loss != 0.0 && l < rows; ++l)
      loss[l] += terms.z_loss * (planes.log_partition[row + l] * planes.log_partition[row + l]);
    for (int l = 0; terms.entropy_bonus != 0.0 && l < rows; ++l)
      loss[l] -= terms.entropy_bonus * planes.entropy[row + l];
    for (int l = 0; l < rows; ++l) {
      losses[l] += product(weights.row[l], loss[l]);
      const double own = product(weights.row[l], mass[l]);
      masses[l] += own;
      least[l] = own < least[l] ? own : least[l];
    }
    for (int l = 0; l < rows; ++l) part.counted += weights.counts[l];
    for (int l = 0; has_set() && part.empty_row < 0 && l < rows; ++l)
      if (planes.set_top[row + l] == -kInf<double>) part.empty_row = row + l;
    if (!row_losses) continue;
    for (int l = 0; l < rows; ++l) loss[l] = product(weights.row[l], loss[l]);
    store_losses(row_losses, logits.dtype, row, rows, loss);
  }
  part.loss = sum_lanes(losses);
  part.mass = sum_lanes(masses);
  part.least_mass = *std::min_element(least, least + kLanes);
}

RowLossTotals RowLoss::evaluate(uintptr_t losses, int threads) {
  make_planes();
  const int64_t n = shape.rows();
  const bool few = has_few_classes();
  RowLossTotals totals;
  if (!few) totals.bad_row = row_statistics(logits, shape, transform, target, prior, statistics(), threads);
  std::vector<Part> parts(size_t((n + kRowsOfASum - 1) / kRowsOfASum));
  in_blocks(n, few ? block_of_rows(shape, false, threads) : 1, threads, [&](int64_t begin, int64_t end) {
    Part& part = parts[size_t(begin / kRowsOfASum)];
    if (!few) return finish(begin, end, planes.log_odds + begin * target.k, losses, part);
    double log_odds[kRowsOfASum];
    Statistics found = statistics();
    found.log_odds = address_from(log_odds, begin);
    part.bad_row = few_classes_statistics(logits, shape, transform, target, found, begin, end);
    finish(begin, end, log_odds, losses, part);
  });
  for (const Part& part : parts) {
    totals.loss += part.loss;
    totals.mass += part.mass;
    totals.counted += part.counted;
    totals.least_mass = std::min(totals.least_mass, part.least_mass);
    if (totals.bad_row < 0) totals.bad_row = part.bad_row;
    if (totals.empty_row < 0) totals.empty_row = part.empty_row;
  }
  return totals;
}

// What a unit of each statistic of rows [begin, end) adds to `factor` times the sum. A loss that counts for nothing has
// no gradient, even where a slope is NaN.
CE_CLONES void RowLoss::weigh(double factor, const double* upstream, int64_t begin, int64_t end,
                              double* by_log_odds) const {
  const int64_t k = target.k;
  if (!upstream) {
    for (int64_t i = begin * k; i < end * k; ++i) by_log_odds[i - begin * k] = product(factor, planes.slope[i]);
  } else {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = row * k; i < (row + 1) * k; ++i)
        by_log_odds[i - begin * k] = product(factor * upstream[row], planes.slope[i]);
  }
  if (!prior.present && terms.z_loss == 0.0 && terms.entropy_bonus == 0.0) return;
  RowWeights weights(target, terms, shape.classes);
  for (int64_t row = begin; row < end; row += kLanes) {
    const int rows = int(std::min<int64_t>(kLanes, end - row));
    weights.begin(row, rows);
    for (int l = 0; upstream && l < rows; ++l) weights.row[l] = product(weights.row[l], upstream[row + l]);
    for (int l = 0; prior.present && l < rows; ++l)
      planes.prior_term[row + l] =
          is_normalized() ? product(factor * (upstream ? upstream[row + l] : 1.0), planes.prior_slope[row + l])
                          : factor * terms.smoothing * weights.row[l];
    for (int l = 0; terms.z_loss != 0.0 && l < rows; ++l)
      planes.by_log_partition[row + l] =
          product(factor * (2.0 * terms.z_loss) * weights.row[l], planes.log_partition[row + l]);
    for (int l = 0; terms.entropy_bonus != 0.0 && l < rows; ++l)
      planes.by_entropy[row + l] = -factor * terms.entropy_bonus * weights.row[l];
  }
}

void RowLoss::pullback(uintptr_t from, double factor, const double* upstream, const View& gradient, int threads) const {
  const int64_t n = shape.rows();
  View here = logits;
  here.address = from;
  if (has_few_classes() && gradient.dtype == logits.dtype) {
    in_blocks(n, block_of_rows(shape, false, threads), threads, [&](int64_t begin, int64_t end) {
      double by_log_odds[kRowsOfASum];
      weigh(factor, upstream, begin, end, by_log_odds);
      few_classes_pullback(here, shape, transform, target, statistics(), address_from(by_log_odds, begin), gradient,
                           begin, end);
    });
    return;
  }
  in_blocks(n, 1, threads, [&](int64_t begin, int64_t end) {
    weigh(factor, upstream, begin, end, planes.by_log_odds + begin * target.k);
  });
  Cotangents by;
  by.log_odds = address(planes.by_log_odds);
  by.prior_term = address(planes.prior_term);
  by.log_partition = address(planes.by_log_partition);
  by.entropy = address(planes.by_entropy);
  Gradients out;
  out.logits = gradient;
  row_pullback(here, shape, transform, target, prior, statistics(), by, out, threads);
}

}  // namespace ce
