// What is wrong with an MQTT packet, in few words and with the numbers: the Reason String that a
// client of MQTT 5.0 hears, and what the log says. Plain functions; any thread.
#pragma once

#include <string>

#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/types.h"

namespace berth::protocol::mqtt {

// "PUBLISH"; of a type that MQTT does not have "packet type 0".
std::string name_of(PacketType type);

// Of a packet that could not be decoded, or came when it may not. `f` is whole.
std::string text_of_fault(const Frame& f, Reason reason);
// `size`: bytes of the whole packet.
std::string text_of_size(PacketType type, std::size_t size, std::size_t limit);
// After CONNECT, of a type that no client sends then.
std::string text_of_unexpected(PacketType type);

}  // namespace berth::protocol::mqtt
