// A set of 64-bit keys in the order of their first appearance, up to a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ce {

class KeyTable {
 public:
  explicit KeyTable(int64_t limit);

  // Writes the place of each key, adding those that are new. Returns false, with nothing to rely on in `places`, if
  // there are more than `limit` keys.
  bool find(const uint64_t* keys, int64_t n, int32_t* places);

  const std::vector<uint64_t>& keys() const { return keys_; }

 private:
  int64_t limit_;
  uint64_t mask_;
  std::vector<uint64_t> keys_;
  std::vector<int32_t> slots_;  // place + 1 of the key, 0 where there is none
};

}  // namespace ce
