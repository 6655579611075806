#include "classes/class_loss.hpp"

#include <atomic>

#include "classes/bi_tempered.hpp"
#include "common/parallel.hpp"
#include "rows/loss_terms.hpp"
#include "rows/row_weights.hpp"

namespace ce {

namespace {

constexpr int64_t kBlock = 32768;  // entries of the rows that a thread takes at a time

bool is_soft(const Target& target) { return target.dense.address && !target.indices; }

}  // namespace

// Rows of a block, read one after the other into what a formula works on.
template <class Form>
class ClassLoss::Reader {
 public:
  using Real = typename Form::Real;

  CE_INLINE Reader(const ClassLoss& of, const View& from)
      : of(of), from(from), tile(from, of.shape), soft(is_soft(of.target)), table(!soft && of.target.dense.address),
        numbers(tile.width * (tile.rows * (soft ? 2 : 1) + (Form::kMasses ? (soft ? 1 : 2) : 0))),
        vectors(Form::kMasses ? 2 * tile.width : 1) {
    e = numbers.data() + tile.width * tile.rows;
    a = e + tile.width;
    weight = vectors.data();
    prior = weight + tile.width;
    for (size_t c = 0; Form::kMasses && c < of.weights.size(); ++c) weight[c] = Real(of.weights[c]);
    for (size_t c = 0; Form::kMasses && c < of.prior.size(); ++c) prior[c] = Real(of.prior[c]);
  }

  CE_INLINE int64_t rows_together() const { return tile.rows; }
  CE_INLINE Real* row(int64_t r) const { return numbers.data() + r * tile.width; }

  CE_INLINE void load(int64_t first_row, int64_t n) {
    first = first_row;
    tile.load(from, of.shape, first, n, -kInf<Real>, row(0));
    if (Form::kMasses && soft) tile.load(of.target.dense, of.shape, first, n, Real(0), a);
  }

  CE_INLINE void store(const View& to, int64_t n) const { tile.store(row(0), to, of.shape, first, n); }

  CE_INLINE int64_t label(int64_t r) const {
    return soft ? -1 : pointer<const int64_t>(of.target.indices)[first + r];
  }

  // Σ_c t_c and Σ_c w_c t_c of a row of soft targets.
  CE_INLINE void masses(int64_t r, double& plain, double& weighted) const {
    const Real* const t = a + r * tile.width;
    weighted = plain = sum_row<Real>(tile.width, [&](int64_t c) __attribute__((always_inline)) { return t[c]; });
    if (!of.weights.empty())
      weighted = sum_row<Real>(tile.width, [&](int64_t c) __attribute__((always_inline)) { return t[c] * weight[c]; });
  }

  // A row of numbers, with its masses; `top` is −1 of one that is no distribution.
  CE_INLINE LossRow<Real> prepare(int64_t r, const View* to = nullptr) {
    LossRow<Real> found{row(r), e, a + (soft ? r * tile.width : 0), tile.width, 0, label(r), of.formula.scale};
    if (Form::kKept) found.kept = of.kept.data() + (first + r) * Form::kKept;
    if (Form::kAsks && tile.rows == 1) {
      found.next_u = {from, of.shape, first + 1};
      if (soft) found.next_a = {of.target.dense, of.shape, first + 1};
      if (table && first + 1 < of.shape.rows()) found.next_a = {of.target.dense, of_table(), label(1)};
      if (to) found.gradient = {*to, of.shape, first};
    }
    found.top = find_top(found.u, tile.width);
    if (!soft && uint64_t(found.label) >= uint64_t(tile.classes)) found.top = -1;
    if (Form::kMasses && table && found.top >= 0)
      tile.load(of.target.dense, of_table(), found.label, 1, Real(0), a);
    if (Form::kMasses && found.top >= 0) fill_masses(found);
    return found;
  }

 private:
  const ClassLoss& of;
  const View& from;
  const Tile tile;
  const bool soft, table;
  const AlignedArray<Real> numbers, vectors;
  Real *e, *a, *weight, *prior;
  int64_t first = 0;

  CE_INLINE Shape of_table() const { return {tile.classes, tile.classes, 1}; }

  CE_INLINE void fill_masses(LossRow<Real>& found) const {
    const bool weighted = Form::kWeighted && !of.weights.empty(), smoothed = !of.prior.empty();
    const Real kept = Real(1.0 - of.terms.smoothing);
    Real* const a = found.a;
    const auto fill = [&](const auto& mass) __attribute__((always_inline)) {
      for (int64_t c = 0; c < tile.width; c += kRowLanes)
        for (int l = 0; l < kRowLanes; ++l) a[c + l] = mass(c + l);
    };
    if (soft || table) {
      if (weighted) fill([&](int64_t c) __attribute__((always_inline)) { return a[c] * weight[c]; });
      if (smoothed) fill([&](int64_t c) __attribute__((always_inline)) { return kept * a[c] + prior[c]; });
      return;
    }
    if (smoothed) {
      fill([&](int64_t c) __attribute__((always_inline)) { return prior[c]; });
    } else {
      fill([&](int64_t) __attribute__((always_inline)) { return Real(0); });
    }
    a[found.label] += kept * (weighted ? weight[found.label] : Real(1));
  }
};

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
CE_CLONES void ClassLoss::pull_rows(const Form& form, const View& from, double factor, const double* upstream,
                                    const View& gradient, int64_t begin, int64_t end) const {
  using Real = typename Form::Real;
  Reader<Form> reader(*this, from);
  RowWeights weigh(target, terms, shape.classes);
  for (int64_t row = begin; row < end; row += reader.rows_together()) {
    const int64_t n = std::min(reader.rows_together(), end - row);
    alignas(64) double share[kLanes];
    weigh.begin(row, int(n));
    reader.load(row, n);
    if (target.indices) weigh.shares(0, share);
    for (int64_t r = 0; r < n; ++r) {
      double weight = factor * weigh.row[r], sum;
      if (upstream) weight = product(weight, upstream[row + r]);
      if (!Form::kWeighted && !target.indices) reader.masses(r, sum, share[r]);
      if (!target.indices && !Form::kTimesMass) share[r] = 1.0;
      if (!Form::kWeighted) weight = product(weight, share[r]);
      Real* const u = reader.row(r);
      const auto fill = [&](Real x) __attribute__((always_inline)) {
        for (int64_t c = 0; c < shape.classes; ++c) u[c] = x;
      };
      if (weight == 0.0) {
        fill(Real(0));
        continue;
      }
      auto found = reader.prepare(r, &gradient);
      if (found.top < 0) {
        fill(Real(kNaN));
      } else {
        form.pull(found, weight * formula.scale);
      }
    }
    reader.store(gradient, n);
  }
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
    case Formula::kBiTempered: return work(BiTempered(n));
    case Formula::kCrossEntropy:
      return is_double ? work(CrossEntropyOfClasses<double>()) : work(CrossEntropyOfClasses<float>());
    case Formula::kMixture: return work(Mixture(n));
  }
}

// The first row with a label outside the classes, −1 if there is none.
int64_t ClassLoss::sum_all_rows(double* losses, double* masses, double* errors, int threads) const {
  const int64_t n = shape.rows();
  std::atomic<int64_t> bad{-1};
  with_formula([&](const auto& form) {
    kept.resize(size_t(n * form.kKept));
    parallel_blocks(n, rows_with(kBlock, shape.classes), threads, [&](int64_t begin, int64_t end) {
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
  const bool soft = is_soft(target);
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
    parallel_blocks(shape.rows(), rows_with(kBlock, shape.classes), threads, [&](int64_t begin, int64_t end) {
      pull_rows(form, here, factor, upstream, gradient, begin, end);
    });
  });
}

}  // namespace ce
