#include "evaluation/isotonic.hpp"

#include <algorithm>
#include <vector>

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

void increasing_fits(const double* weight, double* positive, int64_t rows, int64_t n) {
  std::vector<double> weights(static_cast<size_t>(n)), ones(weights);
  std::vector<int64_t> predictions(weights.size());
  for (double* row = positive; row != positive + rows * n; row += n) {
    std::copy(weight, weight + n, weights.begin());
    std::copy(row, row + n, ones.begin());
    std::fill(predictions.begin(), predictions.end(), 1);
    const int64_t blocks = pool_adjacent_violators(weights.data(), ones.data(), predictions.data(), n);
    double* end = row;
    for (int64_t b = 0; b < blocks; ++b) end = std::fill_n(end, predictions[size_t(b)], ones[size_t(b)] / weights[size_t(b)]);
  }
}

}  // namespace ce
