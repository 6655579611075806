// Threads: static blocks of work, so that what a thread computes never depends on how many there are.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ce {

// True in a process that was forked from one that loaded this module: OpenMP's workers did not survive the
// fork, and waiting for them would hang, so a forked child runs on its own thread.
bool forked_child();

// work(begin, end) over [0, n) in blocks of `block`, on at most `threads` threads.
template <class Work>
void parallel_blocks(int64_t n, int64_t block, int threads, const Work& work) {
  const int64_t blocks = (n + block - 1) / block;
#if defined(_OPENMP)
  if (threads > blocks) threads = int(blocks);
  if (threads > 1 && !forked_child()) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t b = 0; b < blocks; ++b) work(b * block, b + 1 < blocks ? (b + 1) * block : n);
    return;
  }
#else
  (void)threads;
#endif
  for (int64_t b = 0; b < blocks; ++b) work(b * block, b + 1 < blocks ? (b + 1) * block : n);
}

// How many rows of so many classes have so many entries, at least one: the rows that a thread takes at a time.
inline int64_t rows_with(int64_t entries, int64_t classes) {
  return std::max<int64_t>(1, entries / std::max<int64_t>(1, classes));
}

}  // namespace ce
