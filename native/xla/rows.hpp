// The row kernels as handlers of XLA: the statistics of rows, their pullback to logits and soft targets, and
// the log-odds of rows of few classes with their gradients.
#pragma once

#include "xla/ffi.hpp"

namespace ce::xla {

Error* statistics(Call*);
Error* pullback(Call*);
Error* gradients(Call*);

}  // namespace ce::xla
