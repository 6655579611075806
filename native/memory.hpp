// Large outputs on large pages.
#pragma once

#include <cstdint>

namespace ce {

// Asks for 2 MiB pages under [address, address + bytes), before it is first written. Fresh memory is otherwise
// paid for 4 KiB at a time, which costs more than the arithmetic. A hint: where it cannot be followed, nothing
// happens.
void advise_huge_pages(uintptr_t address, uint64_t bytes);

}  // namespace ce
