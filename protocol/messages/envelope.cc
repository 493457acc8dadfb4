#include "protocol/messages/envelope.h"

#include "protocol/messages/envelope.pb.h"
#include "protocol/messages/schema.h"
#include "protocol/messages/wire.h"

namespace berth::protocol::messages {

using google::protobuf::Timestamp;
using v1::Envelope;

namespace {

constexpr std::uint64_t kLatest_s = 253'402'300'799;  // the end of the year 9999, as Timestamp's

const Schema& schema() {
  static const Schema s(*Envelope::descriptor());
  return s;
}

// By field number; empty: no body.
const std::vector<std::string>& body_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    const auto& body = *Envelope::descriptor()->FindOneofByName("body");
    for (int i = 0; i < body.field_count(); ++i) {
      const auto number = static_cast<std::size_t>(body.field(i)->number());
      if (number >= all.size()) all.resize(number + 1);
      all[number] = body.field(i)->name();
    }
    return all;
  }();
  return names;
}

void read_time(std::string_view in, EnvelopeView& out) {
  std::uint64_t seconds = 0;
  std::uint64_t nanos = 0;
  Fields fields(in);
  for (Field f; fields.next(f);) {
    if (f.number == Timestamp::kSecondsFieldNumber) seconds = f.value;
    if (f.number == Timestamp::kNanosFieldNumber) nanos = f.value;
  }
  out.has_time = seconds <= kLatest_s && nanos < 1'000'000'000;
  out.event_time_ms =
      out.has_time ? static_cast<std::int64_t>(seconds * 1000 + nanos / 1'000'000) : 0;
}

void read_body(const Field& f, EnvelopeView& out) {
  const auto& names = body_names();
  if (f.number >= names.size() || names[f.number].empty()) return;
  if (out.body != f.number) out.command_id = {};
  out.body = f.number;
  out.type = names[f.number];
  if (f.number != Envelope::kResultFieldNumber) return;
  Fields fields(f.bytes);
  for (Field r; fields.next(r);) {
    if (r.number == v1::CommandResult::kCommandIdFieldNumber) out.command_id = r.bytes;
  }
}

v1::Clock clock_of(const EnvelopeView& e, std::int64_t skew_ms) {
  if (!e.has_time) return v1::CLOCK_UNKNOWN;
  const bool late = skew_ms < -kClockSkewMax_ms && !e.replay;
  return late || skew_ms > kClockSkewMax_ms ? v1::CLOCK_SKEWED : v1::CLOCK_GOOD;
}

std::string encode_received_time(std::int64_t at_ms) {
  std::string time;
  put_varint_field(time, Timestamp::kSecondsFieldNumber, static_cast<std::uint64_t>(at_ms / 1000));
  put_varint_field(time, Timestamp::kNanosFieldNumber,
                   static_cast<std::uint64_t>(at_ms % 1000 * 1'000'000));
  std::string out;
  put_bytes_field(out, Envelope::kReceivedTimeFieldNumber, time);
  return out;
}

}  // namespace

bool read_envelope(std::string_view bytes, EnvelopeView& out) {
  out = {};
  return schema().read(bytes, [&out](const Field& f) {
    switch (f.number) {
      case Envelope::kEventIdFieldNumber:
        out.event_id = f.bytes;
        break;
      case Envelope::kChildFieldNumber:
        out.child = f.bytes;
        break;
      case Envelope::kEventTimeFieldNumber:
        read_time(f.bytes, out);
        break;
      case Envelope::kTraceparentFieldNumber:
        out.traceparent = f.bytes;
        break;
      case Envelope::kReplayFieldNumber:
        out.replay = f.value != 0;
        break;
      default:
        read_body(f, out);
    }
  });
}

void put_traceparent(std::string& bytes, std::string_view traceparent) {
  put_bytes_field(bytes, Envelope::kTraceparentFieldNumber, traceparent);
}

std::string encode_origin(std::string_view tenant, std::string_view site, std::string_view device,
                          std::uint64_t session_epoch) {
  std::string out;
  put_bytes_field(out, Envelope::kTenantFieldNumber, tenant);
  put_bytes_field(out, Envelope::kSiteFieldNumber, site);
  put_bytes_field(out, Envelope::kDeviceFieldNumber, device);
  put_varint_field(out, Envelope::kSessionEpochFieldNumber, session_epoch);
  return out;
}

void Completer::complete(std::string& bytes, const EnvelopeView& e, std::string_view origin,
                         const Received& received) {
  if (received.at_ms != at_ms_) {
    at_ms_ = received.at_ms;
    at_ = encode_received_time(at_ms_);
  }
  if (!received.made_id.empty())
    put_bytes_field(bytes, Envelope::kEventIdFieldNumber, received.made_id);
  const std::int64_t skew_ms = e.has_time ? e.event_time_ms - received.at_ms : 0;
  const v1::Clock clock = clock_of(e, skew_ms);
  bytes.append(origin);
  bytes.append(at_);
  static_assert(v1::Clock_MAX < 128 && Envelope::kClockFieldNumber < 16);
  const char fields[] = {Envelope::kClockFieldNumber << 3, static_cast<char>(clock),
                         Envelope::kSkewMsFieldNumber << 3, 0};
  if (clock != v1::CLOCK_SKEWED) {
    bytes.append(fields, sizeof fields);
    return;
  }
  bytes.append(fields, 2);
  put_varint_field(bytes, Envelope::kSkewMsFieldNumber, static_cast<std::uint64_t>(skew_ms));
}

}  // namespace berth::protocol::messages
