#include "evaluation/key_table.hpp"

namespace ce {

KeyTable::KeyTable(int64_t limit) : limit_(limit) {
  uint64_t size = 16;
  while (size < 4 * uint64_t(limit)) size *= 2;
  mask_ = size - 1;
  slots_.resize(size);
}

bool KeyTable::find(const uint64_t* keys, int64_t n, int32_t* places) {
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t key = keys[i], mixed = key * 0x9e3779b97f4a7c15ull;
    uint64_t at = (mixed ^ (mixed >> 32)) & mask_;
    while (slots_[at] != 0 && keys_[std::size_t(slots_[at] - 1)] != key) at = (at + 1) & mask_;
    if (slots_[at] == 0) {
      if (int64_t(keys_.size()) >= limit_) return false;
      keys_.push_back(key);
      slots_[at] = int32_t(keys_.size());
    }
    places[i] = slots_[at] - 1;
  }
  return true;
}

}  // namespace ce
