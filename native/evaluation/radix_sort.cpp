#include "evaluation/radix_sort.hpp"

#include <cstddef>
#include <utility>
#include <vector>

#include "common/memory.hpp"

namespace ce {
namespace {

constexpr int kBits = 11, kDigits = (64 + kBits - 1) / kBits;
constexpr uint64_t kMask = (uint64_t(1) << kBits) - 1;

uint64_t digit(uint64_t key, int place) { return key >> (place * kBits) & kMask; }

}  // namespace

void radix_sort(uint64_t* keys, int64_t n) {
  std::vector<int64_t> counts(size_t(kDigits) << kBits);
  for (int64_t i = 0; i < n; ++i)
    for (int place = 0; place < kDigits; ++place) ++counts[(size_t(place) << kBits) + digit(keys[i], place)];
  const Scratch scratch{size_t(n)};
  uint64_t *from = keys, *to = reinterpret_cast<uint64_t*>(scratch.data());
  for (int place = 0; place < kDigits && n > 0; ++place) {
    int64_t* begin = counts.data() + (size_t(place) << kBits);
    if (begin[digit(from[0], place)] == n) continue;
    int64_t total = 0;
    for (uint64_t d = 0; d <= kMask; ++d) total += std::exchange(begin[d], total);
    for (int64_t i = 0; i < n; ++i) to[begin[digit(from[i], place)]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys)
    for (int64_t i = 0; i < n; ++i) keys[i] = from[i];
}

}  // namespace ce
