// Which of the clones that the kernels were compiled to (see common/simd.hpp) this processor runs.
#pragma once

namespace ce {

// Whether the processor has the 512-bit vectors of "x86-64-v4".
bool has_avx512();

// "x86-64-v4" has vectors of 512 bits, "x86-64-v3" of 256 bits with fused multiply-adds.
const char* instruction_set();

}  // namespace ce
