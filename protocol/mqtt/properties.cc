#include "protocol/mqtt/properties.h"

#include "protocol/mqtt/topic.h"

namespace berth::protocol::mqtt {
namespace {

constexpr std::uint64_t kForwarded = bit(Property::payload_format) | bit(Property::content_type) |
                                     bit(Property::response_topic) |
                                     bit(Property::correlation_data) | bit(Property::user_property);

bool is_boolean(std::uint8_t v) {
  return v <= 1;
}

// Reads the value of one property. False: its value is not allowed (protocol error).
bool read_small(Reader& in, Property id, Properties& out) {
  switch (id) {
    case Property::payload_format:
      return is_boolean(out.payload_format = in.u8());
    case Property::request_problem_info:
      return is_boolean(out.request_problem_info = in.u8());
    case Property::request_response_info:
      return is_boolean(out.request_response_info = in.u8());
    case Property::message_expiry:
      out.message_expiry_s = in.u32();
      return true;
    case Property::session_expiry:
      out.session_expiry_s = in.u32();
      return true;
    case Property::will_delay:
      out.will_delay_s = in.u32();
      return true;
    case Property::maximum_packet_size:
      return (out.maximum_packet_size = in.u32()) != 0;  // 3.1.2.11.4
    case Property::receive_maximum:
      return (out.receive_maximum = in.u16()) != 0;  // 3.1.2.11.3
    case Property::topic_alias_maximum:
      out.topic_alias_maximum = in.u16();
      return true;
    case Property::topic_alias:
      out.topic_alias = in.u16();  // 0 is answered with 0x94 by the session
      return true;
    case Property::subscription_id:
      return (out.subscription_id = in.varint()) != 0;  // 3.8.2.1.2
    default:
      return false;
  }
}

// Reads a string-like property. False: bad UTF-8 or a wildcard in a response topic.
bool read_text(Reader& in, Property id, Properties& out) {
  const std::string_view value = in.string();
  switch (id) {
    case Property::user_property:
      return valid_utf8(value) && valid_utf8(in.string());
    case Property::correlation_data:
    case Property::auth_data:
      return true;
    case Property::auth_method:
      out.auth_method = value;
      return valid_utf8(value);
    case Property::response_topic:
      out.response_topic = value;
      return valid_topic_name(value);
    default:
      return valid_utf8(value);
  }
}

bool is_text(Property id) {
  constexpr std::uint64_t kText = bit(Property::content_type) | bit(Property::response_topic) |
                                  bit(Property::correlation_data) | bit(Property::auth_method) |
                                  bit(Property::auth_data) | bit(Property::reason_string) |
                                  bit(Property::user_property) | bit(Property::server_reference);
  return (kText & bit(id)) != 0;
}

}  // namespace

Reason decode_properties(Reader& in, std::uint64_t allowed, std::string& scratch, Properties& out) {
  const std::uint32_t length = in.varint();
  if (!in.ok() || length > in.left()) return Reason::malformed_packet;
  const std::string_view block = in.take(length);
  if (block.empty()) return Reason::success;
  Reader r(base::as_bytes(block));
  scratch.clear();
  while (r.left() != 0) {
    const std::uint8_t* const start = r.pos();
    const std::uint8_t raw = r.u8();
    if (raw > 0x2a || (allowed & (1ULL << raw)) == 0) {
      return raw > 0x2a || raw == 0 ? Reason::malformed_packet : Reason::protocol_error;
    }
    const auto id = static_cast<Property>(raw);
    if (id != Property::user_property && out.has(id)) return Reason::protocol_error;
    const bool text = is_text(id);
    const bool good = text ? read_text(r, id, out) : read_small(r, id, out);
    if (!r.ok()) return Reason::malformed_packet;
    if (!good) return text ? Reason::malformed_packet : Reason::protocol_error;
    out.present |= bit(id);
    if ((kForwarded & bit(id)) != 0) {
      scratch.append(reinterpret_cast<const char*>(start),
                     static_cast<std::size_t>(r.pos() - start));
    }
  }
  out.forwarded = scratch.size() == block.size() ? block : std::string_view(scratch);
  return Reason::success;
}

void put_property_u8(std::string& o, Property p, std::uint8_t v) {
  put_u8(o, static_cast<std::uint8_t>(p));
  put_u8(o, v);
}
void put_property_u16(std::string& o, Property p, std::uint16_t v) {
  put_u8(o, static_cast<std::uint8_t>(p));
  put_u16(o, v);
}
void put_property_u32(std::string& o, Property p, std::uint32_t v) {
  put_u8(o, static_cast<std::uint8_t>(p));
  put_u32(o, v);
}
void put_property_string(std::string& o, Property p, std::string_view v) {
  put_u8(o, static_cast<std::uint8_t>(p));
  put_string(o, v);
}

}  // namespace berth::protocol::mqtt
