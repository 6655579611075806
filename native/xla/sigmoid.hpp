// The sigmoid kernel as a handler of XLA: the losses of elements, and their derivatives by the logits.
#pragma once

#include "xla/ffi.hpp"

namespace ce::xla {

Error* sigmoid_losses(Call*);

}  // namespace ce::xla
