// Sums of exponentials with the largest kept out: (top, rest) stands for ln Σ e^u = top + ln(1 + rest).
//
// Keeping the largest term out is what makes a confident row exact: rest = 1e-9 is held to all its digits,
// where 1 + 1e-9 would not be.
#pragma once

#include "rows/chunk.hpp"

namespace ce {

// One sum. `moment` = Σ over the others of e^d d with d = u − top, for the entropy.
struct LogSum {
  double top = -kInf<double>, rest = 0.0, moment = 0.0;

  // Moves the top, in units before the scale, up to `to`: what was the top joins the others.
  void raise_top(double to, double scale) {
    if (top != -kInf<double>) rest = exp_nonpositive((top - to) * scale) * (1.0 + rest);
    top = to;
  }
};

// What is taken off before the exponential: an empty or infinite sum has no finite top to take.
template <class T>
CE_INLINE T finite_or_zero(T top) {
  return top == -kInf<T> || top == kInf<T> ? T(0) : top;
}

// A sum in every lane of a tile; or in a wide chunk one sum, of which every lane holds a share relative to the
// same top. Tops are in the chunk's units, before the scale; rests and moments are after it.
template <bool Wide>
struct LaneSums {
  alignas(64) double top[kLanes], rest[kLanes], moment[kLanes];

  CE_INLINE void clear() {
    for (int l = 0; l < kLanes; ++l) top[l] = -kInf<double>;
    for (int l = 0; l < kLanes; ++l) rest[l] = moment[l] = 0.0;
  }

  // Adds a chunk's lines. Sums within a chunk are in T, of at most kDepth terms a lane; between chunks in double.
  // `spare` is room to work in, which may be the chunk itself if it is not needed after.
  template <class T>
  CE_INLINE void add(Lines<T> u, int depth, const double* scale, bool with_moment, Chunk<T>& spare,
                     const Ahead& ahead) {
    alignas(64) T high[kLanes], base[kLanes], rate[kLanes], sum[kLanes], ties[kLanes];
    const Exp2Shift<T> range(0);
    for (int l = 0; l < kLanes; ++l) high[l] = T(top[l]);
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) high[l] = u[k][l] > high[l] ? u[k][l] : high[l];
    if (Wide) {
      const T highest = highest_lane(high);
      if (double(highest) > top[0]) {
        // A new top is one entry of the row: it stands aside while the others are summed.
        for (int k = 0; k < depth && u != spare.at; ++k)
          for (int l = 0; l < kLanes; ++l) spare.at[k][l] = u[k][l];
        int lane = 0, line = 0;
        while (high[lane] != highest) ++lane;
        while (spare.at[line][lane] != highest) ++line;
        spare.at[line][lane] = -kInf<T>;
        u = spare.at;
      }
      for (int l = 0; l < kLanes; ++l) high[l] = highest;
    }
    for (int l = 0; l < kLanes; ++l) base[l] = finite_or_zero(high[l]);
    for (int l = 0; l < kLanes; ++l) rate[l] = T(scale[l] * kLog2E);
    for (int l = 0; l < kLanes; ++l) sum[l] = ties[l] = T(0);
    if (Wide) {
      for (int k = 0; k < depth; ++k) {
        ahead.fetch(k);
        for (int l = 0; l < kLanes; ++l)
          sum[l] += exp2_shifted((u[k][l] - base[l]) * rate[l], range.floor, range.magic);
      }
    } else {
      // Terms equal to the top are counted, not summed: the count less one is exact.
      for (int k = 0; k < depth; ++k) {
        ahead.fetch(k);
        for (int l = 0; l < kLanes; ++l) {
          const bool tie = u[k][l] == high[l];
          const T e = exp2_shifted((u[k][l] - base[l]) * rate[l], range.floor, range.magic);
          sum[l] += tie ? T(0) : e;
          ties[l] += tie ? T(1) : T(0);
        }
      }
      for (int l = 0; l < kLanes; ++l) ties[l] -= double(high[l]) > top[l] ? T(1) : T(0);
      for (int l = 0; l < kLanes; ++l) ties[l] = high[l] == -kInf<T> ? T(0) : ties[l];
    }
    raise_top(high, scale);
    for (int l = 0; l < kLanes; ++l) rest[l] += double(sum[l]) + double(ties[l]);
    if (!with_moment) return;
    for (int l = 0; l < kLanes; ++l) sum[l] = T(0);
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) {
        const T y = (u[k][l] - base[l]) * rate[l];
        const T e = exp2_shifted(y, range.floor, range.magic);
        sum[l] += e == T(0) ? T(0) : e * y;
      }
    for (int l = 0; l < kLanes; ++l) moment[l] += double(sum[l]) / kLog2E;
  }

  // The sum of a wide chunk's row, or of a tile's l-th row.
  CE_INLINE LogSum at(int l) const {
    return Wide ? LogSum{top[0], sum_lanes(rest), sum_lanes(moment)} : LogSum{top[l], rest[l], moment[l]};
  }

 private:
  // Moves the tops up to `high`; what was the top joins the others. A wide chunk's one top counts in lane 0.
  template <class T>
  CE_INLINE void raise_top(const T* high, const double* scale) {
    bool held = false;
    for (int l = 0; l < kLanes; ++l) held |= top[l] != -kInf<double> && double(high[l]) != top[l];
    if (held) {
      for (int l = 0; l < kLanes; ++l) {
        const bool keep = double(high[l]) == top[l] || top[l] == -kInf<double>;
        const double shift = keep ? 0.0 : (top[l] - double(high[l])) * scale[l];
        const double weight = exp_nonpositive(shift);
        const double joined = rest[l] + (Wide && l > 0 ? 0.0 : 1.0);
        moment[l] = keep ? moment[l] : weight * (moment[l] + shift * joined);
        rest[l] = keep ? rest[l] : weight * joined;
      }
    }
    for (int l = 0; l < kLanes; ++l) top[l] = double(high[l]);
  }
};

// Σ w (top − u) in every lane, for vectors w over the classes; `mass` = Σ w. Every term with w ≥ 0 is ≥ 0.
struct WeightedDepths {
  alignas(64) double depth_sum[kLanes], mass[kLanes], base[kLanes];

  CE_INLINE void clear() {
    for (int l = 0; l < kLanes; ++l) depth_sum[l] = mass[l] = base[l] = 0.0;
  }

  // `top` is the running top of each lane after this chunk.
  template <class T>
  CE_INLINE void add(const Chunk<T>& u, const Chunk<T>& weights, int depth, const double* top) {
    alignas(64) T high[kLanes], sum[kLanes], masses[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      const double to = finite_or_zero(top[l]);
      depth_sum[l] += mass[l] == 0.0 ? 0.0 : mass[l] * (to - base[l]);
      base[l] = to;
      high[l] = T(to);
      sum[l] = masses[l] = T(0);
    }
    for (int k = 0; k < depth; ++k)
      for (int l = 0; l < kLanes; ++l) {
        const T w = weights.at[k][l];
        sum[l] += w == T(0) ? T(0) : w * (high[l] - u.at[k][l]);
        masses[l] += w;
      }
    for (int l = 0; l < kLanes; ++l) depth_sum[l] += double(sum[l]);
    for (int l = 0; l < kLanes; ++l) mass[l] += double(masses[l]);
  }
};

}  // namespace ce
