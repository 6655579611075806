#include "rows/pullback_factors.hpp"
#include "rows/statistics_finish.hpp"

namespace ce {

CE_CLONES int64_t store_finished_rows(RowFinish<>& finish) { return finish.store_all(); }

CE_CLONES void compute_factors(RowFactors<>& factors, int64_t first_row, int count) {
  factors.compute(first_row, count);
}

}  // namespace ce
