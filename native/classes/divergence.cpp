#include "classes/divergence.hpp"

#include <type_traits>

#include "classes/softmax_row.hpp"
#include "common/exp.hpp"
#include "common/parallel.hpp"

namespace ce {
namespace {

constexpr double kScale = 0x1p64;  // of exponentials, and so of probabilities before they are multiplied by 2^−64

// a ln(a/b) − a + b = a (e^δ − 1 − δ) with an accurate δ = ln b − ln a, which is no number where a or b is 0.
CE_INLINE double kullback_leibler(double a, double b, double delta) {
  const double size = delta < 0.0 ? -delta : delta;
  double series = 1.1470745597729725e-11;  // 1/14!, …, 1/2!
  constexpr double kFactorials[] = {1.6059043836821613e-10, 2.08767569878681e-09,   2.505210838544172e-08,
                                    2.755731922398589e-07,  2.7557319223985893e-06, 2.48015873015873e-05,
                                    1.984126984126984e-04,  1.388888888888889e-03,  8.333333333333333e-03,
                                    4.1666666666666664e-02, 1.6666666666666666e-01, 0.5};
#pragma GCC unroll 12
  for (double coefficient : kFactorials) series = series * delta + coefficient;
  const double value = size < 0.5 ? a * (delta * delta * series) : (b - a) - a * delta;
  return a == 0.0 ? b : b == 0.0 && delta == -kInf<double> ? kInf<double> : value;
}

// p ln(p/q) − p + q and ln(p/q) of p > 0, from 1/q and the difference p − q. With r = p/q − 1 and t = r/(2 + r), ln(p/q) =
// 2 artanh t; near p = q the sum is (p − q) t + 2p (artanh t − t), in which neither part can cancel the other.
template <class T>
struct RatioTerm {
  T divergence, log;
};
CE_INLINE RatioTerm<double> ratio_term(double p, double inverse, double difference) {
  double ratio = p * inverse;
  ratio = ratio < 0x1p-900 ? 0x1p-900 : ratio;  // of which p ln(p/q) is nothing beside q, whatever the logarithm
  const ReducedLog w = reduce_log(ratio, difference * inverse);
  const double tail = w.t * w.s * w.q, twice = w.t + w.t;
  const double log = w.k * kLn2High + (twice + (2.0 * tail + w.k * kLn2Low));
  return {w.k == 0.0 ? difference * w.t + 2.0 * p * tail : p * log - difference, log};
}

// The logarithm alone, which derivatives are made of.
CE_INLINE RatioTerm<Dual> ratio_term(Dual p, Dual inverse, Dual difference) {
  const double log = ratio_term(p.value, inverse.value, difference.value).log;
  return {0.0, {log, p.slope / p.value + inverse.slope / inverse.value}};
}

// One row of each of the logits, with the rows of directions in their slopes if they are duals. Where one of them is
// largest, all stand aside: there the differences of probabilities
// near 1 are taken from logarithms. The loops over lines have p ≤ 1/2 of each.
template <class T>
class Rows {
 public:
  CE_INLINE explicit Rows(const DivergenceRows& in)
      : tile(in.logits[0], in.shape), in(in), K(int(in.logits.size())), width(tile.width), sums(in.logits.size()),
        numbers((tile.rows + 1) * width * K), softmaxes(in.logits.size()), top_logs(in.logits.size()),
        parts(kDuals ? tile.rows * width : 1) {
    for (int i = 0; i < K; ++i) softmaxes[i].e = numbers.data() + (i * (tile.rows + 1) + tile.rows) * width;
  }

  const Tile tile;
  // Where rows of the i-th logits are loaded to.
  CE_INLINE T* row(int i, int64_t r) const { return numbers.data() + (i * (tile.rows + 1) + r) * width; }

  // Loads n rows of the i-th logits, and of its direction if it has one.
  CE_INLINE void load(int i, const View& direction, int64_t first, int64_t n) const {
    if constexpr (kDuals) {
      tile.load(in.logits[i], in.shape, first, n, -kInf<double>, parts.data());
      for (int64_t c = 0; c < n * width; ++c) row(i, 0)[c] = parts.data()[c];
      if (!direction.address) return;
      tile.load(direction, in.shape, first, n, 0.0, parts.data());
      for (int64_t c = 0; c < n * width; ++c) row(i, 0)[c].slope = parts.data()[c];
    } else {
      tile.load(in.logits[i], in.shape, first, n, -kInf<double>, row(i, 0));
    }
  }

  // Stores the derivatives, of duals their slopes.
  CE_INLINE void store(int i, const View& to, int64_t first, int64_t n) const {
    if constexpr (kDuals) {
      for (int64_t c = 0; c < n * width; ++c) parts.data()[c] = row(i, 0)[c].slope;
      tile.store(parts.data(), to, in.shape, first, n);
    } else {
      tile.store(row(i, 0), to, in.shape, first, n);
    }
  }

  // Asks for the next row of the logits, and for where the derivatives of this one go, while `value` works on it.
  CE_INLINE void ask(int64_t row, const std::vector<View>& gradients) {
    if (tile.rows > 1) return;
    next.clear();
    own.clear();
    for (const View& logits : in.logits) next.emplace_back(logits, in.shape, row + 1);
    for (const View& gradient : gradients) own.emplace_back(gradient, in.shape, row);
  }

  // Works on the r-th of the rows that are loaded from now on; tells whether all are distributions.
  CE_INLINE bool prepare(int64_t r) {
    places.clear();
    for (int i = 0; i < K; ++i) {
      softmaxes[i].u = row(i, r);
      const int64_t top = find_top(softmaxes[i].u, width);
      if (top < 0) return false;
      if (std::find(places.begin(), places.end(), top) == places.end()) places.push_back(top);
      softmaxes[i].place = top;
    }
    for (Softmax& s : softmaxes) {
      const SoftmaxRow<T> row(s.u, s.e, width, s.place, in.scale);
      if (row.rest != row.rest) return false;
      s.to_p = row.to_p;
      s.log_sum = row.log_sum;
      s.u[s.place] = T(0.0);
    }
    for (int i = 0; i < K; ++i) top_logs[i].clear();
    for (const int64_t place : places)
      for (int i = 0; i < K; ++i) {
        top_logs[i].push_back(softmaxes[i].u[place] - softmaxes[i].log_sum);
        softmaxes[i].e[place] = T(0.0);
        softmaxes[i].u[place] = T(-kInf<double>);
      }
    return true;
  }

  template <DivergenceOf kKind>
  CE_INLINE double value() {
    if constexpr (kKind == DivergenceOf::kJensenShannon) {
      double total = 0.0;
      for (T& sum : sums) sum = 0.0;
      each_line([&](int64_t c) __attribute__((always_inline)) {
        ahead(c);
        alignas(64) T mean[kRowLanes], inverse[kRowLanes], term[kRowLanes] = {}, product[kRowLanes],
            delta[kRowLanes];
        mean_of_line(c, mean);
        for (int l = 0; l < kRowLanes; ++l) inverse[l] = 1.0 / mean[l];
        for (int i = 0; i < K; ++i) {
          const Softmax s = softmaxes[i];  // a copy, which no store can change
          for (int l = 0; l < kRowLanes; ++l) {
            const T p = s.e[c + l] * (s.to_p * kScale);
            const RatioTerm<T> of = ratio_term(p, inverse[l], p - mean[l]);
            term[l] += p > 0.0 ? of.divergence : mean[l];
            delta[l] = p > 0.0 ? -of.log : T(0.0);
            product[l] = s.e[c + l] * s.to_p * delta[l];
          }
          for (int l = 0; l < kRowLanes; ++l) s.u[c + l] = delta[l];
          sums[i] += sum_of_line(product);
        }
        if constexpr (!kDuals) total += sum_of_line(term);
      });
      if constexpr (!kDuals) {  // of duals the derivatives alone are wanted
        total *= 1.0 / kScale;
        for (size_t j = 0; j < places.size(); ++j) {
          const TopMean m = mean_of_top(j);
          for (int i = 0; i < K; ++i)
            total +=
                kullback_leibler(std::exp(top_logs[i][j]), std::exp(m.high + m.log), m.log - (top_logs[i][j] - m.high));
        }
      }
      return total / K;
    } else {
      const Softmax &a = softmaxes[kKind == DivergenceOf::kForward], &b = softmaxes[kKind == DivergenceOf::kReverse];
      const double shift = a.log_sum - b.log_sum;
      double total = sum_row<double>(width, [&](int64_t c) __attribute__((always_inline)) {
        return kullback_leibler(a.e[c] * a.to_p, b.e[c] * b.to_p, (b.u[c] - a.u[c]) + shift);
      }, [&](int64_t c) __attribute__((always_inline)) { ahead(c); });
      const auto &log_a = logs_of(a), &log_b = logs_of(b);
      for (size_t j = 0; j < places.size(); ++j)
        total += kullback_leibler(std::exp(log_a[j]), std::exp(log_b[j]), log_b[j] - log_a[j]);
      return total;
    }
  }

  // Once the value is known, puts the derivatives by the logits, times `factor`, in their place: those that have a
  // gradient with an address, and of two that are compared by KL the first.
  template <DivergenceOf kKind>
  CE_INLINE void pull(double factor, const std::vector<View>& gradients) {
    if constexpr (kKind == DivergenceOf::kForward) {
      const Softmax student = softmaxes[0], teacher = softmaxes[1];
      each_line([&](int64_t c) __attribute__((always_inline)) {
        for (int l = 0; l < kRowLanes; ++l) {
          const double slope = student.e[c + l] * student.to_p - teacher.e[c + l] * teacher.to_p;
          student.u[c + l] = student.u[c + l] == -kInf<double> ? 0.0 : factor * slope;
        }
      });
      for (size_t j = 0; j < places.size(); ++j) {
        const double p = top_logs[0][j], q = top_logs[1][j], delta = p - q;
        const double slope = std::abs(delta) < 1.0 ? std::exp(q) * std::expm1(delta) : std::exp(p) - std::exp(q);
        student.u[places[j]] = p == -kInf<double> ? 0.0 : factor * slope;
      }
    } else if constexpr (kKind == DivergenceOf::kReverse) {
      const Softmax a = softmaxes[0], b = softmaxes[1];
      const T shift = a.log_sum - b.log_sum;
      T mean = sum_row<T>(width, [&](int64_t c) __attribute__((always_inline)) {
        const T p = a.e[c] * a.to_p;
        const bool counts = p > 0.0 && b.u[c] > -kInf<double>;
        a.u[c] = counts ? (b.u[c] - a.u[c]) + shift : T(0.0);
        return p * a.u[c];
      });
      pull_own(0, mean, factor, [&](size_t j) { return top_logs[1][j] - top_logs[0][j]; });
    } else {
      for (int i = 0; i < K; ++i) {
        if (!gradients[i].address) continue;
        pull_own(i, sums[i], factor / K, [&](size_t j) {
          const TopMean m = mean_of_top(j);
          return m.log - (top_logs[i][j] - m.high);
        });
      }
    }
  }

 private:
  static constexpr bool kDuals = std::is_same_v<T, Dual>;
  struct Softmax {
    T *u, *e, to_p, log_sum;
    int64_t place;
  };
  const DivergenceRows& in;
  const int K;
  const int64_t width;
  std::vector<T> sums;  // of the mean's: Σ p δ of each but for the tops, whose δ are in u once the value is known
  const AlignedArray<T> numbers;
  std::vector<Softmax> softmaxes;
  std::vector<std::vector<T>> top_logs;  // ln p at the places that stand aside, of each row
  const AlignedArray<double> parts;  // values or slopes of duals
  std::vector<int64_t> places;
  std::vector<AheadOfUse<false>> next;
  std::vector<AheadOfUse<true>> own;

  CE_INLINE void ahead(int64_t c) const {
    for (const auto& ask_for : next) ask_for(c);
    for (const auto& ask_for : own) ask_for(c);
  }

  CE_INLINE const std::vector<double>& logs_of(const Softmax& s) const { return top_logs[&s - softmaxes.data()]; }

  template <class Line>
  CE_INLINE void each_line(const Line& line) const {
    for (int64_t c = 0; c < width; c += kRowLanes) line(c);
  }

  CE_INLINE void mean_of_line(int64_t c, T* mean) const {
    const double share = kScale / K;
    for (int l = 0; l < kRowLanes; ++l) mean[l] = T(0.0);
    for (const Softmax s : softmaxes)
      for (int l = 0; l < kRowLanes; ++l) mean[l] += s.e[c + l] * (s.to_p * share);
  }

  // ln m = high + log at the j-th place that stands aside, where the largest ln p is `high`.
  struct TopMean {
    double high;  // a constant, for the mean does not depend on it
    T log;
  };
  CE_INLINE TopMean mean_of_top(size_t j) const {
    double high = -kInf<double>;
    T mean = 0.0;
    for (const auto& logs : top_logs) high = std::max(high, value_of(logs[j]));
    for (const auto& logs : top_logs) mean += expm1(logs[j] - high);
    return {high, log1p(mean / double(K))};
  }

  // −factor p (δ − Σ p δ), where u holds δ but for the tops, which `mean` is still without.
  template <class Delta>
  CE_INLINE void pull_own(int i, T mean, double factor, const Delta& delta) const {
    const Softmax s = softmaxes[i];
    const auto counts = [&](size_t j) { return exp(top_logs[i][j]) > 0.0 && std::isfinite(value_of(delta(j))); };
    for (size_t j = 0; j < places.size(); ++j)
      if (counts(j)) mean += exp(top_logs[i][j]) * delta(j);
    each_line([&](int64_t c) __attribute__((always_inline)) {
      for (int l = 0; l < kRowLanes; ++l) s.u[c + l] = (-factor * (s.e[c + l] * s.to_p)) * (s.u[c + l] - mean);
    });
    for (size_t j = 0; j < places.size(); ++j)
      s.u[places[j]] = -factor * exp(top_logs[i][j]) * ((counts(j) ? delta(j) : T(0.0)) - mean);
  }
};

template <DivergenceOf kKind>
CE_CLONES void values_of(const DivergenceRows& in, int64_t begin, int64_t end, double* values,
                         const std::vector<View>& gradients) {
  Rows<double> rows(in);
  for (int64_t row = begin; row < end; row += rows.tile.rows) {
    const int64_t n = std::min(rows.tile.rows, end - row);
    for (size_t i = 0; i < in.logits.size(); ++i) rows.load(int(i), {}, row, n);
    rows.ask(row, gradients);
    for (int64_t r = 0; r < n; ++r) {
      const bool counts = !in.alive || in.alive[row + r], valid = counts && rows.prepare(r);
      values[row + r] = valid ? rows.template value<kKind>() : counts ? kNaN : 0.0;
      if (gradients.empty()) continue;
      if (valid) {
        rows.template pull<kKind>(in.scale, gradients);
      } else {
        for (size_t i = 0; i < in.logits.size(); ++i)
          for (int64_t c = 0; c < rows.tile.width; ++c) rows.row(int(i), r)[c] = counts ? kNaN : 0.0;
      }
    }
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].address) rows.store(int(i), gradients[i], row, n);
  }
}

template <DivergenceOf kKind>
CE_CLONES void bend_rows(const DivergenceRows& in, const double* upstream, const std::vector<View>& directions,
                         const std::vector<View>& outs, int64_t begin, int64_t end) {
  Rows<Dual> rows(in);
  for (int64_t row = begin; row < end; row += rows.tile.rows) {
    const int64_t n = std::min(rows.tile.rows, end - row);
    for (size_t i = 0; i < in.logits.size(); ++i) rows.load(int(i), directions[i], row, n);
    rows.ask(row, outs);
    for (int64_t r = 0; r < n; ++r) {
      const bool counts = !in.alive || in.alive[row + r];
      if (counts && rows.prepare(r)) {
        if constexpr (kKind == DivergenceOf::kJensenShannon) rows.template value<kKind>();
        rows.template pull<kKind>(in.scale * upstream[row + r], outs);
      } else {
        for (size_t i = 0; i < in.logits.size(); ++i)
          for (int64_t c = 0; c < rows.tile.width; ++c) rows.row(int(i), r)[c] = both<Dual>(counts ? kNaN : 0.0);
      }
    }
    for (size_t i = 0; i < outs.size(); ++i)
      if (outs[i].address) rows.store(int(i), outs[i], row, n);
  }
}

template <class Work>
void with_kind(DivergenceOf kind, const Work& work) {
  switch (kind) {
    case DivergenceOf::kForward: return work(std::integral_constant<DivergenceOf, DivergenceOf::kForward>());
    case DivergenceOf::kReverse: return work(std::integral_constant<DivergenceOf, DivergenceOf::kReverse>());
    default: return work(std::integral_constant<DivergenceOf, DivergenceOf::kJensenShannon>());
  }
}

}  // namespace

void divergence_rows(const DivergenceRows& in, double* values, const std::vector<View>& gradients, int threads) {
  with_kind(in.kind, [&](auto kind) {
    parallel_blocks(in.shape.rows(), rows_with(16384, in.shape.classes), threads, [&](int64_t begin, int64_t end) {
      values_of<kind()>(in, begin, end, values, gradients);
    });
  });
}

void divergence_rows_along(const DivergenceRows& in, const double* upstream, const std::vector<View>& directions,
                           const std::vector<View>& outs, int threads) {
  parallel_blocks(in.shape.rows(), rows_with(16384, in.shape.classes), threads, [&](int64_t begin, int64_t end) {
    if (in.kind == DivergenceOf::kReverse) {
      bend_rows<DivergenceOf::kReverse>(in, upstream, directions, outs, begin, end);
    } else {
      bend_rows<DivergenceOf::kJensenShannon>(in, upstream, directions, outs, begin, end);
    }
  });
}

}  // namespace ce
