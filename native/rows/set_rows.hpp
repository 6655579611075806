// Which rows of a mask have anything in them.
#pragma once

#include "rows/problem.hpp"

namespace ce {

// has_any[row] = whether a byte of the row is not 0. A row is read up to the first of them.
void rows_with_any(const View& mask, const Shape& shape, uint8_t* has_any, int threads);

}  // namespace ce
