// The commonest loss in one call: one label a row, cross-entropy or focal, a sum over the rows.
//
// At ten classes the arithmetic takes a microsecond, and every further call from Python takes as long again.
#pragma once

#include "rows.hpp"

namespace ce {

// Scratch that a forward pass leaves for its backward pass: five doubles a row.
struct LabelPlanes {
  double *log_odds, *top, *rest, *slope, *work;
  LabelPlanes(uintptr_t address, int64_t rows)
      : log_odds(reinterpret_cast<double*>(address)),
        top(log_odds + rows),
        rest(top + rows),
        slope(rest + rows),
        work(slope + rows) {}
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
