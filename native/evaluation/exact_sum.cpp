// Most numbers of a block are split at three fixed places, 40 bits apart from the block's largest: adding and
// subtracting 1.5·2^52 units of a place rounds a number to it, and multiples of one unit add without rounding while
// they are few. What remains below the third place is added limb by limb.
#include "evaluation/exact_sum.hpp"

#include <cmath>
#include <cstring>

#include "common/lanes.hpp"

namespace ce {
namespace {

constexpr int kWide = 32;     // lanes of the inner loops
constexpr int kBlock = 2048;  // numbers whose parts are multiples of one unit, below 2^53 of it in all
constexpr int kBits = 40;

CE_INLINE void add_limbs(double x, int64_t* limbs) {
  const Limbs part = limbs_of(x);
  for (int i = 0; i < 3; ++i) limbs[part.first + i] += part.value[i];
}

CE_INLINE void add_one(double x, int64_t* limbs, int64_t* special) {
  if (std::isfinite(x)) {
    add_limbs(x, limbs);
  } else {
    ++special[std::isnan(x) ? 0 : x > 0 ? 1 : 2];
  }
}

// The largest magnitude of whole groups of lanes; NaN and infinities count as infinite.
CE_CLONES double largest(const double* x, int64_t n) {
  alignas(64) double high[kWide] = {};
  for (int64_t i = 0; i < n; i += kWide)
    for (int l = 0; l < kWide; ++l) {
      const double a = std::fabs(x[i + l]);
      high[l] = a <= high[l] ? high[l] : a <= 1.7976931348623157e308 ? a : kInf<double>;
    }
  double result = 0;
  for (double h : high) result = h > result ? h : result;
  return result;
}

struct Parts {
  double sum[3];
  bool complete;
};

struct Places {
  double at[3];
};

// The part of x below the third place.
CE_INLINE double remainder(double x, const Places& places, double* part) {
  for (int j = 0; j < 3; ++j) {
    part[j] = (x + places.at[j]) - places.at[j];
    x -= part[j];
  }
  return x;
}

CE_CLONES Parts split_sum(const double* x, int64_t n, const Places& places) {
  alignas(64) double first[kWide] = {}, second[kWide] = {}, third[kWide] = {}, rest[kWide] = {};
  for (int64_t i = 0; i < n; i += kWide)
    for (int l = 0; l < kWide; ++l) {
      double part[3];
      rest[l] += std::fabs(remainder(x[i + l], places, part));
      first[l] += part[0];
      second[l] += part[1];
      third[l] += part[2];
    }
  Parts result = {{0, 0, 0}, true};
  for (int l = 0; l < kWide; ++l) {  // exact: see kBlock
    result.sum[0] += first[l];
    result.sum[1] += second[l];
    result.sum[2] += third[l];
    result.complete &= rest[l] == 0.0;
  }
  return result;
}

void add_block(const double* x, int64_t n, int64_t* limbs, int64_t* special) {
  const int64_t whole = n - n % kWide;
  const double high = largest(x, whole);
  int64_t from = 0;
  if (high == 0.0) {
    from = whole;
  } else if (high < 0x1p900 && high > 0x1p-800) {
    Places places;
    for (int j = 0; j < 3; ++j) places.at[j] = std::ldexp(1.5, 52 + std::ilogb(high) + 1 - kBits * (j + 1));
    const Parts parts = split_sum(x, whole, places);
    for (double sum : parts.sum) add_limbs(sum, limbs);
    if (!parts.complete)
      for (int64_t i = 0; i < whole; ++i) {
        double part[3];
        const double rest = remainder(x[i], places, part);
        if (rest != 0.0) add_limbs(rest, limbs);
      }
    from = whole;
  }
  for (int64_t i = from; i < n; ++i) add_one(x[i], limbs, special);
}

// x·y = product + error.
CE_CLONES void multiply(const double* x, const double* y, int64_t n, double* product, double* error) {
  for (int64_t i = 0; i < n; ++i) {
    product[i] = x[i] * y[i];
    const double lost = std::fma(x[i], y[i], -product[i]);
    error[i] = std::fabs(product[i]) <= 1.7976931348623157e308 ? lost : 0.0;
  }
}

void add_term(const ExactTerm& term, int64_t begin, int64_t end, int64_t* limbs, int64_t* special) {
  alignas(64) double product[kBlock], error[kBlock];
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t n = end - i < kBlock ? end - i : kBlock;
    if (term.y) {
      multiply(term.x + i, term.y + i, n, product, error);
      add_block(product, n, limbs, special);
      add_block(error, n, limbs, special);
    } else {
      add_block(term.x + i, n, limbs, special);
    }
  }
}

constexpr int64_t kBeforeCarry = int64_t(1) << 24;  // numbers that limbs hold without a carry

void carry(int64_t* limbs) {
  for (int i = 0; i + 1 < kLimbs; ++i) {
    const int64_t over = limbs[i] >> 32;
    limbs[i] -= over * (int64_t(1) << 32);
    limbs[i + 1] += over;
  }
}

}  // namespace

void exact_sums(const ExactTerm* terms, int count, int64_t n, int64_t* limbs, int64_t* special) {
  for (int t = 0; t < count; ++t)
    for (int64_t begin = 0; begin < n; begin += kBeforeCarry) {
      const int64_t end = n - begin < kBeforeCarry ? n : begin + kBeforeCarry;
      add_term(terms[t], begin, end, limbs + t * kLimbs, special + t * 3);
      carry(limbs + t * kLimbs);
    }
}

void exact_group_sums(const ExactTerm& term, const int32_t* group, int64_t groups, int64_t n, int64_t* limbs,
                      uint8_t* touched) {
  const auto add = [&](double x, int64_t g) {
    if (!std::isfinite(x)) return;
    const Limbs part = limbs_of(x);
    touched[part.first] = touched[part.first + 1] = touched[part.first + 2] = 1;
    for (int i = 0; i < 3; ++i) limbs[(part.first + i) * groups + g] += part.value[i];
  };
  for (int64_t i = 0; i < n; ++i) {
    if (term.y) {
      const double product = term.x[i] * term.y[i];
      add(product, group[i]);
      if (std::isfinite(product)) add(std::fma(term.x[i], term.y[i], -product), group[i]);
    } else {
      add(term.x[i], group[i]);
    }
  }
}

}  // namespace ce
