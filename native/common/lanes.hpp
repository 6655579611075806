// Numbers as they are stored, and loops over kLanes of them as they are worked on.
#pragma once

#include <limits>

#include "common/halves.hpp"

namespace ce {

// Integers are labels of the sigmoid losses.
enum class Dtype : int {
  kFloat32, kFloat64, kBFloat16, kFloat16,
  kInteger8, kInteger16, kInteger32, kInteger64,
};

template <class T>
constexpr Dtype kDtypeOf = sizeof(T) == 4 ? Dtype::kFloat32 : Dtype::kFloat64;

CE_INLINE int64_t size_of(Dtype dtype) {
  constexpr int64_t kSizes[] = {4, 8, 2, 2, 1, 2, 4, 8};
  return kSizes[int(dtype)];
}

// Calls body with a number of the type that is stored, to say which it is.
template <class Body>
CE_INLINE void with_floating(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::kFloat32: return body(float());
    case Dtype::kFloat64: return body(double());
    case Dtype::kBFloat16: return body(BFloat16());
    case Dtype::kFloat16: return body(Float16());
    default: return;
  }
}
template <class Body>
CE_INLINE void with_number(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::kInteger8: return body(uint8_t());
    case Dtype::kInteger16: return body(uint16_t());
    case Dtype::kInteger32: return body(uint32_t());
    case Dtype::kInteger64: return body(uint64_t());
    default: return with_floating(dtype, body);
  }
}

template <class V>
CE_INLINE V* pointer(uintptr_t address) {
  return reinterpret_cast<V*>(address);
}

template <class T>
constexpr T kInf = std::numeric_limits<T>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class T>
struct WidenTo {
  template <class From>
  CE_INLINE T operator()(From x) const {
    return T(widen(x));
  }
};
template <class To>
struct NarrowTo {
  template <class T>
  CE_INLINE To operator()(T x) const {
    return narrow<To, T>(x);
  }
};

// to[i] = convert(from[i]) for n numbers. Runs of the usual length are worth a loop of fixed length.
template <int kUsual = kLanes, class From, class To, class Convert>
CE_INLINE void copy_run(const From* from, To* to, int64_t n, const Convert& convert) {
  if (n == kUsual) {
    for (int i = 0; i < kUsual; ++i) to[i] = convert(from[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = convert(from[i]);
  }
}

// The order of the additions is fixed: halves onto halves, since shorter sums round less.
CE_INLINE double sum_lanes(const double* lanes) {
  alignas(64) double sum[kLanes];
  for (int l = 0; l < kLanes; ++l) sum[l] = lanes[l];
#pragma GCC unroll 6
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

template <class T>
CE_INLINE double total_of_lanes(const T* lanes) {
  alignas(64) double wide[kLanes];
  for (int l = 0; l < kLanes; ++l) wide[l] = double(lanes[l]);
  return sum_lanes(wide);
}

template <class T>
CE_INLINE T highest_lane(const T* lanes) {
  alignas(64) T high[kLanes];
  for (int l = 0; l < kLanes; ++l) high[l] = lanes[l];
#pragma GCC unroll 6
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) high[l] = high[l + half] > high[l] ? high[l + half] : high[l];
  return high[0];
}

// The first lane that holds `what`, kLanes if none does.
template <class T>
CE_INLINE int find_lane(const T* lanes, T what) {
  int at = kLanes;
  for (int l = 0; l < kLanes; ++l) {
    const int here = lanes[l] == what ? l : kLanes;
    at = here < at ? here : at;
  }
  return at;
}

}  // namespace ce
