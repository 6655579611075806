// Derivatives of single rows, as lists: CatBoost asks for them row by row and reads them as Python numbers.
#include "rows/hessian.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>

#include <cstring>
#include <string>

#include "common/lanes.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// The numbers of an array of float64 are read where they lie, those of anything else one by one.
std::vector<double> scores_of(nb::handle from, int64_t classes) {
  std::vector<double> scores;
  Py_buffer view;
  if (PyObject_CheckBuffer(from.ptr()) &&
      PyObject_GetBuffer(from.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0) {
    const double* numbers = static_cast<const double*>(view.buf);
    if (view.ndim == 1 && !std::strcmp(view.format, "d")) scores.assign(numbers, numbers + view.shape[0]);
    PyBuffer_Release(&view);
  }
  PyErr_Clear();  // of a buffer in pieces
  if (scores.empty())
    for (nb::handle x : from) scores.push_back(nb::cast<double>(nb::float_(x)));
  if (int64_t(scores.size()) != classes)
    throw nb::value_error(("the row has " + std::to_string(scores.size()) + " scores, and its loss " +
                           std::to_string(classes) + " classes")
                              .c_str());
  return scores;
}

nb::list gradient(const ce::RowDerivatives& row) {
  const int64_t C = row.classes;
  std::vector<double> numbers(C);
  row.gradient(numbers.data());
  PyObject* list = PyList_New(C);
  for (int64_t c = 0; c < C; ++c) PyList_SetItem(list, c, PyFloat_FromDouble(numbers[c]));
  return nb::steal<nb::list>(list);
}

// The matrix is symmetric: a number below the diagonal is the object above it, which need not be made.
nb::list hessian(const ce::RowDerivatives& row) {
  const int64_t C = row.classes;
  std::vector<double> numbers(C * C);
  row.hessian(numbers.data());
  std::vector<PyObject*> lines(C);
  for (PyObject*& line : lines) line = PyList_New(C);
  for (int64_t i = 0; i < C; ++i)
    for (int64_t c = i; c < C; ++c) {
      PyObject* number = PyFloat_FromDouble(numbers[i * C + c]);
      PyList_SetItem(lines[i], c, number);
      if (c > i) PyList_SetItem(lines[c], i, Py_NewRef(number));
    }
  PyObject* list = PyList_New(C);
  for (int64_t i = 0; i < C; ++i) PyList_SetItem(list, i, lines[i]);
  return nb::steal<nb::list>(list);
}

std::pair<nb::list, ce::RowDerivatives> derivatives(const ce::LabelLosses& of, nb::handle scores, int64_t label,
                                                    double scale) {
  if (label < 0 || label >= of.classes)
    throw nb::value_error(("the label " + std::to_string(label) + " is outside [0, " + std::to_string(of.classes) +
                           "), the classes of the scores")
                              .c_str());
  ce::RowDerivatives row(of, scores_of(scores, of.classes).data(), label, scale);
  nb::list by_score = gradient(row);
  return {std::move(by_score), std::move(row)};
}

}  // namespace

void bind_hessian(nb::module_& m) {
  nb::class_<ce::RowDerivatives>(m, "RowDerivatives").def("__iter__", [](const ce::RowDerivatives& row) {
    return nb::iter(hessian(row));
  });
  nb::class_<ce::LabelLosses>(m, "LabelLosses")
      .def("__init__",
           [](ce::LabelLosses* self, int64_t classes, double temperature, double gamma, bool positive,
              uintptr_t offsets, uintptr_t masses) {
             const auto table = [&](uintptr_t address) {
               const double* numbers = ce::pointer<const double>(address);
               return std::vector<double>(numbers, numbers + classes * classes);
             };
             new (self) ce::LabelLosses{classes, temperature, gamma, positive, table(offsets), table(masses)};
           },
           "classes"_a, "temperature"_a, "gamma"_a, "positive"_a, "offsets"_a, "masses"_a)
      .def("derivatives", &derivatives, "scores"_a, "label"_a, "scale"_a);
}
