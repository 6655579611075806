#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>
#include <vector>

#include "evaluation/blake2b.hpp"
#include "evaluation/cholesky.hpp"
#include "evaluation/exact_sum.hpp"
#include "evaluation/grid.hpp"
#include "evaluation/isotonic.hpp"
#include "evaluation/key_table.hpp"
#include "evaluation/linear_softmax.hpp"
#include "evaluation/murphy.hpp"
#include "evaluation/radix_sort.hpp"
#include "evaluation/row_scores.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

ce::RowScores scores_at(const std::vector<uintptr_t>& out) {
  const auto at = [&](size_t i) { return reinterpret_cast<double*>(out.at(i)); };
  return {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8)};
}

// The texts of Python objects at an address, which keep them; false if one is no text, or has no UTF-8.
bool texts_at(uintptr_t objects, int64_t n, std::vector<ce::Text>* texts) {
  PyObject* const* each = ce::pointer<PyObject*>(objects);
  if (texts) texts->reserve(size_t(n));
  for (int64_t i = 0; i < n; ++i) {
    if (!PyUnicode_Check(each[i])) return false;
    if (!texts) continue;
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(each[i], &size);
    if (!bytes) {
      PyErr_Clear();
      return false;
    }
    texts->push_back({bytes, int64_t(size)});
  }
  return true;
}

}  // namespace

void bind_evaluation(nb::module_& m) {
  using ce::pointer;
  m.attr("LIMBS") = int(ce::kLimbs);

  m.def(
      "exact_sums",
      [](const std::vector<std::tuple<uintptr_t, uintptr_t>>& terms, int64_t n, uintptr_t limbs, uintptr_t special) {
        nb::gil_scoped_release release;
        for (size_t t = 0; t < terms.size(); ++t) {
          const auto& [x, y] = terms[t];
          ce::exact_sum({pointer<const double>(x), pointer<const double>(y)}, n,
                        pointer<int64_t>(limbs) + t * ce::kLimbs, pointer<int64_t>(special) + 3 * t);
        }
      },
      "terms"_a, "n"_a, "limbs"_a, "special"_a);

  m.def(
      "exact_group_sums",
      [](uintptr_t x, uintptr_t y, uintptr_t group, int64_t groups, int64_t n, uintptr_t limbs, uintptr_t touched) {
        ce::exact_group_sums({pointer<const double>(x), pointer<const double>(y)}, pointer<const int32_t>(group),
                             groups, n, pointer<int64_t>(limbs), pointer<uint8_t>(touched));
      },
      "x"_a, "y"_a, "group"_a, "groups"_a, "n"_a, "limbs"_a, "touched"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "poisson_sums",
      [](uintptr_t x, uintptr_t y, uintptr_t keys, int64_t n, uint64_t seed, int64_t replicates, uintptr_t limbs_x,
         uintptr_t limbs_y) {
        ce::poisson_sums(pointer<const double>(x), pointer<const double>(y), pointer<const uint64_t>(keys), n, seed,
                         replicates, pointer<int64_t>(limbs_x), pointer<int64_t>(limbs_y));
      },
      "x"_a, "y"_a, "keys"_a, "n"_a, "seed"_a, "replicates"_a, "limbs_x"_a, "limbs_y"_a,
      nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "binary_scores",
      [](uintptr_t prediction, int dtype, int kind, uintptr_t labels, bool soft, int64_t n,
         const std::vector<uintptr_t>& out, uintptr_t fixed) {
        const ce::RowScores scores = scores_at(out);
        nb::gil_scoped_release release;
        ce::binary_scores({prediction, ce::Dtype(dtype), ce::Prediction(kind), labels, soft, n}, scores,
                          pointer<ce::FixedSum>(fixed));
      },
      "prediction"_a, "dtype"_a, "kind"_a, "labels"_a, "soft"_a, "n"_a, "out"_a, "fixed"_a);

  m.def(
      "binary_totals",
      [](uintptr_t prediction, int dtype, int kind, uintptr_t labels, bool narrow, int64_t n,
         const std::vector<uintptr_t>& out, uintptr_t fixed, uintptr_t moments, uintptr_t special,
         const std::tuple<uintptr_t, int, int, int64_t>& octaves, const std::tuple<uintptr_t, int>& bins,
         uintptr_t grid, int grid_bits, double limit, uintptr_t places, uintptr_t high) {
        const ce::RowScores scores = scores_at(out);
        const auto& [octave_counts, octave_bits, octave_low, octave_places] = octaves;
        const auto& [bin_counts, bin_count] = bins;
        const auto at = pointer<int64_t>;
        nb::gil_scoped_release release;
        return ce::binary_totals(
            {prediction, ce::Dtype(dtype), ce::Prediction(kind), labels, false, n}, narrow, scores,
            {pointer<ce::FixedSum>(fixed), at(moments), at(special), at(octave_counts), octave_bits, octave_low,
             octave_places, pointer<ce::BinCount>(bin_counts), bin_count, at(grid), grid_bits},
            {limit, at(places), pointer<double>(high)});
      },
      "prediction"_a, "dtype"_a, "kind"_a, "labels"_a, "narrow"_a, "n"_a, "out"_a, "fixed"_a, "moments"_a,
      "special"_a, "octaves"_a, "bins"_a, "grid"_a, "grid_bits"_a, "limit"_a, "places"_a, "high"_a);

  nb::class_<ce::Matrix>(m, "Matrix", "Predictions (n, classes) by address; see row_scores.hpp.")
      .def(
          "__init__",
          [](ce::Matrix* self, uintptr_t address, int dtype, int64_t n, int64_t classes, int64_t row_stride,
             int64_t class_stride) {
            new (self) ce::Matrix{address, ce::Dtype(dtype), n, classes, row_stride, class_stride};
          },
          "address"_a, "dtype"_a, "n"_a, "classes"_a, "row_stride"_a, "class_stride"_a);

  m.def(
      "matrix_scores",
      [](const ce::Matrix& x, int kind, uintptr_t labels, bool soft, const std::vector<uintptr_t>& out, uintptr_t rank,
         uintptr_t probabilities, uintptr_t powers, uintptr_t fixed) {
        const ce::RowScores scores = scores_at(out);
        nb::gil_scoped_release release;
        ce::matrix_scores({x, ce::Prediction(kind), labels, soft}, scores,
                          {pointer<int64_t>(rank), pointer<double>(probabilities), pointer<double>(powers)},
                          pointer<ce::FixedSum>(fixed));
      },
      "x"_a, "kind"_a, "labels"_a, "soft"_a, "out"_a, "rank"_a, "probabilities"_a, "powers"_a, "fixed"_a);

  m.def(
      "row_totals",
      [](const ce::Matrix& x, bool logarithms, uintptr_t totals) {
        ce::row_totals(x, logarithms, pointer<double>(totals));
      },
      "x"_a, "logarithms"_a, "totals"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "grid_places",
      [](uintptr_t p, uintptr_t complement, int64_t n, int bits, uintptr_t places) {
        ce::grid_places(pointer<const double>(p), pointer<const double>(complement), n, bits,
                        pointer<int32_t>(places));
      },
      "p"_a, "complement"_a, "n"_a, "bits"_a, "places"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "grid_counts",
      [](uintptr_t p, uintptr_t complement, uintptr_t labels, int64_t n, int64_t first, int64_t classes, int bits,
         uintptr_t counts) {
        ce::grid_counts(pointer<const double>(p), pointer<const double>(complement), pointer<const int64_t>(labels),
                        n, first, classes, bits, pointer<int64_t>(counts));
      },
      "p"_a, "complement"_a, "labels"_a, "n"_a, "first"_a, "classes"_a, "bits"_a, "counts"_a,
      nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "bin_counts",
      [](uintptr_t p, uintptr_t labels, int64_t n, int bins, uintptr_t counts) {
        ce::bin_counts(pointer<const double>(p), pointer<const int64_t>(labels), n, bins,
                       pointer<ce::BinCount>(counts));
      },
      "p"_a, "labels"_a, "n"_a, "bins"_a, "counts"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "octave_counts",
      [](uintptr_t x, int64_t n, int bits, int low, int64_t places, uintptr_t counts) {
        ce::octave_counts(pointer<const double>(x), n, bits, low, places, pointer<int64_t>(counts));
      },
      "x"_a, "n"_a, "bits"_a, "low"_a, "places"_a, "counts"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "pool_adjacent_violators",
      [](uintptr_t weight, uintptr_t positive, uintptr_t predictions, int64_t n) {
        return ce::pool_adjacent_violators(pointer<double>(weight), pointer<double>(positive),
                                           pointer<int64_t>(predictions), n);
      },
      "weight"_a, "positive"_a, "predictions"_a, "n"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def(
      "increasing_fits",
      [](uintptr_t weight, uintptr_t positive, int64_t rows, int64_t n) {
        ce::increasing_fits(pointer<const double>(weight), pointer<double>(positive), rows, n);
      },
      "weight"_a, "positive"_a, "rows"_a, "n"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def("are_texts", [](uintptr_t objects, int64_t n) { return texts_at(objects, n, nullptr); }, "objects"_a, "n"_a);

  m.def(
      "hash_texts",
      [](uintptr_t objects, int64_t n, nb::bytes prefix, uintptr_t hashes) {
        std::vector<ce::Text> texts;
        if (!texts_at(objects, n, &texts)) return false;
        ce::blake2b_64({prefix.c_str(), int64_t(prefix.size())}, texts.data(), n, pointer<uint64_t>(hashes));
        return true;
      },
      "objects"_a, "n"_a, "prefix"_a, "hashes"_a);

  m.def(
      "linear_softmax",
      [](const ce::Matrix& x, uintptr_t labels, bool soft, uintptr_t weight, uintptr_t coefficients, bool diagonal,
         uintptr_t loss, uintptr_t slope, uintptr_t curvature, uintptr_t gradient, int threads) {
        const auto at = pointer<double>;
        nb::gil_scoped_release release;
        ce::linear_softmax({{x, ce::Prediction::kLogit, labels, soft}, at(weight), at(coefficients), diagonal},
                           {at(loss), at(slope), at(curvature), at(gradient)}, threads);
      },
      "x"_a, "labels"_a, "soft"_a, "weight"_a, "coefficients"_a, "diagonal"_a, "loss"_a, "slope"_a, "curvature"_a,
      "gradient"_a, "threads"_a);

  m.def(
      "linear_softmax_hessian",
      [](const ce::Matrix& x, uintptr_t labels, bool soft, uintptr_t weight, uintptr_t coefficients, bool diagonal,
         uintptr_t hessian, int threads) {
        const auto at = pointer<double>;
        nb::gil_scoped_release release;
        ce::linear_softmax_hessian({{x, ce::Prediction::kLogit, labels, soft}, at(weight), at(coefficients), diagonal},
                                   at(hessian), threads);
      },
      "x"_a, "labels"_a, "soft"_a, "weight"_a, "coefficients"_a, "diagonal"_a, "hessian"_a, "threads"_a);

  m.def(
      "cholesky_factor", [](uintptr_t a, int64_t n) { return ce::cholesky_factor(pointer<double>(a), n); }, "a"_a,
      "n"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "cholesky_solve",
      [](uintptr_t factor, int64_t n, uintptr_t b) {
        ce::cholesky_solve(pointer<const double>(factor), n, pointer<double>(b));
      },
      "factor"_a, "n"_a, "b"_a, nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "odds_against_rest",
      [](const ce::Matrix& log_p, double farthest, uintptr_t odds, int threads) {
        nb::gil_scoped_release release;
        ce::odds_against_rest(log_p, farthest, pointer<double>(odds), threads);
      },
      "log_p"_a, "farthest"_a, "odds"_a, "threads"_a);

  m.def(
      "interpolate",
      [](const std::vector<std::tuple<uintptr_t, uintptr_t, int64_t>>& curves, uintptr_t x, int64_t n, bool log_sigmoid,
         uintptr_t y, int threads) {
        std::vector<ce::Knots> knots;
        for (const auto& [at, to, count] : curves)
          knots.push_back({pointer<const double>(at), pointer<const double>(to), count});
        nb::gil_scoped_release release;
        ce::interpolate(knots, pointer<const double>(x), n, log_sigmoid, pointer<double>(y), threads);
      },
      "curves"_a, "x"_a, "n"_a, "log_sigmoid"_a, "y"_a, "threads"_a);

  m.def(
      "sort_keys", [](uintptr_t keys, int64_t n) { ce::radix_sort(pointer<uint64_t>(keys), n); }, "keys"_a, "n"_a,
      nb::call_guard<nb::gil_scoped_release>());

  m.def(
      "murphy",
      [](uintptr_t keys, uintptr_t weight, int64_t n, uintptr_t thresholds, int64_t count, double rounding,
         uintptr_t sums) {
        const ce::MurphyOrder order =
            ce::murphy(pointer<const uint64_t>(keys), pointer<const double>(weight), n,
                       pointer<const double>(thresholds), count, rounding, pointer<ce::MurphySums>(sums));
        return std::make_tuple(order.first_is_better, order.second_is_better);
      },
      "keys"_a, "weight"_a, "n"_a, "thresholds"_a, "count"_a, "rounding"_a, "sums"_a,
      nb::call_guard<nb::gil_scoped_release>());

  nb::class_<ce::KeyTable>(m, "KeyTable", "A set of 64-bit keys in the order of their first appearance.")
      .def(nb::init<int64_t>(), "limit"_a)
      .def(
          "find",
          [](ce::KeyTable& self, uintptr_t keys, int64_t n, uintptr_t places) {
            return self.find(pointer<const uint64_t>(keys), n, pointer<int32_t>(places));
          },
          "keys"_a, "n"_a, "places"_a, nb::call_guard<nb::gil_scoped_release>())
      .def("keys", &ce::KeyTable::keys);
}
