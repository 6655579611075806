#include "common/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <new>
#include <utility>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace ce {
namespace {

// Exchanged one at a time, without a lock that the child of a fork could find taken for ever.
std::atomic<Block*> kept[2];

constexpr size_t kLarge = size_t(2) << 20;

// A buffer of Scratch, with its size in front.
struct alignas(16) Buffer {
  size_t bytes;
};
std::atomic<Buffer*> kept_buffer;

#if defined(MADV_FREE) && !defined(__SANITIZE_ADDRESS__)  // which watches what malloc gives

constexpr size_t kPage = size_t(2) << 20;

size_t round_up(size_t n) { return (n + kPage - 1) & ~(kPage - 1); }

Block* map(size_t bytes) {
  const size_t mapped_bytes = round_up(bytes) + kPage;  // room to begin on a page's boundary
  void* mapped = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  auto* begin = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(mapped)));
#ifdef MADV_HUGEPAGE
  (void)madvise(begin, round_up(bytes), MADV_HUGEPAGE);  // a hint: without large pages it is only slower
#endif
  return new Block{mapped, mapped_bytes, begin, round_up(bytes), 0};
}

void unmap(Block* block) {
  (void)munmap(block->mapped, block->mapped_bytes);
  delete block;
}

bool offer_pages(const Block& block) { return madvise(block.begin, round_up(block.used), MADV_FREE) == 0; }

#else

Block* map(size_t bytes) {
  void* mapped = std::malloc(bytes);
  if (!mapped) throw std::bad_alloc();
  return new Block{mapped, bytes, static_cast<std::byte*>(mapped), bytes, 0};
}

void unmap(Block* block) {
  std::free(block->mapped);
  delete block;
}

bool offer_pages(const Block&) { return false; }

#endif

}  // namespace

Block* acquire(size_t bytes) {
  Block* chosen = nullptr;
  for (auto& slot : kept) {
    Block* block = slot.exchange(nullptr);
    if (block && block->bytes >= bytes && (!chosen || block->bytes < chosen->bytes)) std::swap(block, chosen);
    if (block && (block = slot.exchange(block))) unmap(block);  // another thread was faster
  }
  if (!chosen) {
    release_kept();
    chosen = map(bytes);
  }
  chosen->used = bytes;
  return chosen;
}

void release(Block* block) {
  if (!offer_pages(*block)) return unmap(block);
  for (auto& slot : kept) {
    if (!(block = slot.exchange(block))) return;
  }
  unmap(block);
}

void release_kept() {
  for (auto& slot : kept) {
    if (Block* block = slot.exchange(nullptr)) unmap(block);
  }
  std::free(kept_buffer.exchange(nullptr));
}

#if defined(MADV_HUGEPAGE) && defined(MADV_FREE) && !defined(__SANITIZE_ADDRESS__)

namespace {

// Of this thread, for others may have the processor meanwhile.
int64_t processor_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t(now.tv_sec) * 1000000000 + now.tv_nsec;
}

constexpr int64_t kFair = 600000;  // nanoseconds a page; 512 small pages take about as long
constexpr int64_t kAhead = 10 * kFair;

}  // namespace

LargePages::LargePages(void* begin, size_t bytes)
    : first(round_up(reinterpret_cast<uintptr_t>(begin))),
      last((reinterpret_cast<uintptr_t>(begin) + bytes) & ~(kPage - 1)),
      nanoseconds_left(kAhead) {}

void LargePages::prepare(const void* begin, const void* end) {
  // A page belongs to the entries that its own first byte is one of.
  const uintptr_t from = std::max(first, round_up(reinterpret_cast<uintptr_t>(begin)));
  const uintptr_t to = std::min(last, round_up(reinterpret_cast<uintptr_t>(end)));
  for (uintptr_t page = from; page < to && nanoseconds_left.load(std::memory_order_relaxed) > 0; page += kPage) {
    (void)madvise(reinterpret_cast<void*>(page), kPage, MADV_HUGEPAGE);
    const int64_t start = processor_nanoseconds();
    *reinterpret_cast<volatile char*>(page) = 0;
    nanoseconds_left.fetch_add(kFair - (processor_nanoseconds() - start), std::memory_order_relaxed);
  }
}

#else

LargePages::LargePages(void*, size_t) : first(0), last(0), nanoseconds_left(0) {}
void LargePages::prepare(const void*, const void*) {}

#endif

Scratch::Scratch(size_t doubles) : bytes(doubles * sizeof(double)) {
  if (bytes >= kLarge) {
    block = acquire(bytes);
    memory = reinterpret_cast<double*>(block->begin);
    return;
  }
  Buffer* buffer = kept_buffer.exchange(nullptr);
  if (!buffer || buffer->bytes < bytes) {
    std::free(buffer);
    buffer = static_cast<Buffer*>(std::malloc(sizeof(Buffer) + bytes));
    if (!buffer) throw std::bad_alloc();
    buffer->bytes = bytes;
  }
  memory = reinterpret_cast<double*>(buffer + 1);
}

Scratch::~Scratch() {
  if (block)
    release(block);
  else
    std::free(kept_buffer.exchange(reinterpret_cast<Buffer*>(memory) - 1));
}

}  // namespace ce
