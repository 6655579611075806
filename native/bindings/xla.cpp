// Handlers of XLA in capsules, as `jax.ffi.register_ffi_target` takes them.
#include <nanobind/nanobind.h>

#include "xla/classes.hpp"
#include "xla/rows.hpp"
#include "xla/sigmoid.hpp"

namespace nb = nanobind;

namespace {

nb::capsule in_capsule(ce::xla::Handler* handler) { return nb::capsule(reinterpret_cast<void*>(handler)); }

}  // namespace

void bind_xla(nb::module_& m) {
  m.def("xla_handlers", [] {
    nb::dict handlers;
    handlers["crossentropy_row_statistics"] = in_capsule(&ce::xla::statistics);
    handlers["crossentropy_row_pullback"] = in_capsule(&ce::xla::pullback);
    handlers["crossentropy_row_gradients"] = in_capsule(&ce::xla::gradients);
    handlers["crossentropy_class_losses"] = in_capsule(&ce::xla::class_losses);
    handlers["crossentropy_class_pullback"] = in_capsule(&ce::xla::class_pullback);
    handlers["crossentropy_divergence"] = in_capsule(&ce::xla::divergence);
    handlers["crossentropy_sigmoid_losses"] = in_capsule(&ce::xla::sigmoid_losses);
    return handlers;
  });
}
