// Derivatives of single rows, as lists: CatBoost asks for them row by row and reads them as Python numbers.
#include "rows/hessian.hpp"

#include <nanobind/nanobind.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "common/lanes.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// The scores of a row: an array of float64 is read where it lies, the numbers of anything else one by one.
class Scores {
 public:
  explicit Scores(nb::handle from) {
    if (PyObject_CheckBuffer(from.ptr()) &&
        PyObject_GetBuffer(from.ptr(), &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0 && view.ndim == 1 &&
        !std::strcmp(view.format, "d")) {
      data = static_cast<const double*>(view.buf);
      count = view.shape[0];
    } else {
      PyErr_Clear();  // of a buffer in pieces
      PyBuffer_Release(&view);
      for (nb::handle x : from) copied.push_back(nb::cast<double>(nb::float_(x)));
      data = copied.data();
      count = int64_t(copied.size());
    }
  }
  ~Scores() { PyBuffer_Release(&view); }
  Scores(const Scores&) = delete;

  const double* data;
  int64_t count;

 private:
  Py_buffer view{};
  std::vector<double> copied;
};

// Objects are used again once nobody else holds them, as the tuples of `zip` are: CatBoost drops those of a row before
// it asks for the next, and making new ones is most of what a row costs. While it is filled an object is not kept: what
// a list drops may run any code.
bool is_free(PyObject* x) { return x && Py_REFCNT(x) == 1; }
bool is_free_list(PyObject* x, int64_t size) { return is_free(x) && PyList_Check(x) && PyList_Size(x) == size; }

nb::object take_list(nb::object& kept, int64_t size) {
  nb::object list = std::move(kept);
  return is_free_list(list.ptr(), size) ? list : nb::steal(PyList_New(size));
}

// The Hessian of a row, computed when it is iterated.
struct RowHessian {
  ce::RowDerivatives row;
  std::vector<double> numbers;
  nb::object kept;

  explicit RowHessian(const ce::LabelLosses& of) : row(of), numbers(of.classes * of.classes) {}

  // The matrix is symmetric: a number below the diagonal is the object above it, which need not be made.
  nb::object lines() {
    const int64_t C = row.classes;
    nb::object list = take_list(kept, C);
    std::vector<PyObject*> lines(C);
    for (int64_t i = 0; i < C; ++i) {
      lines[i] = PyList_GetItem(list.ptr(), i);
      if (!is_free_list(lines[i], C)) PyList_SetItem(list.ptr(), i, lines[i] = PyList_New(C));
    }
    row.hessian(numbers.data());
    for (int64_t i = 0; i < C; ++i)
      for (int64_t c = i; c < C; ++c) {
        PyObject* number = PyFloat_FromDouble(numbers[i * C + c]);
        PyList_SetItem(lines[i], c, number);
        if (c > i) PyList_SetItem(lines[c], i, Py_NewRef(number));
      }
    return kept = list;
  }
};

// The slot of iter(), without a search for a method.
PyObject* iterator(PyObject* of) {
  return PyObject_GetIter(nb::inst_ptr<RowHessian>(nb::handle(of))->lines().ptr());
}
PyType_Slot iterable[] = {{Py_tp_iter, reinterpret_cast<void*>(iterator)}, {0, nullptr}};

struct LabelLosses {
  ce::LabelLosses losses;
  nb::object gradient, hessian;

  nb::object derivatives(nb::handle scores, double label, double scale) {
    const int64_t C = losses.classes;
    if (!(label >= 0 && label < double(C) && label == std::floor(label))) {
      char number[32];
      std::snprintf(number, sizeof number, "%g", label);
      throw nb::value_error((std::string("the label ") + number + " is not an index in [0, " + std::to_string(C) +
                             "), the classes of the scores")
                                .c_str());
    }
    const Scores read(scores);
    if (read.count != C)
      throw nb::value_error(("the row has " + std::to_string(read.count) + " scores, and its loss " +
                             std::to_string(C) + " classes")
                                .c_str());
    nb::object of_row = std::move(hessian);
    if (!is_free(of_row.ptr())) of_row = nb::cast(RowHessian(losses));
    ce::RowDerivatives& row = nb::inst_ptr<RowHessian>(of_row)->row;
    row.compute(losses, read.data, int64_t(label), scale);
    nb::object list = take_list(gradient, C);
    for (int64_t c = 0; c < C; ++c) PyList_SetItem(list.ptr(), c, PyFloat_FromDouble(row.gradient(c)));
    gradient = list;
    hessian = of_row;
    return nb::make_tuple(std::move(list), std::move(of_row));
  }
};

}  // namespace

void bind_hessian(nb::module_& m) {
  nb::class_<RowHessian>(m, "RowHessian", nb::type_slots(iterable));
  nb::class_<LabelLosses>(m, "LabelLosses")
      .def("__init__",
           [](LabelLosses* self, int64_t classes, double temperature, double gamma, bool positive, uintptr_t offsets,
              uintptr_t masses) {
             const auto table = [&](uintptr_t address) {
               const double* numbers = ce::pointer<const double>(address);
               return std::vector<double>(numbers, numbers + classes * classes);
             };
             new (self) LabelLosses{{classes, temperature, gamma, positive, table(offsets), table(masses)}, {}, {}};
           },
           "classes"_a, "temperature"_a, "gamma"_a, "positive"_a, "offsets"_a, "masses"_a)
      .def("derivatives", &LabelLosses::derivatives, "scores"_a, "label"_a, "scale"_a);
}
