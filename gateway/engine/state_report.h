// What an Envelope says of the state of its device, for platform/board.h. Any thread.
#pragma once

#include <optional>

#include "platform/board.h"
#include "protocol/messages/envelope.pb.h"

namespace berth::gateway::engine {

// Of a barrier, a charger or an alarm. Nothing: it says another thing.
std::optional<platform::StateReport> state_report_of(const v1::Envelope& e);

}  // namespace berth::gateway::engine
