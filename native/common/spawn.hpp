// Threads that end with the call, for calls of milliseconds. OpenMP's threads go on and spin after a call, for as long as
// such a call takes, and wait for each other in the same way where other programs use the cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace ce {

// work(begin, end) over [0, n) in blocks of `block`, on at most `threads` threads, the caller's among them. What a thread
// computes never depends on how many there are.
template <class Work>
void spawned_blocks(int64_t n, int64_t block, int threads, const Work& work) {
  const int64_t blocks = (n + block - 1) / block;
  std::atomic<int64_t> next{0};
  const auto take = [&] {
    for (int64_t b = next++; b < blocks; b = next++) work(b * block, b + 1 < blocks ? (b + 1) * block : n);
  };
  std::vector<std::thread> others;
  try {
    for (int64_t t = 1; t < threads && t < blocks; ++t) others.emplace_back(take);
  } catch (const std::system_error&) {  // there are no more threads: those that there are do the work
  }
  take();
  for (std::thread& other : others) other.join();
}

}  // namespace ce
