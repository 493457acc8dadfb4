// What an engine answers to operators: sessions and packet traces. Held by value by the
// EngineShard, on its thread.
#pragma once

#include "base/clock.h"
#include "gateway/engine/packet_traces.h"
#include "gateway/engine/session_questions.h"

namespace berth::gateway::engine {

struct Inspection {
  // The Broker outlives it.
  explicit Inspection(session::Broker& broker) : sessions(broker), traces(broker) {}
  SessionQuestions sessions;
  PacketTraces traces;
  base::Instant at;  // the engine's clock, when it was last looked at
};

}  // namespace berth::gateway::engine
