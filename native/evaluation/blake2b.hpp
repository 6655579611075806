// BLAKE2b (RFC 7693) of short texts, with digests of 64 bits and no key.
#pragma once

#include <cstdint>

namespace ce {

struct Text {
  const char* bytes;
  int64_t size;
};

// The digest of `prefix` followed by each of n texts, as a little-endian number.
void blake2b_64(Text prefix, const Text* texts, int64_t n, uint64_t* digests);

}  // namespace ce
