// The memory of large results.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ce {

// Memory on 2 MiB pages which stay when it is no longer used.
//
// The system clears a page before it is first written, which costs about as much as a kernel's own work on it, and a
// gradient of the same size step after step would pay that price every time. So `release` keeps the last two blocks for
// the next `acquire`, their pages marked as the system's for the taking (MADV_FREE): when memory runs short it takes them
// back, and only then are they cleared again.
struct Block {
  void* mapped;
  size_t mapped_bytes;
  std::byte* begin;
  size_t bytes;
  size_t used;  // of `bytes`, since the last `acquire`
};

// At least `bytes` of memory, not cleared: the smallest kept block that is large enough, or else a new one, before which
// the kept ones are given back. Throws std::bad_alloc.
Block* acquire(size_t bytes);

// The block is used no longer; the oldest of three is given back to the system.
void release(Block* block);

// Gives what is kept back to the system.
void release_kept();

// The first write to large memory of another's making, on 2 MiB pages as long as the system has them at hand: these are
// cleared several times as fast as small ones. Where memory is in pieces the system has to move others' pages first, which
// takes longer than small pages do, so no more are asked for once they have been dear on the whole.
class LargePages {
 public:
  LargePages(void* begin, size_t bytes);
  // Before entries of [begin, end) are written; they lose what they hold. Any thread may call it.
  void prepare(const void* begin, const void* end);

 private:
  uintptr_t first, last;  // whole pages
  std::atomic<int64_t> nanoseconds_left;
};

// Doubles to work in, not cleared: a block if they are many, and otherwise a buffer that is kept for the next.
class Scratch {
 public:
  explicit Scratch(size_t doubles);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  double* data() const { return memory; }

 private:
  size_t bytes;
  Block* block = nullptr;
  double* memory;
};

}  // namespace ce
