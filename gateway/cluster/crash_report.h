// Poison needs evidence (I12): an engine that dies of a fault of its own, or that is stuck, tells
// the edges with its last frame which connection's input it was working on. The edges quarantine a
// connection that two engines have named. An engine that is killed from outside names none.
//
// One in a process. The handler runs on the thread that faulted and writes to the links without
// allocating (with TLS as far as OpenSSL allows; a handler that hangs is ended by an alarm).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace berth::gateway::cluster {

class CrashReport {
 public:
  // When the thread that made this counts as stuck in one input; then the process aborts. After
  // some time edges close a silent link and give the input to another engine. If the thread gets
  // little CPU its last frame must leave before that: so after `late_ms` less CPU is enough.
  struct Stuck {
    std::uint32_t cpu_ms = 400;       // of CPU without progress
    std::uint32_t late_ms = 0;        // or so long without progress,
    std::uint32_t late_cpu_ms = 100;  // with so much CPU in this time
  };
  // `words`: the input in work, by partition, 0: none. `progress` changes while the engine works
  // for it. `tell` gets the partition and the word; it runs in the signal handler. REQUIRES: no
  // other CrashReport; `words` and `progress` outlive this.
  using Words = std::deque<std::atomic<std::uint64_t>>;
  CrashReport(const Words& words, const std::atomic<std::uint64_t>& progress, Stuck stuck,
              std::function<void(std::size_t, std::uint64_t)> tell);
  ~CrashReport();

 private:
  void watch(int clock);
  bool is_stuck(std::int64_t cpu_ms, std::int64_t ms) const;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  const Words& words_;
  const std::atomic<std::uint64_t>& progress_;
  Stuck stuck_;
  std::thread watchdog_;
};

}  // namespace berth::gateway::cluster
