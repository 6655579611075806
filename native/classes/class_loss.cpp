#include "classes/class_rows.hpp"

#include <atomic>

#include "classes/bi_tempered.hpp"
#include "common/parallel.hpp"
#include "rows/loss_terms.hpp"

namespace ce {

// The losses and masses of rows [begin, end) before they are weighed, and by how much soft targets miss a sum of 1;
// tells the first row with a label outside the classes, −1 if there is none.
template <class Form>
CE_CLONES int64_t ClassLoss::sum_rows(const Form& form, int64_t begin, int64_t end, double* losses, double* masses,
                                      double* errors) const {
  Reader<Form> reader(*this, logits);
  RowWeights weigh(target, terms, shape.classes);
  int64_t bad = -1;
  for (int64_t row = begin; row < end; row += reader.rows_together()) {
    const int64_t n = std::min(reader.rows_together(), end - row);
    alignas(64) double share[kLanes];
    weigh.begin(row, int(n));
    reader.load(row, n);
    if (target.indices) weigh.shares(0, share);
    for (int64_t r = 0; r < n; ++r) {
      const double own = weigh.row[r];
      double sum = 1.0;
      if (!target.indices) reader.masses(r, sum, share[r]);
      if (!target.indices && !Form::kTimesMass) share[r] = 1.0;
      if (errors) {
        const double error = own == 0.0 ? 0.0 : std::abs(sum - 1.0);
        errors[row + r] = error == error ? error : kInf<double>;
      }
      masses[row + r] = product(own, share[r]);
      if (target.indices && weigh.counts[r] && uint64_t(reader.label(r)) >= uint64_t(shape.classes) && bad < 0)
        bad = row + r;
      const double weight = Form::kWeighted ? own : product(own, share[r]);
      if (weight == 0.0) {
        losses[row + r] = 0.0;
        continue;
      }
      auto found = reader.prepare(r);
      losses[row + r] = weight * (found.top < 0 ? kNaN : form.loss(found));
    }
  }
  return bad;
}

template <class Form>
CE_CLONES void ClassLoss::pull_block(const Form& form, const View& from, double factor, const double* upstream,
                                     const View& gradient, int64_t begin, int64_t end) const {
  pull_rows(form, from, nullptr, factor, upstream, gradient, begin, end);
}

namespace {

// In whole lines, the last of which is filled up by zeros.
template <class Value>
std::vector<double> class_vector(int64_t classes, const Value& value) {
  std::vector<double> values(size_t((classes + kRowLanes - 1) / kRowLanes * kRowLanes), 0.0);
  for (int64_t c = 0; c < classes; ++c) values[size_t(c)] = value(c);
  return values;
}

}  // namespace

ClassLoss::ClassLoss(const ClassFormula& formula, const View& logits, const Shape& shape, const Target& target,
                     const RowTerms& terms, const float* class_weight)
    : formula(formula), logits(logits), shape(shape), target(target), terms(terms) {
  const auto w = [&](int64_t c) {
    return class_weight ? double(class_weight[c]) : terms.class_weight ? terms.class_weight[c] : 1.0;
  };
  if (class_weight || terms.class_weight) weights = class_vector(shape.classes, w);
  this->terms.class_weight = weights.empty() ? nullptr : weights.data();
  if (terms.smoothing == 0.0) return;
  prior = class_vector(shape.classes, [&](int64_t c) {
    const double r = terms.smoothing_prior ? terms.smoothing_prior[c] : 1.0 / double(shape.classes);
    return terms.smoothing * r * w(c);
  });
}

template <class Work>
void ClassLoss::with_formula(const Work& work) const {
  const FormulaNumbers& n = formula.numbers;
  const bool is_double = logits.dtype == Dtype::kFloat64;
  switch (formula.formula) {
    case Formula::kFocal:
      return is_double ? work(LinkOfClasses<double, FocalLink>(n)) : work(LinkOfClasses<float, FocalLink>(n));
    case Formula::kPower:
      return is_double ? work(LinkOfClasses<double, PowerLink>(n)) : work(LinkOfClasses<float, PowerLink>(n));
    case Formula::kBrier:  // beside soft targets a probability may cancel
      return is_double || target.dense.address ? work(Brier<double>(n)) : work(Brier<float>(n));
    case Formula::kCrammerSinger: return work(Hinge<true>(n));
    case Formula::kWestonWatkins: return work(Hinge<false>(n));
    case Formula::kBiTempered: return work(BiTempered<double>(n));
    case Formula::kCrossEntropy:
      return is_double ? work(CrossEntropyOfClasses<double>()) : work(CrossEntropyOfClasses<float>());
    case Formula::kMixture: return work(Mixture<double>(n));
  }
}

// The first row with a label outside the classes, −1 if there is none.
int64_t ClassLoss::sum_all_rows(double* losses, double* masses, double* errors, int threads) const {
  const int64_t n = shape.rows();
  std::atomic<int64_t> bad{-1};
  with_formula([&](const auto& form) {
    kept.resize(size_t(n * form.kKept));
    parallel_blocks(n, rows_with(kEntriesAtATime, shape.classes), threads, [&](int64_t begin, int64_t end) {
      const int64_t found = sum_rows(form, begin, end, losses, masses, errors);
      int64_t known = bad;
      while (found >= 0 && (known < 0 || found < known) && !bad.compare_exchange_weak(known, found)) {
      }
    });
  });
  return bad;
}

void ClassLoss::evaluate_rows(double* losses, int threads) const {
  Scratch masses(size_t(shape.rows()));
  sum_all_rows(losses, masses.data(), nullptr, threads);
}

RowLossTotals ClassLoss::evaluate(uintptr_t row_losses, int threads) const {
  const int64_t n = shape.rows();
  const bool soft = is_soft();
  Scratch memory(size_t((soft ? 3 : 2) * n));
  double *const losses = memory.data(), *const masses = losses + n, *const errors = soft ? masses + n : nullptr;
  RowLossTotals totals;
  totals.bad_row = sum_all_rows(losses, masses, errors, threads);
  totals.loss = sum_of_rows(losses, n);
  totals.mass = sum_of_rows(masses, n);
  RowWeights weigh(target, terms, shape.classes);
  for (int64_t row = 0; row < n; row += kLanes) {
    const int rows = int(std::min<int64_t>(kLanes, n - row));
    weigh.begin(row, rows);
    for (int l = 0; l < rows; ++l) {
      totals.counted += weigh.counts[l];
      totals.least_mass = std::min(totals.least_mass, masses[row + l]);
      if (soft) totals.mass_error = std::max(totals.mass_error, errors[row + l]);
    }
    if (row_losses) store_losses(row_losses, logits.dtype, row, rows, losses + row);
  }
  return totals;
}

void ClassLoss::pullback(uintptr_t from, double factor, const double* upstream, const View& gradient,
                         int threads) const {
  View here = logits;
  here.address = from;
  with_formula([&](const auto& form) {
    parallel_blocks(shape.rows(), rows_with(kEntriesAtATime, shape.classes), threads, [&](int64_t begin, int64_t end) {
      pull_block(form, here, factor, upstream, gradient, begin, end);
    });
  });
}

}  // namespace ce
