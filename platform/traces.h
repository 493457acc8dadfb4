// Who makes spans of commands and reports (docs/operations.md, "Tracing"). Called on the shard's
// thread; must not block.
#pragma once

#include <cstdint>
#include <string>

namespace berth::platform {

struct Entry;

// A device's report, as far as a span says it.
struct TracedReport {
  std::string tenant, site, device, child;
  std::string type;      // of its body: "vehicle_arrived"
  std::string event_id;  // the device's or the gateway's; the same when an engine hears it again
  std::string traceparent;
  std::uint64_t epoch = 0;  // of the session
  bool replay = false;
  std::int64_t read_wall_ms = 0;  // by the engine
};

class Traces {
 public:
  // Is the command sampled?
  virtual bool wants(const Entry& e) const = 0;
  // It has its outcome, which is durable: so an engine that dies before makes no span of a command
  // that the next one ends otherwise. One that dies now leaves a command without spans.
  virtual void ended(const Entry& e) = 0;

  // The traceparent with which the report goes on: its own, or the one of its span. Empty: it is
  // not sampled.
  virtual std::string report_trace(const TracedReport& r) const = 0;
  // What the report had to write is durable.
  virtual void reported(const TracedReport& r, std::int64_t wall_ms) = 0;

 protected:
  ~Traces() = default;
};

}  // namespace berth::platform
