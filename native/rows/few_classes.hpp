// Rows of few classes with one label each, 64 side by side: what classifiers of ten classes and segmentation run on.
#pragma once

#include "rows/chunk.hpp"

namespace ce {

constexpr int64_t kMaxFewClasses = kDepth;

// Whether a problem is of this kind; what is wanted of it besides log-odds is not asked here.
inline bool has_few_classes(const View& logits, const Shape& shape, const Transform& transform,
                            const Target& target) {
  return !use_wide(logits, shape) && shape.classes <= kMaxFewClasses && target.indices && target.k == 1 &&
         transform.plain();
}

// The log-odds of rows [begin, end), with what their gradient needs. Returns the first row whose label is out of
// range, −1 if there is none.
int64_t few_classes_statistics(const View& logits, const Shape&, const Transform&, const Target&, const Statistics&,
                               int64_t begin, int64_t end);

// The log-odds, and ∂D/∂z in the type that is computed in, at the price of reading the logits and of their exponentials
// once: for callers who cannot keep the work of a pass for the next one.
void few_classes_gradients(const View& logits, const Shape&, const Target&, const Statistics& out, const View& gradient,
                           int64_t begin, int64_t end);

// d/dz of Σ upstream·D over rows [begin, end).
void few_classes_pullback(const View& logits, const Shape&, const Transform&, const Target&, const Statistics& saved,
                          uintptr_t upstream, const View& gradient, int64_t begin, int64_t end);

}  // namespace ce
