// Cutting packets from the input of a connection. Plain data; any thread.
#pragma once

#include <cstdint>

namespace berth::session {

// What was made of the bytes at the beginning of a connection's input.
enum class Cut : std::uint8_t { complete, need_more, failed };

}  // namespace berth::session
