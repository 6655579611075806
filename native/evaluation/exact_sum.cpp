// Most numbers of a block are split at three fixed places, 40 bits apart from the block's largest: adding and
// subtracting 1.5·2^52 units of a place rounds a number to it, and multiples of one unit add without rounding while
// they are few. What remains below the third place is added limb by limb.
#include "evaluation/exact_sum.hpp"

#include <cmath>
#include <cstring>
#include <vector>

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
  double sum[3], one[3];
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

// x for label 1, 0 for label 0.
CE_INLINE double of_label_one(double x, int64_t label) {
  return bit_cast<double>(bit_cast<uint64_t>(x) & (uint64_t(0) - uint64_t(label)));
}

// Parts of all numbers, and with labels also of those of label 1.
template <bool kLabels>
CE_INLINE Parts split_sums(const double* x, const int64_t* labels, int64_t n, const Places& places) {
  alignas(64) double sum[3][kWide] = {}, one[3][kWide] = {}, rest[kWide] = {};
  for (int64_t i = 0; i < n; i += kWide)
    for (int l = 0; l < kWide; ++l) {
      double part[3];
      rest[l] += std::fabs(remainder(x[i + l], places, part));
      for (int j = 0; j < 3; ++j) {
        sum[j][l] += part[j];
        if (kLabels) one[j][l] += of_label_one(part[j], labels[i + l]);
      }
    }
  Parts result = {{0, 0, 0}, {0, 0, 0}, true};
  for (int l = 0; l < kWide; ++l) {  // exact: see kBlock
    for (int j = 0; j < 3; ++j) {
      result.sum[j] += sum[j][l];
      result.one[j] += one[j][l];
    }
    result.complete &= rest[l] == 0.0;
  }
  return result;
}
CE_CLONES Parts split_sum(const double* x, int64_t n, const Places& places) {
  return split_sums<false>(x, nullptr, n, places);
}
CE_CLONES Parts split_sum_by_label(const double* x, const int64_t* labels, int64_t n, const Places& places) {
  return split_sums<true>(x, labels, n, places);
}

// Where a sum is added, and if there are labels, where that of label 1 is.
struct Total {
  int64_t *limbs, *special;
};
struct Totals {
  Total all, one;
  const int64_t* labels;
};

// `high` is at least the magnitude of every number in whole groups of lanes.
void add_block(const double* x, int64_t n, double high, const Totals& to) {
  const int64_t whole = n - n % kWide;
  const auto is_one = [&](int64_t i) { return to.labels && to.labels[i]; };
  int64_t from = 0;
  if (high == 0.0) {
    from = whole;
  } else if (high < 0x1p900 && high > 0x1p-800) {
    Places places;
    for (int j = 0; j < 3; ++j) places.at[j] = std::ldexp(1.5, 52 + std::ilogb(high) + 1 - kBits * (j + 1));
    const Parts parts =
        to.labels ? split_sum_by_label(x, to.labels, whole, places) : split_sum(x, whole, places);
    for (int j = 0; j < 3; ++j) {
      add_limbs(parts.sum[j], to.all.limbs);
      if (to.labels) add_limbs(parts.one[j], to.one.limbs);
    }
    if (!parts.complete)
      for (int64_t i = 0; i < whole; ++i) {
        double part[3];
        const double rest = remainder(x[i], places, part);
        if (rest == 0.0) continue;
        add_limbs(rest, to.all.limbs);
        if (is_one(i)) add_limbs(rest, to.one.limbs);
      }
    from = whole;
  }
  for (int64_t i = from; i < n; ++i) {
    add_one(x[i], to.all.limbs, to.all.special);
    if (is_one(i)) add_one(x[i], to.one.limbs, to.one.special);
  }
}

// x·y = product + error.
CE_CLONES void multiply(const double* x, const double* y, int64_t n, double* product, double* error) {
  for (int64_t i = 0; i < n; ++i) {
    product[i] = x[i] * y[i];
    const double lost = std::fma(x[i], y[i], -product[i]);
    error[i] = std::fabs(product[i]) <= 1.7976931348623157e308 ? lost : 0.0;
  }
}

// A product lost at most half a unit of its last place.
void add_products(const double* x, const double* y, int64_t n, double high, const Totals& to) {
  alignas(64) double product[kBlock], error[kBlock];
  multiply(x, y, n, product, error);
  add_block(product, n, high, to);
  add_block(error, n, high * 0x1p-53, to);
}

void add_term(const ExactTerm& term, int64_t begin, int64_t end, const Totals& to) {
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t n = end - i < kBlock ? end - i : kBlock, whole = n - n % kWide;
    const double high = largest(term.x + i, whole);
    if (term.y) {
      add_products(term.x + i, term.y + i, n, high * largest(term.y + i, whole), to);
    } else {
      add_block(term.x + i, n, high, to);
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

void exact_sum(const ExactTerm& term, int64_t n, int64_t* limbs, int64_t* special) {
  for (int64_t begin = 0; begin < n; begin += kBeforeCarry) {
    const int64_t end = n - begin < kBeforeCarry ? n : begin + kBeforeCarry;
    add_term(term, begin, end, {{limbs, special}, {nullptr, nullptr}, nullptr});
    carry(limbs);
  }
}

void exact_moments(const double* x, const int64_t* labels, int64_t n, int64_t* limbs, int64_t* special) {
  const auto total = [&](int t) { return Total{limbs + t * kLimbs, special + t * 3}; };
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    const double high = largest(x + i, m - m % kWide);
    add_block(x + i, m, high, {total(0), total(2), labels + i});
    add_products(x + i, x + i, m, high * high, {total(1), total(3), labels + i});
  }
  for (int t = 0; t < 4; ++t) carry(limbs + t * kLimbs);
}

namespace {

void add_to_groups(const ExactTerm& term, const int32_t* group, int64_t groups, int64_t n, int64_t* limbs,
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

// The numbers of each group side by side, those of group g from first[g] on.
std::vector<double> in_groups(const double* x, const int32_t* group, int64_t n, std::vector<int64_t> first) {
  std::vector<double> sorted(size_t(n), 0.0);
  for (int64_t i = 0; i < n; ++i) sorted[size_t(first[size_t(group[i])]++)] = x[i];
  return sorted;
}

}  // namespace

void exact_group_sums(const ExactTerm& term, const int32_t* group, int64_t groups, int64_t n, int64_t* limbs,
                      uint8_t* touched) {
  if (n < 64 * groups) return add_to_groups(term, group, groups, n, limbs, touched);
  std::vector<int64_t> first(size_t(groups + 1), 0);
  for (int64_t i = 0; i < n; ++i) ++first[size_t(group[i]) + 1];
  for (int64_t g = 0; g < groups; ++g) first[size_t(g) + 1] += first[size_t(g)];
  const std::vector<double> x = in_groups(term.x, group, n, first);
  const std::vector<double> y = term.y && term.y != term.x ? in_groups(term.y, group, n, first) : std::vector<double>();
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = first[size_t(g)], count = first[size_t(g) + 1] - begin;
    const double* other = y.empty() ? x.data() + begin : y.data() + begin;
    int64_t sum[kLimbs] = {}, special[3] = {};
    exact_sum({x.data() + begin, term.y ? other : nullptr}, count, sum, special);
    for (int i = 0; i < kLimbs; ++i) {
      limbs[i * groups + g] += sum[i];
      touched[i] |= sum[i] != 0;
    }
  }
}

}  // namespace ce
