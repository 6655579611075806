// Losses of a row that are sums over its classes, and their derivatives by its logits.
//
// A formula is a class with a type to compute in, Real, and two members:
//
//   loss(row)     ℓ
//   pull(row, f)  puts f ∂ℓ/∂u_c in place of u_c
//
// Where kMasses, row.a holds a_c, the masses of the target, weighted by class if kWeighted. If not, the weight of the
// label, or where kTimesMass the mass of soft ones, multiplies the whole loss.
#pragma once

#include "classes/softmax_row.hpp"

namespace ce {

struct FormulaNumbers {
  double parameter = 0.0, factor = 1.0;
  int steps = 0;
};

template <class T>
struct LossRow {
  T *u, *e, *a;
  int64_t width;
  int64_t top;    // where the largest logit stands
  int64_t label;  // −1 of soft targets
  double scale;
  double* kept = nullptr;  // kKept numbers of the row that the loss leaves for the derivatives
  AheadOfUse<false> next_u{}, next_a{};  // of the next row, and of this one's derivatives, where kAsks
  AheadOfUse<true> gradient{};

  CE_INLINE SoftmaxRow<T> softmax(int shift = 64) { return {u, e, width, top, scale, shift}; }
};

// ---- links: ℓ = Σ_c a_c φ(p_c) ----

// What a link makes of a probability: φ, and gain = −dφ/d log p.
template <class T>
struct LinkValue {
  T loss, gain;
};

// φ = −(1 − p)^γ log p
template <class T>
struct FocalLink {
  Constant<T> gamma;
  explicit FocalLink(const FormulaNumbers& n) : gamma(Constant<T>(n.parameter)) {}

  CE_INLINE LinkValue<T> operator()(T p, T minus_log_p) const {  // p ≤ 1/2
    constexpr auto kLargest = std::numeric_limits<Constant<T>>::max();  // in place of ∞, which would meet a 0
    const T odds = p / (T(1) - p);
    const T focus = exp_nonpositive(-gamma * log1p_unit(odds));
    return {focus * minus_log_p, focus * (T(1) + gamma * odds * at_most(minus_log_p, kLargest))};
  }

  CE_INLINE LinkValue<Wide<T>> of_top(Wide<T> rest, Wide<T> minus_log_p) const {
    const double power = double(gamma);
    const Wide<T> minus_log_miss = rest > 0.0 ? log1p(1.0 / rest) : Wide<T>(kInf<double>);
    const Wide<T> focus = power == 0.0 ? Wide<T>(1.0) : exp(-power * minus_log_miss);
    return {focus * minus_log_p, focus * (1.0 + power * (rest > 0.0 ? minus_log_p / rest : Wide<T>(1.0)))};
  }
};

// φ = k (1 − p^q)/q with q > 0
template <class T>
struct PowerLink {
  double q, k;
  explicit PowerLink(const FormulaNumbers& n) : q(n.parameter), k(n.factor) {}

  CE_INLINE LinkValue<T> operator()(T, T minus_log_p) const {
    using Number = Constant<T>;
    constexpr Number kFloor = sizeof(Number) == 4 ? Number(-87) : Number(-708);
    const T x = Number(-q) * minus_log_p;
    const ReducedExp<T> e = reduce_exp(x < kFloor ? T(kFloor) : x);
    const Number power = power_of_two(e.n);
    const T minus_loss = power * e.p + (power - Number(1));
    return {Number(-k / q) * minus_loss, x < kFloor ? T(0) : Number(k) * (power + power * e.p)};
  }

  CE_INLINE LinkValue<Wide<T>> of_top(Wide<T>, Wide<T> minus_log_p) const {
    return {-k * expm1(-q * minus_log_p) / q, k * exp(-q * minus_log_p)};
  }
};

// With G_c = a_c gain_c: ∂ℓ/∂u_c = p_c Σ G − G_c, which of the top is p Σ_{c≠top} G − G (1 − p).
template <class T, template <class> class Link>
struct LinkOfClasses {
  using Real = T;
  static constexpr bool kMasses = true, kWeighted = true, kTimesMass = true, kAsks = false;
  static constexpr int kKept = 0;
  const Link<T> link;
  explicit LinkOfClasses(const FormulaNumbers& n) : link(n) {}

  CE_INLINE double loss(LossRow<T>& row) const {
    const SoftmaxRow<T> s = row.softmax();
    T* const a = row.a;
    const double a_top = double(a[s.place]);
    a[s.place] = T(0);
    const double others = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      const T loss = link(s.p(c), s.log_sum - s.u[c]).loss;
      return a[c] == T(0) ? T(0) : a[c] * loss;  // no mass on an impossible class
    });
    return others + (a_top == 0.0 ? 0.0 : a_top * link.of_top(s.rest, s.log_total).loss);
  }

  CE_INLINE void pull(LossRow<T>& row, double factor) const {
    const bool small = std::abs(factor) < 0x1p-40;  // whose product with what a shift saves is nothing
    const SoftmaxRow<T> s = row.softmax(small ? 0 : 64);
    T *const G = row.a, *const u = row.u, *const e = row.e;
    const Wide<T> G_top = Wide<T>(G[s.place]) * link.of_top(s.rest, s.log_total).gain;
    G[s.place] = T(0);
    const Wide<T> others = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      return G[c] *= link(s.p(c), s.log_sum - s.u[c]).gain;
    });
    const T of_p = T(factor * (others + G_top) * s.inverse * (small ? 1.0 : 0x1p-64));
    const Constant<T> of_G = Constant<T>(factor);
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l) u[c + l] = e[c + l] * of_p - of_G * G[c + l];
    u[s.place] = T(factor * (others - G_top * s.rest) * s.inverse);
  }
};

// ---- ℓ = −Σ_c a_c log p_c ----

// With d = u − top and A = Σ a: ℓ = Σ a (−d) + A ln(1 + rest) and ∂ℓ/∂u_c = A p_c − a_c, of the top (Σ_{c≠top} a −
// a rest)/(1 + rest). Each way is one sweep over a row.
template <class T>
struct CrossEntropyOfClasses {
  using Real = T;
  static constexpr bool kMasses = true, kWeighted = true, kTimesMass = true, kAsks = true;
  static constexpr int kKept = 2;  // rest, and Σ a but for the top's

  CE_INLINE double loss(LossRow<T>& row) const {
    constexpr int64_t kTerms = kTermsOfALane * kRowLanes;
    const T *const u = row.u, *const a = row.a;
    const T top = u[row.top], rate = T(row.scale * kLog2E), scale = T(-row.scale);
    const double a_top = double(a[row.top]);
    row.u[row.top] = -kInf<T>;
    row.a[row.top] = T(0);
    const Exp2Shift<T> range{T(64)};
    double rest = 0.0, others = 0.0, loss = 0.0;
    for (int64_t from = 0; from < row.width; from += kTerms) {
      alignas(64) T e[kRowLanes] = {}, masses[kRowLanes] = {}, terms[kRowLanes] = {};
      for (int64_t c = from; c < std::min(row.width, from + kTerms); c += kRowLanes) {
        row.next_u(c);
        row.next_a(c);
        for (int l = 0; l < kRowLanes; ++l) {
          const T d = u[c + l] - top, mass = a[c + l];
          e[l] += exp2_shifted(d * rate, range.floor, range.magic);
          masses[l] += mass;
          terms[l] += mass == T(0) ? T(0) : mass * (d * scale);  // no mass on an impossible class
        }
      }
      rest += sum_of_line(e);
      others += sum_of_line(masses);
      loss += sum_of_line(terms);
    }
    rest *= 0x1p-64;
    row.kept[0] = rest;
    row.kept[1] = others;
    const double all = others + a_top;
    return loss + all * log1p_nonnegative(rest);
  }

  CE_INLINE void pull(LossRow<T>& row, double factor) const {
    const bool small = std::abs(factor) < 0x1p-40;  // whose product with what a shift saves is nothing
    const double rest = row.kept[0], others = row.kept[1], inverse = 1.0 / (1.0 + rest), a_top = double(row.a[row.top]);
    T* const u = row.u;
    const T *const a = row.a, top = u[row.top], rate = T(row.scale * kLog2E), of_a = T(factor);
    const Exp2Shift<T> range{T(small ? 0 : 64)};
    const T of_p = T(factor * (others + a_top) * inverse * (small ? 1.0 : 0x1p-64));
    for (int64_t c = 0; c < row.width; c += kRowLanes) {
      row.next_u(c);
      row.next_a(c);
      row.gradient(c);
      for (int l = 0; l < kRowLanes; ++l) {
        const T e = exp2_shifted((u[c + l] - top) * rate, range.floor, range.magic);
        u[c + l] = e * of_p - of_a * a[c + l];
      }
    }
    u[row.top] = T(factor * (others - a_top * rest) * inverse);
  }
};

// ---- ℓ = Σ_c (p_c − t_c)² ----

// With v = p − t: ∂ℓ/∂u_c = 2 p_c (v_c − Σ p v). Of the top v = (1 − t) − (1 − p), whose terms have all their digits.
template <class T>
struct Brier {
  using Real = T;
  static constexpr bool kMasses = true, kWeighted = false, kTimesMass = true, kAsks = false;
  static constexpr int kKept = 0;
  explicit Brier(const FormulaNumbers&) {}

  CE_INLINE double loss(LossRow<T>& row) const {
    const SoftmaxRow<T> s = row.softmax();
    const double v_top = difference_at_top(s, row.a);
    return v_top * v_top + sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      const T v = s.p(c) - row.a[c];
      return v * v;
    });
  }

  CE_INLINE void pull(LossRow<T>& row, double factor) const {
    const SoftmaxRow<T> s = row.softmax();
    T *const u = row.u, *const a = row.a;
    const Wide<T> v_top = difference_at_top(s, a);
    const Wide<T> others = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      const T p = s.p(c);
      return p * (p - a[c]);
    });
    const T mean = T(others + s.inverse * v_top);
    const Constant<T> twice = Constant<T>(2.0 * factor);
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l) {
        const T p = s.p(c + l);
        u[c + l] = twice * (p * ((p - a[c + l]) - mean));
      }
    u[s.place] = T(2.0 * factor * s.inverse * (v_top * s.rest * s.inverse - others));
  }

 private:
  // Takes the top's mass out of the loops.
  static CE_INLINE Wide<T> difference_at_top(const SoftmaxRow<T>& s, T* a) {
    const Wide<T> t = Wide<T>(a[s.place]);
    a[s.place] = T(0);
    return (1.0 - t) - s.rest * s.inverse;
  }
};

// ---- ℓ = −ln Σ_c m_c p_c with 0 ≤ m_c ≤ 1 ----

// With e = e^u relative to the top, the members' H = Σ m e^{u − δ} and the others' Σ (1 − m) e, all of positive terms:
// ℓ = ln(1 + Σ (1 − m) e/(H e^δ)). δ is 0, but the largest u of a member where the top is none. ∂ℓ/∂u_c is p_c less the
// share of c in H, of the top Σ e_c (m_c − m_top)/(H Σ e), in which nothing large cancels.
template <class T>
struct Mixture {
  using Real = T;
  static constexpr bool kMasses = true, kWeighted = false, kTimesMass = true, kAsks = false;
  static constexpr int kKept = 0;
  explicit Mixture(const FormulaNumbers&) {}

  CE_INLINE double loss(LossRow<T>& row) const {
    constexpr double kLeast = -600.0;  // log-odds whose exponential is a normal number
    const SoftmaxRow<T> s = row.softmax(0);
    const T *const e = row.e, *const m = row.a;
    const Members of(row, s);
    const T others = sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      return beside(m[c]) * e[c];
    });
    if (of.delta < kLeast) return s.log_total - of.delta - std::log(of.H);
    return log1p_nonnegative((beside(of.top) + others) / (of.H * std::exp(of.delta)));
  }

  CE_INLINE void pull(LossRow<T>& row, double factor) const {
    const SoftmaxRow<T> s = row.softmax(0);
    T* const u = row.u;
    const T *const e = row.e, *const m = row.a;
    const Members of(row, s);
    const T lead = of.top == 0.0 ? T(0) : sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      return e[c] * (m[c] - of.top);
    });
    for (int64_t c = 0; c < row.width; c += kRowLanes)
      for (int l = 0; l < kRowLanes; ++l)
        u[c + l] = factor * (e[c + l] * s.inverse - (of.H == 0.0 ? T(0) : of(row, c + l) / of.H));
    u[s.place] = factor * s.inverse * (of.top == 0.0 ? T(1) : lead / of.H);
  }

 private:
  // What of a class is no member; a mass may be rounded past 1.
  static CE_INLINE T beside(T m) { return m < 1.0 ? 1.0 - m : T(0); }

  struct Members {
    T top, H;
    double delta = 0.0;  // on which nothing depends: a constant
    CE_INLINE Members(const LossRow<T>& row, const SoftmaxRow<T>& s) : top(row.a[s.place]) {
      if (top == 0.0) {
        delta = -kInf<double>;
        for (int64_t c = 0; c < row.width; ++c)
          if (row.a[c] > 0.0 && row.u[c] > delta) delta = value_of(row.u[c]);
      }
      H = top + sum_row<T>(row.width, [&](int64_t c) __attribute__((always_inline)) { return (*this)(row, c); });
      if (s.rest != s.rest) H = s.rest;
    }
    // Of all but the top.
    CE_INLINE T operator()(const LossRow<T>& row, int64_t c) const {
      if (delta == 0.0) return row.a[c] * row.e[c];
      return row.a[c] == 0.0 || row.u[c] == -kInf<double> ? T(0) : row.a[c] * exp_nonpositive(row.u[c] - delta);
    }
  };
};

// ---- hinges ----

// ℓ = Σ_{c≠y} max(0, m + u_c − u_y), or of these terms the first of the largest. At a kink the derivative is 0.
template <bool kOnlyBest>
struct Hinge {
  using Real = double;
  static constexpr bool kMasses = false, kWeighted = false, kTimesMass = true, kAsks = false;
  static constexpr int kKept = 0;
  const double margin;
  explicit Hinge(const FormulaNumbers& n) : margin(n.parameter) {}

  CE_INLINE double loss(LossRow<double>& row) const {
    double* const u = row.u;
    if (has_nan(u, row.width)) return kNaN;
    const double own = take_label(row);
    if (kOnlyBest) return lack(u[find_rival(row)], own);
    return sum_row<double>(row.width, [&](int64_t c) __attribute__((always_inline)) { return lack(u[c], own); });
  }

  CE_INLINE void pull(LossRow<double>& row, double factor) const {
    double* const u = row.u;
    if (has_nan(u, row.width)) {
      for (int64_t c = 0; c < row.width; c += kRowLanes)
        for (int l = 0; l < kRowLanes; ++l) u[c + l] = kNaN;
      return;
    }
    const double own = take_label(row);
    if (kOnlyBest) {
      const int64_t rival = find_rival(row);
      const double step = lack(u[rival], own) > 0.0 ? factor : 0.0;
      for (int64_t c = 0; c < row.width; c += kRowLanes)
        for (int l = 0; l < kRowLanes; ++l) u[c + l] = 0.0;
      u[rival] = step;
      u[row.label] = -step;
      return;
    }
    const double count = sum_row<double>(row.width, [&](int64_t c) __attribute__((always_inline)) {
      const double one = lack(u[c], own) > 0.0 ? 1.0 : 0.0;
      u[c] = factor * one;
      return one;
    });
    u[row.label] = -factor * count;
  }

 private:
  // An impossible class, as the label is from now on, lacks nothing.
  CE_INLINE double lack(double u, double own) const {
    const double lead = margin + (u - own);
    return u == -kInf<double> || lead <= 0.0 ? 0.0 : lead;
  }

  static CE_INLINE double take_label(LossRow<double>& row) {
    const double own = row.u[row.label];
    row.u[row.label] = -kInf<double>;
    return own;
  }

  // The first of the largest, of the label itself if no other class is possible.
  static CE_INLINE int64_t find_rival(const LossRow<double>& row) {
    const int64_t best = row.top == row.label ? find_top(row.u, row.width) : row.top;
    return best < 0 ? row.label : best;
  }
};

}  // namespace ce
