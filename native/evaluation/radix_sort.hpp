// Sorted 64-bit keys.
#pragma once

#include <cstdint>

namespace ce {

// Puts n keys into increasing order, digit by digit from the lowest; digits that are the same in all keys are left out.
void radix_sort(uint64_t* keys, int64_t n);

}  // namespace ce
