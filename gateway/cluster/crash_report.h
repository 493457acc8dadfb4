// Poison needs evidence (DESIGN 4, I12): an engine that dies of a fault of its own, or that is
// stuck, says as its last word which connection's input it was working on. The edges quarantine a
// connection that two engines have named. A kill from outside proves nothing and says nothing.
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
  // `words`: the input in work, by partition, 0: none. `progress` changes with what is done for it.
  // `stuck_ms`: CPU time of the thread that made this without progress; then the process aborts.
  using Words = std::deque<std::atomic<std::uint64_t>>;
  CrashReport(const Words& words, const std::atomic<std::uint64_t>& progress,
              std::uint32_t stuck_ms, std::function<void(std::size_t, std::uint64_t)> tell);
  ~CrashReport();

 private:
  void watch(int clock);

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  const Words& words_;
  const std::atomic<std::uint64_t>& progress_;
  std::uint32_t stuck_ms_;
  std::thread watchdog_;
};

}  // namespace berth::gateway::cluster
