// What the processes of a run share: the phase that the parent sets, what each process has counted,
// and how far each publisher is. Every number has one writer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/load/histogram.h"

namespace berth::bench {

enum class Phase : int { connecting, running, stopping, counting, ended };

// Counted by one process.
struct Counts {
  using Number = std::atomic<std::uint64_t>;
  std::atomic<int> reached{-1};  // the last phase whose work is done
  Number sent, acked, received, duplicates, disordered, foreign;  // foreign: not of this run
  Number unsent;          // due, and not said before the end
  Number unacknowledged;  // said, and not acknowledged until the end
  Number expected, lost;  // counted at the end
  Number connects, connect_failures, cuts, sessions_lost;
  Number connections;                    // now
  std::atomic<std::int64_t> last_ns{0};  // of the last arrival or acknowledgement
  Histogram delivery, acknowledgement, connect, back;
};

inline void add(Counts::Number& n, std::uint64_t more = 1) {
  n.store(n.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}
inline std::uint64_t get(const Counts::Number& n) {
  return n.load(std::memory_order_relaxed);
}

struct PublisherCounts {
  std::atomic<std::uint32_t> said{0};     // numbers below were published
  std::atomic<std::uint32_t> settled{0};  // numbers below were acknowledged; at the end
  std::atomic<std::uint64_t> arrived{0};  // at all of its subscribers
};

class Shared {
 public:
  Shared(std::uint32_t processes, std::uint32_t publishers);
  ~Shared();
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  Counts& counts(std::uint32_t process) { return counts_[process]; }
  const Counts& counts(std::uint32_t process) const { return counts_[process]; }
  PublisherCounts& publisher(std::uint32_t i) { return publishers_[i]; }
  std::uint32_t processes() const { return processes_; }

  Phase phase() const { return static_cast<Phase>(head_->phase.load()); }
  void set_phase(Phase p) { head_->phase = static_cast<int>(p); }
  std::int64_t start_ns() const { return head_->start_ns; }
  void set_start(std::int64_t ns) { head_->start_ns = ns; }
  // Processes that have said how far their publishers are.
  std::uint32_t settled() const { return head_->settled; }
  void add_settled() { ++head_->settled; }
  // How often the parent has asked for all connections to be cut.
  int cuts() const { return head_->cuts; }
  void cut() { ++head_->cuts; }

 private:
  struct Head {
    std::atomic<int> phase{0};
    std::atomic<int> cuts{0};
    std::atomic<std::uint32_t> settled{0};
    std::atomic<std::int64_t> start_ns{0};
  };
  std::uint32_t processes_;
  std::size_t size_;
  void* memory_;
  Head* head_;
  Counts* counts_;
  PublisherCounts* publishers_;
};

}  // namespace berth::bench
