// The commonest loss in one call: one label a row, cross-entropy or focal, a sum over the rows.
//
// At ten classes the arithmetic takes a microsecond, and every further call from Python takes as long again.
#pragma once

#include "rows.hpp"

namespace ce {

// Five doubles a row: three that a forward pass leaves for its backward pass, and two to work in. With few classes
// the last two are not touched, for there the work is done in blocks that stay in the cache.
struct LabelPlanes {
  double *top, *rest, *slope, *log_odds, *work;
  LabelPlanes(uintptr_t address, int64_t rows)
      : top(reinterpret_cast<double*>(address)),
        rest(top + rows),
        slope(rest + rows),
        log_odds(slope + rows),
        work(log_odds + rows) {}
};

struct LabelTotals {
  double loss;
  int64_t kept;     // rows that are not ignored
  int64_t bad_row;  // the first with a label outside the classes, or −1
};

LabelTotals label_loss(const View& logits, const Shape& shape, const Target& target, double gamma,
                       const LabelPlanes& planes, int threads);

// The gradient of `factor` times the sum.
void label_loss_gradient(const View& logits, const Shape& shape, const Target& target, const LabelPlanes& planes,
                         double factor, const View& gradient, int threads);

}  // namespace ce
