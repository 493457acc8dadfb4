// Sends spans to a collector (OTLP over HTTP), from a thread of its own. add() takes a lock for a
// moment and never waits for the network. A collector that is away costs spans, which are counted,
// and nothing else: the queue is bounded, and a batch is given up after kTries.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/tracing/options.h"
#include "gateway/tracing/span.h"

namespace berth::gateway::tracing {

inline constexpr std::chrono::milliseconds kFlushMax{1000};

struct ExporterOptions {
  Endpoint to;
  std::string ca_file = {};  // TracingOptions
  std::string headers_file = {};
  std::vector<Attribute> process = {};  // said with each request
  std::size_t queue_max = 2048;         // spans
  std::size_t batch_max = 512;
  std::chrono::milliseconds batch_within{1000};  // a batch waits so long for more spans
  std::chrono::milliseconds request_max{5000};
  std::chrono::milliseconds flush_max = kFlushMax;  // how long the end of the process waits
};

class Exporter {
 public:
  static constexpr unsigned kTries = 5;  // of one batch

  explicit Exporter(ExporterOptions options);
  // Sends what waits, for `flush_max` at most; nothing if the last request failed. A look-up of the
  // collector's name may take longer: its thread is left behind, with all that it uses.
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // Any thread. What does not fit is dropped and counted.
  void add(std::vector<Span> spans);

  struct Counts {
    std::uint64_t exported = 0;  // spans
    std::uint64_t dropped = 0;   // spans
    std::uint64_t failures = 0;  // requests without an answer, or refused
  };
  Counts counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // the thread's too, which may be left behind
  std::thread thread_;
};

}  // namespace berth::gateway::tracing
