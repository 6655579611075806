// The labels of up to kLanes rows, and which rows they exclude.
#pragma once

#include "rows/chunk.hpp"

namespace ce {

class RowLabels {
 public:
  // Of each row: whether one of its labels is ignore_index; if not, whether one is outside the classes and not foreign.
  uint8_t ignored[kLanes], invalid[kLanes];  // as bytes, for GCC 12 does not vectorize operations on stored bools
  bool any_excluded;
  alignas(64) int64_t label[kLanes];  // of each row that has one; 0 of those past the last

  CE_INLINE RowLabels(const Target& target, int64_t classes)
      : target(target), classes(uint64_t(classes)), k(target.indices ? target.k : 0) {}

  CE_INLINE void begin(int64_t first_row, int count) {
    row = first_row;
    rows = count;
    for (int l = 0; l < kLanes; ++l) ignored[l] = invalid[l] = 0;
    for (int64_t j = 0; j < k; ++j) {
      load(j);
      const uint64_t n = classes;
      if (!target.foreign)
        for (int l = 0; l < kLanes; ++l) invalid[l] |= uint64_t(label[l]) >= n;
      const int64_t ignore = target.ignore_index;
      if (target.has_ignore)
        for (int l = 0; l < kLanes; ++l) ignored[l] |= label[l] == ignore;
    }
    for (int l = rows; l < kLanes; ++l) ignored[l] = invalid[l] = 0;
    for (int l = 0; l < kLanes; ++l) invalid[l] &= ignored[l] ^ 1;
    uint8_t any = 0;
    for (int l = 0; l < kLanes; ++l) any |= ignored[l] | invalid[l];
    any_excluded = any != 0;
  }

  CE_INLINE const int64_t* of(int l) const { return pointer<const int64_t>(target.indices) + (row + l) * k; }
  CE_INLINE bool counts(int l) const { return !(ignored[l] | invalid[l]); }
  // Whether the j-th label of a row is a target: it counts, and is not foreign.
  CE_INLINE bool is_target(int l, int64_t j) const { return counts(l) && uint64_t(of(l)[j]) < classes; }

  // The first row with a label outside the classes, −1 if there is none.
  CE_INLINE int64_t first_invalid() const {
    for (int l = 0; any_excluded && l < rows; ++l)
      if (invalid[l]) return row + l;
    return -1;
  }

 private:
  const Target& target;
  const uint64_t classes;
  const int64_t k;
  int64_t row;
  int rows;

  CE_INLINE void load(int64_t j) {
    if (k == 1 && rows == kLanes) {
      std::memcpy(label, of(0), sizeof label);
    } else {
      for (int l = 0; l < kLanes; ++l) label[l] = l < rows ? of(l)[j] : 0;
    }
  }
};

}  // namespace ce
