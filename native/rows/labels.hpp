// The labels of up to kLanes rows, and which rows they exclude.
#pragma once

#include "rows/chunk.hpp"

namespace ce {

class RowLabels {
 public:
  // Of each row: whether one of its labels is ignore_index; if not, whether one is outside the classes.
  bool ignored[kLanes], invalid[kLanes];
  bool any_excluded;

  CE_INLINE RowLabels(const Target& target, int64_t classes)
      : target(target), classes(uint64_t(classes)), k(target.indices ? target.k : 0) {}

  CE_INLINE void begin(int64_t first_row, int count) {
    row = first_row;
    rows = count;
    bool outside[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) ignored[l] = false;
    for (int64_t j = 0; j < k; ++j) {
      alignas(64) int64_t y[kLanes];
      load(j, y);
      for (int l = 0; l < kLanes; ++l) outside[l] |= uint64_t(y[l]) >= classes;
      for (int l = 0; target.has_ignore && l < kLanes; ++l) ignored[l] |= y[l] == target.ignore_index;
    }
    bool any = false;
    for (int l = 0; l < kLanes; ++l) {
      ignored[l] &= l < rows;
      invalid[l] = outside[l] & !ignored[l] & (l < rows);
      any |= ignored[l] | invalid[l];
    }
    any_excluded = any;
  }

  CE_INLINE const int64_t* of(int l) const { return pointer<const int64_t>(target.indices) + (row + l) * k; }
  CE_INLINE bool counts(int l) const { return !(ignored[l] | invalid[l]); }

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

  // The j-th labels, 0 of rows past the last.
  CE_INLINE void load(int64_t j, int64_t* y) const {
    if (k == 1 && rows == kLanes) {
      std::memcpy(y, of(0), kLanes * sizeof(int64_t));
    } else {
      for (int l = 0; l < kLanes; ++l) y[l] = l < rows ? of(l)[j] : 0;
    }
  }
};

}  // namespace ce
