#include "protocol/park/faults.h"

#include <array>
#include <cstdio>

namespace berth::protocol::park {

std::string name_of(FrameType type) {
  static constexpr std::array<const char*, 17> kNames{
      "",        "GREETING",  "HELLO",  "WELCOME", "PING", "PONG",
      "EVENT",   "TELEMETRY", "STATE",  "RESULT",  "ACK",  "COMMAND",
      "DESIRED", "RECEIVED",  "GOAWAY", "ERROR",   "BYE"};
  const auto n = static_cast<std::size_t>(type);
  return n != 0 && n < kNames.size() ? kNames[n] : "frame type " + std::to_string(n);
}

std::string text_of_no_frame(base::ByteView begin) {
  char text[64];
  if (begin.size() < 2) {
    std::snprintf(text, sizeof text, "no frame: it begins with 0x%02x, not with 'PK'", begin[0]);
  } else {
    std::snprintf(text, sizeof text, "no frame: it begins with 0x%02x 0x%02x, not with 'PK'",
                  begin[0], begin[1]);
  }
  return text;
}

std::string text_of_size(FrameType type, std::size_t size, std::size_t limit) {
  return name_of(type) + " of " + std::to_string(size) + " bytes, the limit is " +
         std::to_string(limit);
}

std::string text_of_bad_crc(FrameType type, std::uint32_t seq) {
  return name_of(type) + " with seq " + std::to_string(seq) + ": wrong CRC";
}

std::string text_of_no_crc(FrameType type) {
  return name_of(type) + " without CRC: without TLS each frame has one";
}

std::string text_of_sequence(FrameType type, std::uint32_t seq, std::uint32_t expected) {
  return name_of(type) + " with seq " + std::to_string(seq) + ", expected " +
         std::to_string(expected);
}

std::string text_of_unexpected(FrameType type, bool before_hello) {
  const auto n = static_cast<std::size_t>(type);
  if (n == 0 || n > static_cast<std::size_t>(FrameType::bye)) return name_of(type) + " is unknown";
  switch (type) {
    case FrameType::hello:
      return "a second HELLO";
    case FrameType::greeting:
    case FrameType::welcome:
    case FrameType::pong:
    case FrameType::ack:
    case FrameType::command:
    case FrameType::desired:
    case FrameType::goaway:
    case FrameType::error:
      return name_of(type) + " is for the gateway to send";
    default:
      return name_of(type) + (before_hello ? " before HELLO" : " is not expected");
  }
}

std::string text_of_fault(const Walker& walker) {
  const base::ByteView header = walker.header();
  const auto type = static_cast<FrameType>(header[2]);
  switch (walker.fault()) {
    case Walker::Fault::too_large:
      return name_of(type) + " with a length of " + std::to_string(walker.length()) +
             ", the limit is " + std::to_string(kPayloadMax);
    case Walker::Fault::no_crc:
      return text_of_no_crc(type);
    default:
      return text_of_no_frame(header);
  }
}

}  // namespace berth::protocol::park
