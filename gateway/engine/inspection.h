// What an engine answers to operators: sessions, packet traces, figures of parts beside it. Held by
// value by the EngineShard, on its thread.
#pragma once

#include <functional>
#include <vector>

#include "base/clock.h"
#include "gateway/engine/packet_traces.h"
#include "gateway/engine/session_questions.h"
#include "metrics/probe.h"

namespace berth::gateway::engine {

struct Inspection {
  // The Broker outlives it.
  explicit Inspection(session::Broker& broker) : sessions(broker), traces(broker) {}
  SessionQuestions sessions;
  PacketTraces traces;
  using MoreSamples = std::function<void(std::vector<metrics::Sample>&)>;
  MoreSamples more_samples;
  base::Instant at;  // the engine's clock, when it was last looked at
};

}  // namespace berth::gateway::engine
