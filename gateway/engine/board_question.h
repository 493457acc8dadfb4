// What an edge asks for the console's wall: the board of this partition, with what the registry
// says of its sites (platform/board.proto). On the engine's thread.
#pragma once

#include <string>
#include <string_view>

#include "gateway/registry/registry.h"
#include "platform/device_watch.h"

namespace berth::gateway::engine {

// About Board::kAnswerBytes at most; more_after says that there is more.
std::string answer_board(const platform::DeviceWatch& devices, const registry::Registry& registry,
                         std::string_view question);

}  // namespace berth::gateway::engine
