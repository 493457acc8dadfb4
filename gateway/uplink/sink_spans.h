// The span `uplink NAME` of a message on its way to a platform: from when the sink got it until the
// platform had it, or refused it for ever. Of messages that say their trace, which are Envelopes of
// sampled reports and outcomes of sampled commands. On the sink's thread: no packet waits for it.
//
// Its id follows from the message's, so that a message that is sent again after an engine's death
// has the same span.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "gateway/tracing/sampler.h"
#include "gateway/tracing/span.h"
#include "gateway/uplink/sink.h"

namespace berth::gateway::uplink {

class SinkSpans {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kOpenMax = 1024;  // sampled messages on their way; others: no span

  // `sampler`: a copy, since the thread may be left behind.
  SinkSpans(std::string uplink, std::string kind, tracing::Sampler sampler)
      : uplink_(std::move(uplink)), kind_(std::move(kind)), sampler_(std::move(sampler)) {}
  void took(const Upward& m, std::int64_t wall_ns);
  // Nothing: the message is not traced. `why`: the platform refused it; else empty. A message whose
  // expiry has passed at `now` is an error too: it was not sent, or too late.
  std::optional<tracing::Span> ended(std::uint32_t generation, std::uint64_t seq,
                                     std::int64_t wall_ns, Clock::time_point now,
                                     const std::string& why);

 private:
  const std::string uplink_;
  const std::string kind_;
  const tracing::Sampler sampler_;
  struct Open {
    tracing::Span span;
    Clock::time_point expires;
  };
  std::map<std::pair<std::uint32_t, std::uint64_t>, Open> open_;
};

}  // namespace berth::gateway::uplink
