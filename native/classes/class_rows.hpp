// How rows of a `ClassLoss` are read, and turned into their derivatives.
#pragma once

#include "classes/class_loss.hpp"
#include "rows/row_weights.hpp"

namespace ce {

constexpr int64_t kEntriesAtATime = 32768;  // of the rows that a thread takes

// Rows of a block, read one after the other into what a formula works on: for a formula of duals with the rows of a
// direction in their slopes, which is what is stored of them.
template <class Form>
class ClassLoss::Reader {
 public:
  using Real = typename Form::Real;

  CE_INLINE Reader(const ClassLoss& of, const View& from, const View* direction = nullptr)
      : of(of), from(from), direction(direction), tile(from, of.shape), soft(of.is_soft()),
        table(!soft && of.target.dense.address),
        numbers(tile.width * (tile.rows * (soft ? 2 : 1) + (Form::kMasses ? (soft ? 1 : 2) : 0))),
        vectors(Form::kMasses ? 2 * tile.width : 1), parts(kDuals ? tile.width * tile.rows : 1) {
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
    load_numbers(from, of.shape, first, n, -kInf<Constant<Real>>, row(0));
    if constexpr (kDuals) {
      tile.load(*direction, of.shape, first, n, 0.0, parts.data());
      for (int64_t i = 0; i < n * tile.width; ++i) row(0)[i].slope = parts.data()[i];
    }
    if (Form::kMasses && soft) load_numbers(of.target.dense, of.shape, first, n, Constant<Real>(0), a);
  }

  CE_INLINE void store(const View& to, int64_t n) const {
    if constexpr (kDuals) {
      for (int64_t i = 0; i < n * tile.width; ++i) parts.data()[i] = row(0)[i].slope;
      tile.store(parts.data(), to, of.shape, first, n);
    } else {
      tile.store(row(0), to, of.shape, first, n);
    }
  }

  CE_INLINE int64_t label(int64_t r) const {
    return soft ? -1 : pointer<const int64_t>(of.target.indices)[first + r];
  }

  // Σ_c t_c and Σ_c w_c t_c of a row of soft targets.
  CE_INLINE void masses(int64_t r, double& plain, double& weighted) const {
    const Real* const t = a + r * tile.width;
    weighted = plain =
        value_of(sum_row<Real>(tile.width, [&](int64_t c) __attribute__((always_inline)) { return t[c]; }));
    if (!of.weights.empty())
      weighted = value_of(
          sum_row<Real>(tile.width, [&](int64_t c) __attribute__((always_inline)) { return t[c] * weight[c]; }));
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
      load_numbers(of.target.dense, of_table(), found.label, 1, Constant<Real>(0), a);
    if (Form::kMasses && found.top >= 0) fill_masses(found);
    return found;
  }

 private:
  static constexpr bool kDuals = std::is_same_v<Real, Dual>;
  const ClassLoss& of;
  const View& from;
  const View* direction;
  const Tile tile;
  const bool soft, table;
  const AlignedArray<Real> numbers, vectors;
  const AlignedArray<double> parts;  // values or slopes of duals
  Real *e, *a, *weight, *prior;
  int64_t first = 0;

  CE_INLINE void load_numbers(const View& view, const Shape& shape, int64_t row, int64_t n, Constant<Real> padding,
                              Real* to) const {
    if constexpr (kDuals) {
      tile.load(view, shape, row, n, padding, parts.data());
      for (int64_t i = 0; i < n * tile.width; ++i) to[i] = parts.data()[i];
    } else {
      tile.load(view, shape, row, n, padding, to);
    }
  }

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

template <class Form>
CE_INLINE void ClassLoss::pull_rows(const Form& form, const View& from, const View* direction, double factor,
                                    const double* upstream, const View& gradient, int64_t begin, int64_t end) const {
  using Real = typename Form::Real;
  Reader<Form> reader(*this, from, direction);
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
      const auto fill = [&](double x) __attribute__((always_inline)) {
        for (int64_t c = 0; c < shape.classes; ++c) u[c] = both<Real>(x);
      };
      if (weight == 0.0) {
        fill(0.0);
        continue;
      }
      auto found = reader.prepare(r, &gradient);
      if (found.top < 0) {
        fill(kNaN);
      } else {
        form.pull(found, weight * formula.scale);
      }
    }
    reader.store(gradient, n);
  }
}

}  // namespace ce
