// What the losses do with the statistics of a row: the links that stay in native code, weights, and sums.
#pragma once

#include <cstdint>

#include "common/focal.hpp"

namespace ce {

// loss = (1 − p)^γ softplus(D) and slope = dloss/dD, where 1 − p = σ(D). γ = 0 is cross-entropy.
CE_INLINE void focal_lanes(const double* D, double gamma, double* loss, double* slope) {
  for (int l = 0; l < kLanes; ++l) softplus_and_sigmoid(D[l], loss[l], slope[l]);
  if (gamma == 0.0) return;
  for (int l = 0; l < kLanes; ++l) {
    double minus_log_miss, p;
    softplus_and_sigmoid(-D[l], minus_log_miss, p);
    focal(gamma, p, slope[l], loss[l], minus_log_miss, loss[l], slope[l]);
  }
}
// The same of n rows.
void focal_rows(const double* log_odds, int64_t n, double gamma, double* loss, double* slope, int threads);

// Rows that are summed by themselves before their sums are: who works in blocks of these gets the same bits.
constexpr int64_t kRowsOfASum = 1024;

// Σ_i x_i in an order that depends on n alone.
double sum_of_rows(const double* x, int64_t n);

}  // namespace ce
