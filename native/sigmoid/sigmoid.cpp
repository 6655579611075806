#include "sigmoid/sigmoid.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "common/parallel.hpp"
#include "sigmoid/links.hpp"

namespace ce {
namespace {

constexpr int64_t kBlock = 16384;  // elements one thread works on at a time, and one partial sum covers

// ---- lanes -------------------------------------------------------------------------------------------------

template <class T>
struct ToLane {
  template <class From>
  CE_INLINE T operator()(From x) const {
    if constexpr (std::is_integral_v<From>)
      return x == 0 ? T(0) : x == 1 ? T(1) : T(kNaN);
    else
      return T(widen(x));
  }
};

// Conversions are compiled apart from the kernels, which would otherwise hold a copy for every link.
#define CE_CONVERSIONS(T)                                                                                          \
  CE_CLONES void convert_lanes(uintptr_t address, Dtype dtype, int count, T* lanes) {                              \
    with_number(dtype, [&](auto stored) __attribute__((always_inline)) {                                           \
      copy_run(pointer<const decltype(stored)>(address), lanes, count, ToLane<T>());                               \
    });                                                                                                            \
    for (int l = count; l < kLanes; ++l) lanes[l] = T(0);                                                          \
  }                                                                                                                \
  CE_CLONES void store_lanes(const T* lanes, uintptr_t address, Dtype dtype, int count) {                          \
    with_floating(dtype, [&](auto stored) __attribute__((always_inline)) {                                         \
      copy_run(lanes, pointer<decltype(stored)>(address), count, NarrowTo<decltype(stored)>());                    \
    });                                                                                                            \
  }
CE_CONVERSIONS(float)
CE_CONVERSIONS(double)
#undef CE_CONVERSIONS

// A run of elements where it lies or, if that is of another type or too short, as `buffer`, padded with 0.
template <class T>
CE_INLINE const T* read_lanes(uintptr_t address, Dtype dtype, int64_t begin, int count, T* buffer) {
  address += uint64_t(begin * size_of(dtype));
  if (dtype == kDtypeOf<T> && count == kLanes) return reinterpret_cast<const T*>(address);
  convert_lanes(address, dtype, count, buffer);
  return buffer;
}

template <class T>
CE_INLINE void write_lanes(const T* lanes, uintptr_t address, Dtype dtype, int64_t begin, int count) {
  address += uint64_t(begin * size_of(dtype));
  if (dtype == kDtypeOf<T> && count == kLanes)
    std::memcpy(pointer<T>(address), lanes, kLanes * sizeof(T));
  else
    store_lanes(lanes, address, dtype, count);
}

// ---- weights -----------------------------------------------------------------------------------------------

CE_INLINE Dtype loss_type(const SigmoidProblem& problem) {
  return problem.logits_type == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
}

inline bool is_weighted(const SigmoidProblem& problem) {
  return problem.sample_weight != 0 || problem.positive_weight != 0;
}

// The factors of φ₊ and φ₋: first the weights ω w₊ and ω w₋, then the masses ω w₊ q and ω w₋ (1 − q).
template <class T>
struct Factors {
  alignas(64) T positive[kLanes], negative[kLanes];
};

// By counting, for weights that depend on the class or the row.
template <class Weight, class T>
CE_INLINE void gather_weights(const SigmoidProblem& problem, int64_t begin, int count, Factors<T>& weights) {
  const Weight* omega = pointer<const Weight>(problem.sample_weight);
  const Weight* positive = pointer<const Weight>(problem.positive_weight);
  const Weight* negative = pointer<const Weight>(problem.negative_weight);
  int64_t inner = begin % problem.inner;
  int64_t c = begin / problem.inner % problem.classes;
  int64_t row = begin / (problem.inner * problem.classes) * problem.inner;
  for (int l = 0; l < count; ++l) {
    const T weight = omega ? T(omega[problem.weight_per_row ? row + inner : begin + l]) : T(1);
    weights.positive[l] = positive ? weight * T(positive[c]) : weight;
    weights.negative[l] = negative ? weight * T(negative[c]) : weight;
    if (++inner < problem.inner) continue;
    inner = 0;
    if (++c < problem.classes) continue;
    c = 0;
    row += problem.inner;
  }
  for (int l = count; l < kLanes; ++l) weights.positive[l] = weights.negative[l] = T(0);
}

template <class T>
CE_INLINE void read_weights(const SigmoidProblem& problem, int64_t begin, int count, Factors<T>& weights) {
  if (!is_weighted(problem)) {
    for (int l = 0; l < kLanes; ++l) weights.positive[l] = weights.negative[l] = T(1);
  } else if (problem.positive_weight == 0 && !problem.weight_per_row) {
    const T* omega =
        read_lanes(problem.sample_weight, loss_type(problem), begin, count, weights.positive);
    for (int l = 0; l < kLanes; ++l) weights.positive[l] = weights.negative[l] = omega[l];
  } else if (problem.sample_weight == 0 && problem.classes == 1) {
    T* of[] = {weights.positive, weights.negative};
    const uintptr_t from[] = {problem.positive_weight, problem.negative_weight};
    for (int k = 0; k < 2; ++k) {
      T weight[kLanes] = {T(1)};
      if (from[k]) convert_lanes(from[k], loss_type(problem), 1, weight);
      for (int l = 0; l < kLanes; ++l) of[k][l] = l < count ? weight[0] : T(0);
    }
  } else if (problem.logits_type == Dtype::kFloat64) {
    gather_weights<double>(problem, begin, count, weights);
  } else {
    gather_weights<float>(problem, begin, count, weights);
  }
}

// From weights to masses; plain elements have no weights and no smoothing. True if a label with weight is
// outside [0, 1].
template <bool Plain, class T>
CE_INLINE bool set_masses(const SigmoidProblem& problem, const T* labels, Factors<T>& factors) {
  const T keep = T(1.0 - problem.smoothing), add = T(0.5 * problem.smoothing);
  int invalid = 0;
  for (int l = 0; l < kLanes; ++l) {
    T t = labels[l];
    if (!Plain) t = (factors.positive[l] == T(0)) & (factors.negative[l] == T(0)) ? T(0) : t;
    invalid |= !((t >= T(0)) & (t <= T(1)));
    factors.positive[l] = Plain ? t : factors.positive[l] * (keep * t + add);
    factors.negative[l] = Plain ? T(1) - t : factors.negative[l] * (keep * (T(1) - t) + add);
  }
  return invalid != 0;
}

template <class T>
CE_INLINE int first_invalid(const T* labels, const Factors<T>& factors) {
  int l = 0;
  while ((labels[l] >= T(0) && labels[l] <= T(1)) || (factors.positive[l] == T(0) && factors.negative[l] == T(0))) ++l;
  return l;
}

template <class T>
CE_INLINE T term(T mass, T value) {
  return mass == T(0) ? T(0) : mass * value;
}

template <class T>
CE_INLINE T slope_of(const Terms<T>& terms, const Factors<T>& masses, int l) {
  return term(masses.positive[l], terms.positive_slope) + term(masses.negative[l], terms.negative_slope);
}

// ---- kernels -----------------------------------------------------------------------------------------------

// Loops are kept short, one function each: a processor sees some sixty operations ahead, and a chain of
// exponential, logarithm and link for one vector would hide the next vector from it.
template <class T>
struct Exponentials {
  alignas(64) T e[kLanes], ln[kLanes];  // e^−|z| and ln(1 + e^−|z|)

  CE_INLINE explicit Exponentials(const T* logits) {
    for (int l = 0; l < kLanes; ++l) e[l] = exp_nonpositive(logits[l] > T(0) ? -logits[l] : logits[l]);
    for (int l = 0; l < kLanes; ++l) ln[l] = log1p_unit(e[l]);
  }
};

// Where the results of a block go.
struct LossResults {
  uintptr_t losses, slopes;
  int64_t together;  // losses that are summed
};

// The sums of losses that lie together, one after the other.
class SumsTogether {
 public:
  CE_INLINE SumsTogether(const LossResults& to, Dtype dtype, int64_t begin)
      : losses(to.losses), dtype(dtype), together(to.together), next(begin / to.together), missing(to.together) {}

  template <class T>
  CE_INLINE void add(const T* terms, int count) {
    for (int from = 0; from < count;) {
      const int n = int(std::min<int64_t>(count - from, missing));
      if (n == kLanes) {
        alignas(64) double wide[kLanes];
        for (int l = 0; l < kLanes; ++l) wide[l] = double(terms[l]);
        sum += sum_lanes(wide);
      } else {
        for (int l = from; l < from + n; ++l) sum += double(terms[l]);
      }
      from += n;
      if ((missing -= n) > 0) continue;
      if (dtype == Dtype::kFloat64)
        pointer<double>(losses)[next++] = sum;
      else
        pointer<float>(losses)[next++] = float(sum);
      sum = 0.0;
      missing = together;
    }
  }

 private:
  const uintptr_t losses;
  const Dtype dtype;
  const int64_t together;
  int64_t next, missing;
  double sum = 0.0;
};

template <bool Plain, bool kSlopes, class Link>
CE_INLINE void loss_block(const Link& link, const SigmoidProblem& problem, int64_t begin, int64_t end,
                          const LossResults& to, SigmoidTotals& totals) {
  using T = typename Link::Real;
  constexpr int64_t kFold = 1024;  // elements whose losses are summed in T
  Factors<T> factors;
  alignas(64) T logit_buffer[kLanes], label_buffer[kLanes], loss[kLanes], slope[kLanes];
  SumsTogether sums(to, loss_type(problem), begin);
  alignas(64) double loss_sum[kLanes] = {}, weight_sum[kLanes] = {}, least_weight[kLanes] = {};
  for (int64_t fold = begin; fold < end; fold += kFold) {
    alignas(64) T partial[kLanes] = {};
    for (int64_t i = fold; i < std::min(fold + kFold, end); i += kLanes) {
      const int count = int(std::min<int64_t>(kLanes, end - i));
      const T* z = read_lanes(problem.logits, problem.logits_type, i, count, logit_buffer);
      const T* t = read_lanes(problem.labels, problem.labels_type, i, count, label_buffer);
      if (!Plain) {
        read_weights(problem, i, count, factors);
        for (int l = 0; l < kLanes; ++l) {
          const double weight = factors.negative[l];
          weight_sum[l] += weight;
          least_weight[l] = weight < least_weight[l] ? weight : least_weight[l];
        }
      }
      if (set_masses<Plain>(problem, t, factors) && totals.invalid_label < 0)
        totals.invalid_label = i + first_invalid(t, factors);
      const Exponentials<T> of(z);
      for (int l = 0; l < kLanes; ++l) {
        const Terms<T> terms = link(logistic(z[l], of.e[l], of.ln[l]));
        loss[l] = term(factors.positive[l], terms.positive) + term(factors.negative[l], terms.negative);
        if (kSlopes) slope[l] = slope_of(terms, factors, l);
      }
      for (int l = count; l < kLanes; ++l) loss[l] = T(0);
      for (int l = 0; l < kLanes; ++l) partial[l] += loss[l];
      if (to.losses && to.together == 1)
        write_lanes(loss, to.losses, loss_type(problem), i, count);
      else if (to.losses)
        sums.add(loss, count);
      if (kSlopes) write_lanes(slope, to.slopes, problem.logits_type, i, count);
    }
    for (int l = 0; l < kLanes; ++l) loss_sum[l] += double(partial[l]);
  }
  totals.loss += sum_lanes(loss_sum);
  totals.weight += sum_lanes(weight_sum);
  totals.least_weight = std::min(totals.least_weight, *std::min_element(least_weight, least_weight + kLanes));
}

template <bool Plain, class Link>
CE_INLINE void gradient_block(const Link& link, const SigmoidProblem& problem, int64_t begin, int64_t end,
                              double scale, uintptr_t upstream, uintptr_t gradient) {
  using T = typename Link::Real;
  Factors<T> factors;
  alignas(64) T logit_buffer[kLanes], label_buffer[kLanes], upstream_buffer[kLanes], result[kLanes];
  std::fill(upstream_buffer, upstream_buffer + kLanes, T(scale));
  const T* factor = upstream_buffer;
  for (int64_t i = begin; i < end; i += kLanes) {
    const int count = int(std::min<int64_t>(kLanes, end - i));
    const T* z = read_lanes(problem.logits, problem.logits_type, i, count, logit_buffer);
    const T* t = read_lanes(problem.labels, problem.labels_type, i, count, label_buffer);
    if (upstream) factor = read_lanes(upstream, loss_type(problem), i, count, upstream_buffer);
    if (!Plain) read_weights(problem, i, count, factors);
    set_masses<Plain>(problem, t, factors);
    const Exponentials<T> of(z);
    for (int l = 0; l < kLanes; ++l) {
      const Terms<T> terms = link(logistic(z[l], of.e[l], of.ln[l]));
      const T product = factor[l] * slope_of(terms, factors, l);
      result[l] = factor[l] == T(0) ? T(0) : product;  // whatever the slope is
    }
    write_lanes(result, gradient, problem.logits_type, i, count);
  }
}

template <class Link>
CE_INLINE void derivatives_block(const Link& link, const SigmoidProblem& problem, bool positive, int64_t begin,
                                 int64_t end, uintptr_t first, uintptr_t second, int64_t& invalid_label) {
  Factors<double> factors;
  alignas(64) double logit_buffer[kLanes], label_buffer[kLanes], slope[kLanes], bend[kLanes];
  for (int64_t i = begin; i < end; i += kLanes) {
    const int count = int(std::min<int64_t>(kLanes, end - i));
    const double* z = read_lanes(problem.logits, problem.logits_type, i, count, logit_buffer);
    const double* t = read_lanes(problem.labels, problem.labels_type, i, count, label_buffer);
    read_weights(problem, i, count, factors);
    if (set_masses<false>(problem, t, factors) && invalid_label < 0)
      invalid_label = i + first_invalid(t, factors);
    const Exponentials<double> of(z);
    for (int l = 0; l < kLanes; ++l) {
      const Logistic<double> s = logistic(z[l], of.e[l], of.ln[l]);
      const Terms<double> terms = link(s);
      const Bends<double> bends = link.bends(s, positive);
      slope[l] = slope_of(terms, factors, l);
      bend[l] = term(factors.positive[l], bends.positive) + term(factors.negative[l], bends.negative);
    }
    write_lanes(slope, first, loss_type(problem), i, count);
    write_lanes(bend, second, loss_type(problem), i, count);
  }
}

// body(link, plain). Only the fast cases have a plain version, which gives the same bits.
template <class Body>
CE_INLINE void with_link(const SigmoidProblem& problem, const Body& body) {
  constexpr std::true_type kPlain;
  constexpr std::false_type kGeneral;
  const bool focal = problem.positive_gamma > 0.0 || problem.negative_gamma > 0.0;
  const bool plain = !is_weighted(problem) && problem.smoothing == 0.0;
  if (problem.negative_shift > 0.0) {
    const bool single = problem.logits_type != Dtype::kFloat64 && problem.negative_shift >= AsymmetricSingle<Focal>::kLeast;
    if (problem.positive_gamma > 0.0)
      return single ? body(AsymmetricSingle<Focal>(problem), kGeneral) : body(Asymmetric<Focal>(problem), kGeneral);
    return single ? body(AsymmetricSingle<CrossEntropy>(problem), kGeneral)
                  : body(Asymmetric<CrossEntropy>(problem), kGeneral);
  }
  if (problem.logits_type == Dtype::kFloat64)
    return focal ? body(Focal<double>(problem), kGeneral) : body(CrossEntropy<double>(problem), kGeneral);
  if (focal) return plain ? body(Focal<float>(problem), kPlain) : body(Focal<float>(problem), kGeneral);
  return plain ? body(CrossEntropy<float>(problem), kPlain) : body(CrossEntropy<float>(problem), kGeneral);
}

// These are compiled once for each instruction set, with everything above inlined into them.
CE_CLONES void loss_of_block(const SigmoidProblem& problem, int64_t begin, int64_t end, const LossResults& to,
                             SigmoidTotals& totals) {
  with_link(problem, [&](const auto& link, auto plain) __attribute__((always_inline)) {
    loss_block<decltype(plain)::value, false>(link, problem, begin, end, to, totals);
  });
}

CE_CLONES void loss_and_slopes_of_block(const SigmoidProblem& problem, int64_t begin, int64_t end,
                                        const LossResults& to, SigmoidTotals& totals) {
  with_link(problem, [&](const auto& link, auto plain) __attribute__((always_inline)) {
    loss_block<decltype(plain)::value, true>(link, problem, begin, end, to, totals);
  });
}

CE_CLONES void gradient_of_block(const SigmoidProblem& problem, int64_t begin, int64_t end, double scale,
                                 uintptr_t upstream, uintptr_t gradient) {
  with_link(problem, [&](const auto& link, auto plain) __attribute__((always_inline)) {
    gradient_block<decltype(plain)::value>(link, problem, begin, end, scale, upstream, gradient);
  });
}

CE_CLONES void derivatives_of_block(const SigmoidProblem& problem, bool positive, int64_t begin, int64_t end,
                                    uintptr_t first, uintptr_t second, int64_t& invalid_label) {
  const auto write = [&](const auto& link) __attribute__((always_inline)) {
    derivatives_block(link, problem, positive, begin, end, first, second, invalid_label);
  };
  if (problem.negative_shift > 0.0) return write(AsymmetricBends(problem));
  if (problem.positive_gamma > 0.0 || problem.negative_gamma > 0.0) return write(Focal<double>(problem));
  write(CrossEntropy<double>(problem));
}

}  // namespace

SigmoidTotals sigmoid_loss(const SigmoidProblem& problem, uintptr_t losses, int threads, uintptr_t slopes,
                           int64_t together) {
  const LossResults to{losses, slopes, together};
  const int64_t block = std::max<int64_t>(1, kBlock / together) * together;
  std::vector<SigmoidTotals> blocks((problem.size + block - 1) / block);
  parallel_blocks(problem.size, block, threads, [&](int64_t begin, int64_t end) {
    const auto work = slopes ? loss_and_slopes_of_block : loss_of_block;
    work(problem, begin, end, to, blocks[begin / block]);
  });
  SigmoidTotals totals;
  for (const SigmoidTotals& block : blocks) {
    totals.loss += block.loss;
    totals.weight += block.weight;
    totals.least_weight = std::min(totals.least_weight, block.least_weight);
    if (totals.invalid_label < 0) totals.invalid_label = block.invalid_label;
  }
  return totals;
}

void sigmoid_gradient(const SigmoidProblem& problem, double scale, uintptr_t upstream, uintptr_t gradient,
                      int threads) {
  parallel_blocks(problem.size, kBlock, threads, [&](int64_t begin, int64_t end) {
    gradient_of_block(problem, begin, end, scale, upstream, gradient);
  });
}

int64_t sigmoid_derivatives(const SigmoidProblem& problem, bool positive, uintptr_t first, uintptr_t second,
                            int threads) {
  std::vector<int64_t> invalid((problem.size + kBlock - 1) / kBlock, -1);
  parallel_blocks(problem.size, kBlock, threads, [&](int64_t begin, int64_t end) {
    derivatives_of_block(problem, positive, begin, end, first, second, invalid[begin / kBlock]);
  });
  for (const int64_t label : invalid)
    if (label >= 0) return label;
  return -1;
}

}  // namespace ce
