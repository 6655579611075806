// Rows of one length at a time, as [class][row].
#pragma once

#include <cstdint>

#include "evaluation/linear_softmax.hpp"

namespace ce {

constexpr int kTileRows = 16;

// Reads the scores and the weights of n rows from `from` on; the first of them, without weight, stands in the place of
// those that are missing.
void load_tile(const LinearSoftmax& map, int64_t from, int64_t n, double* z, double* weight);

// u = W z + b.
void map_tile(const LinearSoftmax& map, int64_t classes, const double* z, double* u);

}  // namespace ce
