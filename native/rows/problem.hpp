// The problem both row kernels solve: what a row is, how it is read, and what is known of its target.
//
// Rows are wide if their classes lie side by side and are more than 128 (chunk.hpp). Which path a row takes is decided
// at the head of statistics.cpp and pullback.cpp:
//
//                                                     wide rows          other rows
//   one label, nothing but its log-odds, C ≤ 64       contiguous*.cpp    few_classes.cpp
//   labels, with a prior or a bias or neither         contiguous*.cpp    chunks of 64 rows, a tile
//   a label set, no prior, bias nor margin            contiguous*.cpp    chunks of 64 rows, a tile
//   everything else                                   chunks of a row    chunks of 64 rows, a tile
//
// All that is not in chunks has no softcap, and no bias but on wide rows. Forward it has at most 4 labels a row, and neither entropy,
// argmax nor rank is asked for. Backward it has no gradient of the entropy, none with respect to temperature or margin
// is asked for, and that of the logits has their dtype; of contiguous rows it has its classes side by side as well. So
// has the mask of a contiguous label set.
#pragma once

#include "common/lanes.hpp"

namespace ce {

// A class-by-row array in memory. Row r = outer·inner_size + inner starts at outer·outer_stride +
// inner·inner_stride; its classes are class_stride apart. Strides count elements.
struct View {
  uintptr_t address = 0;
  Dtype dtype = Dtype::kFloat32;
  int64_t outer_stride = 0, class_stride = 0, inner_stride = 0;
};

struct Shape {
  int64_t outer, classes, inner;
  int64_t rows() const { return outer * inner; }
};

// u_c = scale · (softcap(z_c) − margin·[c ∈ target]) + bias_c. Vectors of classes have the compute type.
struct Transform {
  double scale = 1.0;             // 1 / temperature
  uintptr_t temperatures = 0;     // double[rows], in place of scale
  double softcap = 0.0;           // κ of κ tanh(z/κ); 0: none
  uintptr_t bias = 0;             // T[classes]
  double margin = 0.0;            // in place of it, double[classes]:
  uintptr_t class_margin = 0;
  bool plain() const { return softcap == 0.0 && bias == 0; }
  bool has_margin() const { return margin != 0.0 || class_margin; }
};

// Exactly one form: `indices` (k per row), `mask` (a set of classes), or `dense` (a mass for every class).
struct Target {
  uintptr_t indices = 0;  // int64[rows][k]
  int64_t k = 1;
  bool has_ignore = false;
  int64_t ignore_index = 0;
  bool foreign = false;        // a label outside the classes belongs to another part of the row, and is no target here
  View mask;                   // bytes
  View dense;                  // any floating dtype
  uintptr_t class_weight = 0;  // T[classes], multiplies the dense masses
};

// A fixed vector over the classes: label smoothing's prior, times class weights.
struct Prior {
  bool present = false;
  uintptr_t values = 0;  // double[classes] for logits of doubles, else float[classes]; absent: 1/classes each
  double total = 1.0;

  CE_INLINE double value(int64_t c, Dtype of_logits) const {
    return of_logits == Dtype::kFloat64 ? pointer<const double>(values)[c] : double(pointer<const float>(values)[c]);
  }
};

// What the forward kernel writes, one double (or int64) per row; 0: not wanted. `log_odds` has k per row.
// A group is the classes off target, or with `mask` the classes on it; `top` is its largest u in units before
// the scale, `rest` = Σ over the others of e^{u − top}.
struct Statistics {
  uintptr_t log_odds = 0;  // D
  uintptr_t top = 0, rest = 0;
  uintptr_t set_top = 0, set_rest = 0;
  uintptr_t log_partition = 0;    // L
  uintptr_t L_above_top = 0;  // L − scale·top, never a difference of large numbers
  uintptr_t prior_term = 0;       // G_r
  uintptr_t dense_term = 0;       // G_a
  uintptr_t dense_total = 0;      // A
  uintptr_t entropy = 0;          // H
  uintptr_t argmax = 0, rank = 0; // int64
};

// Upstream gradients of the statistics, one double per row (log_odds: k per row); 0: none.
struct Cotangents {
  uintptr_t log_odds = 0, log_partition = 0, prior_term = 0, dense_term = 0, entropy = 0;
};

// What the backward kernel writes; all but `logits` may be absent.
struct Gradients {
  View logits;
  View dense;                // dtype and strides of its own
  uintptr_t scale = 0;       // double[rows]: d/d(scale)
  uintptr_t target = 0;      // double[rows][k]: d/du at the target, for the margin
  bool before_transform = false;  // write d/du in place of d/dz
};

// Returns the first row whose index is out of range, −1 if there is none. Such rows become NaN. With foreign labels no
// row does, and neither the rank nor the log-odds of such a label have a meaning.
int64_t row_statistics(const View& logits, const Shape&, const Transform&, const Target&, const Prior&,
                       const Statistics&, int threads);

void row_pullback(const View& logits, const Shape&, const Transform&, const Target&, const Prior&,
                  const Statistics& saved, const Cotangents&, const Gradients&, int threads);

}  // namespace ce
