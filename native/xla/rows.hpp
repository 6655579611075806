// The row kernels as handlers of XLA: the statistics of rows, and their pullback to logits and soft targets.
#pragma once

#include "xla/ffi.hpp"

namespace ce::xla {

Error* statistics(Call*);
Error* pullback(Call*);

}  // namespace ce::xla
