// Second derivatives of the statistics of rows.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// With p the softmax of a row u and its direction v, of at most one label y and of no softcap, this is the sum of
//
//   log-odds D        g π ⊙ (v − π · v)         π: p over the classes but y; 0 at y
//   log-partition L   g p ⊙ (v − p · v)
//   prior term G      g R p ⊙ (v − p · v)       R = Σ r
//   entropy H         −g p ⊙ ((v − p · v)(log p + H + 1) + dH)
//
// for the upstream gradients g, which may be absent, and their derivative along v by the statistics, such as dH. An
// absent tangent is not computed. A row that is no distribution has NaN, but 0 if all of its upstream gradients are 0,
// as ignored rows do.
void row_curvature(const View& logits, const Shape&, const Transform&, const Target&, const Prior&,
                   const Cotangents& upstream, const View& direction, const View& out, const Cotangents& tangents,
                   int threads);

}  // namespace ce
