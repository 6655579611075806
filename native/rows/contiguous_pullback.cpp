#include "rows/contiguous_lines.hpp"

namespace ce {
namespace {

template <class T, class Stored, Beside kBeside>
class RowGradient {
 public:
  CE_INLINE RowGradient(const ContiguousProblem& problem, const ContiguousGradient& row)
      : anchor(kBias ? anchor_of<T>(row.base[0], row.factor) : T(0)),
        base{plain(row.base[0] - row.factor * double(anchor)), plain(row.base[1])},
        alpha{plain(row.alpha[0]), plain(row.alpha[1])},
        rate(T(row.scale * kLog2E)),
        gain(plain(row.gain)),
        factor(T(row.factor)),
        beside(pointer<const Item>(kSet ? uintptr_t(row.mask) : kItems ? problem.values : 0)),
        exponential(kSet ? T(1) : alpha[0], T(row.shift)) {}

  CE_INLINE void write(const Stored* from, Stored* to, int64_t classes) const {
    if (kBias && anchor != T(0))
      write_lines<kBias>(from, to, classes);
    else
      write_lines<false>(from, to, classes);
  }

 private:
  // The last line of a row, which may be short, goes through a buffer.
  template <bool kAnchored>
  CE_INLINE void write_lines(const Stored* from, Stored* to, int64_t classes) const {
    const int64_t end = classes / kLanes * kLanes;
    for (int64_t c = 0; c < end; c += kLanes) write_line<kAnchored>(from + c, to + c, beside + (kItems ? c : 0));
    if (end == classes) return;
    const size_t left = size_t(classes - end);
    alignas(64) Stored line[kLanes] = {};
    alignas(64) Item items[kLanes] = {};
    std::memcpy(line, from + end, left * sizeof(Stored));
    if (kItems) std::memcpy(items, beside + end, left * sizeof(Item));
    write_line<kAnchored>(line, line, items);
    std::memcpy(to + end, line, left * sizeof(Stored));
  }

  static constexpr bool kSet = kBeside == Beside::kLabelSet, kVector = kBeside == Beside::kVectorPrior;
  static constexpr bool kBias = kBeside == Beside::kBias, kItems = kSet || kVector || kBias;
  using Item = std::conditional_t<kSet, uint8_t, T>;

  // With a NaN that no store rounds to a number.
  static CE_INLINE T plain(double x) { return x == x ? T(x) : T(kNaN); }

  const T anchor, base[2], alpha[2], rate, gain, factor;
  const Item* const beside;
  const ScaledExp2<T, Stored> exponential;  // times α, but with a label set, where it differs from class to class

  template <bool kAnchored>
  CE_INLINE T at(T z, const Item* item, int place) const {
    const T u = u_of<kBeside, kAnchored>(z, anchor, factor, item, place);
    const bool right = kSet && item[place] != 0;
    const T e = exponential((u - (right ? base[1] : base[0])) * rate);
    const T gradient = !kSet ? e : (right ? alpha[1] : alpha[0]) * e;
    if (kVector) return gradient - gain * T(item[place]);
    return kBeside == Beside::kUniformPrior ? gradient - gain : gradient;
  }

  template <bool kAnchored>
  CE_INLINE void write_line(const Stored* from, Stored* to, const Item* items) const {
    if constexpr (kSet) {
#pragma GCC ivdep
      for (int l = 0; l < kLanes; ++l)  // reads and writes may be of the same place, never of a neighbor's
        to[l] = narrow<Stored>(at<kAnchored>(T(widen(from[l])), items, l));
    } else {
#pragma GCC ivdep
      for (int l = 0; l < kHalf; ++l) {
        const T first = Halves<Stored>::template load<T>(from, 0, l);
        const T second = Halves<Stored>::template load<T>(from, 1, l);
        Halves<Stored>::store(to, l, at<kAnchored>(first, items, Halves<Stored>::place(0, l)),
                              at<kAnchored>(second, items, Halves<Stored>::place(1, l)));
      }
    }
  }
};

#define CE_PULLBACK(name, T, Stored, kBeside)                                                                     \
  CE_CLONES void pullback_##name(const ContiguousProblem& problem, const ContiguousGradient* rows, int n,         \
                                 const View& gradient) {                                                          \
    const Stored* from = pointer<const Stored>(problem.logits.address);                                           \
    Stored* to = pointer<Stored>(gradient.address);                                                               \
    for (int i = 0; i < n; ++i)                                                                                   \
      RowGradient<T, Stored, kBeside>(problem, rows[i]).write(from + rows[i].from, to + rows[i].to, problem.classes); \
  }
CE_CONTIGUOUS(CE_PULLBACK)
#undef CE_PULLBACK

}  // namespace

void pullback_contiguous_rows(const ContiguousProblem& problem, const ContiguousGradient* rows, int n,
                              const View& gradient) {
  static constexpr decltype(&pullback_float32_alone) kPullbacks[4][5] = CE_CONTIGUOUS_TABLE(pullback);
  kPullbacks[int(problem.logits.dtype)][int(problem.beside)](problem, rows, n, gradient);
}

}  // namespace ce
