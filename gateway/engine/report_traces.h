// Which of the reports that an engine reads are traced. One at a time: between the translation of a
// report and its acceptance no other one is translated. On the engine's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "platform/traces.h"
#include "protocol/messages/envelope.h"
#include "session/scope.h"

namespace berth::gateway::engine {

class ReportTraces {
 public:
  using Taken = std::function<void(platform::TracedReport)>;
  // `traces` outlives it.
  ReportTraces(const platform::Traces& traces, Taken taken)
      : traces_(traces), on_taken_(std::move(taken)) {}

  // A report was read at `now`. What is to stand in its Envelope as `traceparent`; empty: it stays
  // as it is. `e`: its event_id may be empty, then it is `made_id`.
  std::string read(const session::Scope& who, std::uint64_t epoch, base::Instant now,
                   const protocol::messages::EnvelopeView& e, std::string_view made_id);
  void forget() { read_.reset(); }
  // The report of the last read() has been accepted.
  void taken() {
    if (read_) on_taken_(std::move(*read_));
    read_.reset();
  }

 private:
  const platform::Traces& traces_;
  Taken on_taken_;
  std::optional<platform::TracedReport> read_;
  std::uint64_t unnamed_ = 0;
};

}  // namespace berth::gateway::engine
