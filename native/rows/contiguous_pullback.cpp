#include "rows/contiguous_lines.hpp"

namespace ce {
namespace {

// The last line of a row, which may be short, goes through a buffer.
template <class T, class Stored, PriorKind kPrior>
class StraightPull {
 public:
  CE_INLINE StraightPull(const StraightGradient& row)
      : base(T(row.base)),
        rate(T(row.rate)),
        factor(T(row.factor)),
        gain(T(row.gain)),
        weights(kPrior == PriorKind::kVector ? pointer<const T>(row.prior) : nullptr),
        range(T(row.shift)) {}

  CE_INLINE void write(const Stored* from, Stored* to, int64_t classes) const {
    const int64_t end = classes / kLanes * kLanes;
    for (int64_t c = 0; c < end; c += kLanes) write_line(from + c, to + c, weights + (weights ? c : 0));
    if (end == classes) return;
    const size_t left = size_t(classes - end);
    alignas(64) Stored line[kLanes] = {};
    alignas(64) T weight[kLanes] = {};
    std::memcpy(line, from + end, left * sizeof(Stored));
    if (weights) std::memcpy(weight, weights + end, left * sizeof(T));
    write_line(line, line, weight);
    std::memcpy(to + end, line, left * sizeof(Stored));
  }

 private:
  const T base, rate, factor, gain;
  const T* const weights;
  const Exp2Shift<T> range;

  CE_INLINE T at(T u, const T* weight, int place) const {
    const T e = factor * exp2_shifted((u - base) * rate, range.floor, range.magic);
    if (kPrior == PriorKind::kNone) return e;
    return e - (kPrior == PriorKind::kVector ? gain * weight[place] : gain);
  }

  CE_INLINE void write_line(const Stored* from, Stored* to, const T* weight) const {
#pragma GCC ivdep
    for (int l = 0; l < kHalf; ++l) {  // reads and writes may be of the same place, never of a neighbour's
      const T first = Halves<Stored>::template load<T>(from, 0, l);
      const T second = Halves<Stored>::template load<T>(from, 1, l);
      Halves<Stored>::store(to, l, at(first, weight, Halves<Stored>::place(0, l)),
                            at(second, weight, Halves<Stored>::place(1, l)));
    }
  }
};

#define CE_PULL(name, T, Stored, kind)                                                                  \
  CE_CLONES void pull_##name(const View& logits, int64_t classes, const StraightGradient* rows, int n, \
                             const View& gradient) {                                                    \
    const Stored* from = pointer<const Stored>(logits.address);                                        \
    Stored* to = pointer<Stored>(gradient.address);                                                    \
    for (int i = 0; i < n; ++i)                                                                        \
      StraightPull<T, Stored, kind>(rows[i]).write(from + rows[i].from, to + rows[i].to, classes);     \
  }
#define CE_PULLS(name, T, Stored)                       \
  CE_PULL(name##_alone, T, Stored, PriorKind::kNone)    \
  CE_PULL(name##_uniform, T, Stored, PriorKind::kUniform) \
  CE_PULL(name##_weighted, T, Stored, PriorKind::kVector)
CE_STRAIGHT(CE_PULLS)
#undef CE_PULLS
#undef CE_PULL

}  // namespace

void pull_straight_rows(const View& logits, int64_t classes, const StraightGradient* rows, int n,
                        const View& gradient) {
  static constexpr decltype(&pull_float_alone) kPulls[4][3] = CE_STRAIGHT_KINDS(pull);
  if (n == 0) return;
  kPulls[int(logits.dtype)][kind_of(rows[0].with_prior, rows[0].prior)](logits, classes, rows, n, gradient);
}

}  // namespace ce
