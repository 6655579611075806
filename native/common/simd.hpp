// How loops become vector code here: plain loops over a fixed number of lanes, compiled several times.
//
// Every inner loop runs over exactly kLanes entries, so there are no vector tails: an entry's result does not
// depend on where it stands, and every clone (AVX-512, AVX2, baseline) adds in the same order.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__linux__)
#include <features.h>
#endif

// Clones are picked at load time by an ifunc, which needs x86-64, GCC and glibc; elsewhere the baseline runs. All read
// the same, so for a sanitizer, which takes long to compile, one is enough.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define CE_HAS_CLONES 1
#define CE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define CE_CLONES_OF_DUALS __attribute__((target_clones("arch=x86-64-v3", "default")))  // which are long
#else
#define CE_CLONES
#define CE_CLONES_OF_DUALS
#endif
#define CE_INLINE inline __attribute__((always_inline))

namespace ce {

constexpr int kLanes = 64;

template <class To, class From>
CE_INLINE To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast keeps the size");
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

}  // namespace ce
