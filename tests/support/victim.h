// A device beside an attack: a loop of QoS 1 messages to itself, in a thread of its own. What the
// attacker does must not show in its latency, lose its messages or end its connection.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/gateway_process.h"
#include "tests/support/wire.h"

namespace berth::test {

struct VictimReport {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;  // of these, back at the victim
  std::uint64_t closed = 0;    // connections ended by the gateway
  double p50_ms = 0;
  double p99_ms = 0;
  double max_ms = 0;
  std::string text() const;  // one line, for a test's output and bench/results
};

class Victim {
 public:
  struct Options {
    int port = 0;
    unsigned from = 2;  // 127.0.0.2: another principal than an anonymous attacker at 127.0.0.1
    ConnectOptions login{.client_id = "victim"};
    std::string topic = "victim/loop";
    std::chrono::milliseconds pause{5};  // between two messages
    std::chrono::milliseconds patience{30'000};  // for one message; then it counts as lost
  };
  // Connects and subscribes; the loop has begun when the constructor returns. Throws
  // std::runtime_error when the gateway does not let the victim in.
  explicit Victim(Options o);
  ~Victim();
  std::uint64_t rounds() const { return rounds_; }
  VictimReport stop();  // once

 private:
  void loop();
  Options options_;
  std::atomic<bool> running_{true};
  std::atomic<std::uint64_t> rounds_{0};
  std::atomic<int> begun_{0};  // 1: subscribed, 2: refused
  VictimReport report_;
  std::vector<double> took_ms_;
  std::thread thread_;
};

// The bytes a process holds resident, and the most it ever held (VmRSS and VmHWM); 0: it is gone.
std::uint64_t resident_bytes(pid_t pid);
std::uint64_t resident_peak_bytes(pid_t pid);

}  // namespace berth::test
