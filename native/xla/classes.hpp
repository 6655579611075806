// The losses that act on every class as handlers of XLA, and divergences between the softmaxes of several logits.
#pragma once

#include "xla/ffi.hpp"

namespace ce::xla {

Error* class_losses(Call*);
Error* class_pullback(Call*);
Error* divergence(Call*);

}  // namespace ce::xla
