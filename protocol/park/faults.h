// What is wrong with a frame, in few words and with the numbers: what the device hears in its ERROR
// and the operator reads in the log. Plain functions; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "protocol/park/frame.h"

namespace berth::protocol::park {

// "EVENT"; of a type that this version does not have "frame type 99".
std::string name_of(FrameType type);

// `begin`: where a frame should begin, 1 byte or more.
std::string text_of_no_frame(base::ByteView begin);
// Bytes of the whole frame.
std::string text_of_size(FrameType type, std::size_t size, std::size_t limit);
std::string text_of_bad_crc(FrameType type, std::uint32_t seq);
std::string text_of_no_crc(FrameType type);
std::string text_of_sequence(FrameType type, std::uint32_t seq, std::uint32_t expected);
// A device does not send it, or not then.
std::string text_of_unexpected(FrameType type, bool before_hello);

// Why walker.walk() was false. REQUIRES: it was.
std::string text_of_fault(const Walker& walker);

}  // namespace berth::protocol::park
