#include "bench/load/shared.h"

#include <sys/mman.h>

#include <new>

namespace berth::bench {

// Zeroed pages; constructed all the same. Nothing in it needs to be destroyed.
Shared::Shared(std::uint32_t processes, std::uint32_t publishers)
    : processes_(processes),
      size_(64 + sizeof(Counts) * processes + sizeof(PublisherCounts) * publishers),
      memory_(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
  static_assert(sizeof(Head) <= 64 && alignof(Counts) <= 64);
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
  char* at = static_cast<char*>(memory_);
  head_ = new (at) Head;
  at += 64;
  counts_ = reinterpret_cast<Counts*>(at);
  for (std::uint32_t i = 0; i < processes; ++i, at += sizeof(Counts)) new (at) Counts;
  publishers_ = reinterpret_cast<PublisherCounts*>(at);
  for (std::uint32_t i = 0; i < publishers; ++i, at += sizeof(PublisherCounts))
    new (at) PublisherCounts;
}

Shared::~Shared() {
  munmap(memory_, size_);
}

}  // namespace berth::bench
