// A Poisson bootstrap whose multiplicities depend on nothing but seed, key and replicate, so that its sums merge.

#include <vector>

#include "evaluation/exact_sum.hpp"

namespace ce {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014).
CE_INLINE uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// 2^63 · P(N ≤ k) for N ~ Poisson(1); beyond 12 the probability is below 10^-10 and counts as 12.
constexpr int64_t kBelow[] = {3393088950634442637, 6786177901268885274, 8482722376586106593, 9048237201691847032,
                              9189615907968282142, 9217891649223569164, 9222604272766117001, 9223277504700766692,
                              9223361658692597904, 9223371009136134705, 9223371944180488385, 9223372029184520538};

// Streams and times have room for whole groups of lanes.
CE_CLONES void draw(uint64_t key, const uint64_t* streams, int64_t replicates, int64_t* times) {
  for (int64_t b = 0; b < replicates; b += kLanes) {
    alignas(64) int64_t drawn[kLanes], count[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) drawn[l] = int64_t(mix(key + streams[b + l]) >> 1);
    for (int64_t below : kBelow)
      for (int l = 0; l < kLanes; ++l) count[l] += drawn[l] >= below ? 1 : 0;
    for (int l = 0; l < kLanes; ++l) times[b + l] = count[l];
  }
}

CE_CLONES void add_times(const Limbs& part, const int64_t* times, int64_t replicates, int64_t* limbs) {
  for (int i = 0; i < 3; ++i) {
    int64_t* at = limbs + (part.first + i) * replicates;
    const int64_t value = part.value[i];
    if (value == 0) continue;
    for (int64_t b = 0; b < replicates; ++b) at[b] += times[b] * value;
  }
}

}  // namespace

void poisson_sums(const double* x, const double* y, const uint64_t* keys, int64_t n, uint64_t seed,
                  int64_t replicates, int64_t* limbs_x, int64_t* limbs_y) {
  const size_t room = size_t((replicates + kLanes - 1) / kLanes * kLanes);
  std::vector<uint64_t> streams(room, 0);
  std::vector<int64_t> times(room, 0);
  for (int64_t b = 0; b < replicates; ++b) streams[size_t(b)] = mix(seed + uint64_t(b) * 0x9e3779b97f4a7c15ull);
  for (int64_t i = 0; i < n; ++i) {
    draw(keys[i], streams.data(), replicates, times.data());
    add_times(limbs_of(x[i]), times.data(), replicates, limbs_x);
    if (y[i] != 0.0) add_times(limbs_of(y[i]), times.data(), replicates, limbs_y);
  }
}

}  // namespace ce
