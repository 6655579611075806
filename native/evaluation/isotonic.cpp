#include "evaluation/isotonic.hpp"

namespace ce {

int64_t pool_adjacent_violators(double* weight, double* positive, int64_t* predictions, int64_t n) {
  int64_t blocks = 0;
  for (int64_t i = 0; i < n; ++i) {
    double w = weight[i], a = positive[i];
    int64_t count = predictions[i];
    for (; blocks > 0 && positive[blocks - 1] * w >= a * weight[blocks - 1]; --blocks) {  // at least as high: one block
      w += weight[blocks - 1];
      a += positive[blocks - 1];
      count += predictions[blocks - 1];
    }
    weight[blocks] = w;
    positive[blocks] = a;
    predictions[blocks++] = count;
  }
  return blocks;
}

}  // namespace ce
