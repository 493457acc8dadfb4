// Protobuf from anybody's bytes.
#pragma once

#include <google/protobuf/message_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <string_view>

namespace berth::protocol::messages {

// Says nothing about bytes that are none: who sends them would write our log.
inline bool parse(google::protobuf::MessageLite& m, std::string_view bytes) {
  [[maybe_unused]] static const auto once = google::protobuf::SetLogHandler(nullptr);
  return m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace berth::protocol::messages
