// The sigmoid kernels as handlers of XLA: the losses of elements, and their derivatives by the logits.
#pragma once

#include "xla/ffi.hpp"

namespace ce::xla {

Error* sigmoid_losses(Call*);
Error* sigmoid_slopes(Call*);

}  // namespace ce::xla
