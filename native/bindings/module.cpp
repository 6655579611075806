#include <nanobind/nanobind.h>

#include "common/instruction_set.hpp"

void bind_class_loss(nanobind::module_& m);
void bind_distributions(nanobind::module_& m);
void bind_divergence(nanobind::module_& m);
void bind_evaluation(nanobind::module_& m);
void bind_hessian(nanobind::module_& m);
void bind_memory(nanobind::module_& m);
void bind_product(nanobind::module_& m);
void bind_rows(nanobind::module_& m);
void bind_row_loss(nanobind::module_& m);
void bind_sigmoid(nanobind::module_& m);
void bind_xla(nanobind::module_& m);

NB_MODULE(_native, m) {
  // A graph that is alive when Python ends, as that of a loss at the end of a script, keeps its kernels' objects.
  nanobind::set_leak_warnings(false);
  m.def("instruction_set", &ce::instruction_set);
  bind_class_loss(m);
  bind_distributions(m);
  bind_divergence(m);
  bind_evaluation(m);
  bind_hessian(m);
  bind_memory(m);
  bind_product(m);
  bind_rows(m);
  bind_row_loss(m);
  bind_sigmoid(m);
  bind_xla(m);
}
