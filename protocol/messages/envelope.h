// The Envelope in which a platform gets what devices say (envelope.proto): read as far as the
// gateway has to, and completed. Protobuf stays out of this header. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::protocol::messages {

// What a device's Envelope says; views of its bytes.
// Is a body with this field number a state of the device: barrier, charger, alarm, health?
constexpr bool tells_state(std::uint32_t body) {
  return body == 25 || body == 27 || body == 30 || body == 33;
}

struct EnvelopeView {
  std::string_view type;  // the body's name, "vehicle_arrived"; empty: there is none
  std::string_view event_id;
  std::string_view child;
  std::string_view command_id;  // of a result
  std::string_view traceparent;
  std::int64_t event_time_ms = 0;
  std::uint32_t body = 0;  // its field number
  bool has_time = false;
  bool replay = false;
};
// False: no Envelope, or one that whoever reads it later could not read (schema.h).
bool read_envelope(std::string_view bytes, EnvelopeView& out);

// What the gateway knows better, encoded once for all Envelopes of a connection.
std::string encode_origin(std::string_view tenant, std::string_view site, std::string_view device,
                          std::uint64_t session_epoch);

// Appends it to an Envelope: a later field counts.
void put_traceparent(std::string& bytes, std::string_view traceparent);

struct Received {
  std::int64_t at_ms = 0;         // since 1970
  std::string_view made_id = {};  // not empty: the device gave no event_id
};
// Writes what the gateway adds to Envelopes. One thread.
class Completer {
 public:
  // Appends the gateway's fields to the bytes of an Envelope that read_envelope() took: later
  // fields count (Protobuf, "last one wins").
  void complete(std::string& bytes, const EnvelopeView& e, std::string_view origin,
                const Received& received);

 private:
  std::int64_t at_ms_ = -1;
  std::string at_;  // as it is written: many come in one millisecond
};

inline constexpr std::int64_t kClockSkewMax_ms = 5000;

}  // namespace berth::protocol::messages
