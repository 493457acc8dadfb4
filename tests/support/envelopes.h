// Envelopes as devices send them.
#pragma once

#include <string>
#include <string_view>

#include "protocol/messages/envelope.pb.h"

namespace berth::test {

inline v1::Envelope plate_event(const std::string& event_id, const std::string& number = "A1") {
  v1::Envelope e;
  e.set_event_id(event_id);
  e.mutable_plate()->set_lane("1");
  e.mutable_plate()->mutable_plate()->set_number(number);
  return e;
}

inline v1::Envelope result_of(const std::string& command_id) {
  v1::Envelope e;
  e.set_event_id("r-" + command_id);
  e.mutable_result()->set_command_id(command_id);
  e.mutable_result()->set_outcome(v1::EXECUTED);
  return e;
}

inline v1::Envelope envelope_of(std::string_view bytes) {
  v1::Envelope e;
  if (!e.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) e.set_event_id("malformed");
  return e;
}

}  // namespace berth::test
