#include "protocol/mqtt/codec.h"

#include "base/pen.h"
#include "protocol/mqtt/topic.h"

namespace berth::protocol::mqtt {
namespace {

constexpr std::uint8_t kFlagCleanStart = 0x02;
constexpr std::uint8_t kFlagWill = 0x04;
constexpr std::uint8_t kFlagWillRetain = 0x20;
constexpr std::uint8_t kFlagPassword = 0x40;
constexpr std::uint8_t kFlagUserName = 0x80;

bool known_protocol(std::string_view name, std::uint8_t level) {
  return (name == "MQTT" && (level == 4 || level == 5)) || (name == "MQIsdp" && level == 3);
}

// connect := name:string level:u8 flags:u8 keep alive:u16 [properties] client id [will] [user]
// [password]
Reason decode_will(Reader& r, std::uint8_t flags, Version v, Scratch& scratch, ConnectView& out) {
  WillView will;
  will.qos = (flags >> 3) & 3;
  will.retain = (flags & kFlagWillRetain) != 0;
  if (v == Version::v5) {
    const Reason e = decode_properties(r, kWillProperties, scratch.will, will.properties);
    if (e != Reason::success) return e;
  }
  will.topic = r.string();
  will.payload = r.string();
  if (!r.ok()) return Reason::malformed_packet;
  if (!valid_topic_name(will.topic)) return Reason::topic_name_invalid;
  out.will = will;
  return Reason::success;
}

bool valid_connect_flags(std::uint8_t flags, Version v) {
  if ((flags & 1) != 0) return false;                                 // 3.1.2-3
  if ((flags & kFlagWill) == 0 && (flags & 0x38) != 0) return false;  // 3.1.2-11, -13
  if (((flags >> 3) & 3) == 3) return false;                          // 3.1.2-12
  return v == Version::v5 || (flags & 0xc0) != kFlagPassword;  // 3.1.1 3.1.2-22: no password alone
}

}  // namespace

Reason decode_connect(const Frame& f, Scratch& scratch, ConnectView& out) {
  if ((f.header & 0x0f) != 0) return Reason::malformed_packet;
  Reader r(f.body);
  const std::string_view name = r.string();
  const std::uint8_t level = r.u8();
  if (!r.ok()) return Reason::malformed_packet;
  if (name != "MQTT" && name != "MQIsdp") return Reason::malformed_packet;
  if (!known_protocol(name, level & 0x7f)) return Reason::unsupported_protocol_version;
  out.version = static_cast<Version>(level & 0x7f);  // bit 7: a bridge of Mosquitto's, harmless
  const std::uint8_t flags = r.u8();
  out.keep_alive_s = r.u16();
  if (!r.ok() || !valid_connect_flags(flags, out.version)) return Reason::malformed_packet;
  out.clean_start = (flags & kFlagCleanStart) != 0;
  if (out.version == Version::v5) {
    const Reason e = decode_properties(r, kConnectProperties, scratch.publish, out.properties);
    if (e != Reason::success) return e;
  }
  out.client_id = r.string();
  if (!r.ok() || !valid_utf8(out.client_id)) return Reason::malformed_packet;
  if ((flags & kFlagWill) != 0) {
    const Reason e = decode_will(r, flags, out.version, scratch, out);
    if (e != Reason::success) return e;
  }
  if ((flags & kFlagUserName) != 0) out.user_name = r.string();
  if ((flags & kFlagPassword) != 0) out.password = r.string();
  if (!r.ok() || r.left() != 0) return Reason::malformed_packet;
  if (out.user_name && !valid_utf8(*out.user_name)) return Reason::malformed_packet;
  if (out.properties.has(Property::auth_data) && !out.properties.has(Property::auth_method)) {
    return Reason::protocol_error;  // 3.1.2.11.10
  }
  return Reason::success;
}

std::string_view peek_client_id(const Frame& f) {
  Reader r(f.body);
  r.string();
  const std::uint8_t level = r.u8() & 0x7f;
  r.u8();
  r.u16();
  if (level == 5) r.take(r.varint());
  const std::string_view id = r.string();
  return r.ok() ? id : std::string_view{};
}

// publish := topic:string [packet id:u16] [properties] payload
Reason decode_publish(const Frame& f, Version v, Scratch& scratch, PublishView& out) {
  out.qos = (f.header >> 1) & 3;
  out.retain = (f.header & 1) != 0;
  out.dup = (f.header & 8) != 0;
  if (out.qos == 3) return Reason::malformed_packet;             // 3.3.1-4
  if (out.dup && out.qos == 0) return Reason::malformed_packet;  // 3.3.1-2
  Reader r(f.body);
  out.topic = r.string();
  if (out.qos != 0) {
    out.packet_id = r.u16();
    if (r.ok() && out.packet_id == 0) return Reason::protocol_error;  // 2.2.1-3
  }
  if (v == Version::v5) {
    const Reason e = decode_properties(r, kPublishProperties, scratch.publish, out.properties);
    if (e != Reason::success) return e;
  }
  if (!r.ok()) return Reason::malformed_packet;
  if (out.topic.empty()) {
    if (v != Version::v5) return Reason::malformed_packet;
    if (!out.properties.has(Property::topic_alias)) return Reason::protocol_error;  // 3.3.2-8
  } else if (!valid_topic_name(out.topic)) {
    return Reason::topic_name_invalid;
  }
  out.payload = r.rest();
  if (out.properties.payload_format == 1 && !valid_utf8(out.payload)) {
    return Reason::payload_format_invalid;
  }
  return Reason::success;
}

// ack := packet id:u16 [reason:u8 [properties]]
namespace {

// 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1
bool is_ack_reason(PacketType type, std::uint8_t code) {
  switch (code) {
    case 0x00:
      return true;
    case 0x10:
    case 0x80:
    case 0x83:
    case 0x87:
    case 0x90:
    case 0x91:
    case 0x97:
    case 0x99:
      return type == PacketType::puback || type == PacketType::pubrec;
    case 0x92:
      return type == PacketType::pubrel || type == PacketType::pubcomp;
    default:
      return false;
  }
}

}  // namespace

Reason decode_ack(const Frame& f, Version v, AckView& out) {
  const std::uint8_t flags = f.type() == PacketType::pubrel ? 2 : 0;
  if ((f.header & 0x0f) != flags) return Reason::malformed_packet;
  Reader r(f.body);
  out.packet_id = r.u16();
  if (!r.ok()) return Reason::malformed_packet;
  if (out.packet_id == 0) return Reason::protocol_error;  // 2.2.1-3
  if (v == Version::v5 && r.left() != 0) {
    const std::uint8_t code = r.u8();
    if (!is_ack_reason(f.type(), code)) return Reason::protocol_error;
    out.reason = static_cast<Reason>(code);
    if (r.left() != 0) {
      Properties props;
      std::string scratch;
      const Reason e = decode_properties(r, kUserAndReason, scratch, props);
      if (e != Reason::success) return e;
    }
  }
  return r.left() == 0 ? Reason::success : Reason::malformed_packet;
}

namespace {

// A filter that has no right to a reason of its own: empty (4.7.3-1), or "$share/" without a group
// or without a filter (4.8.2).
bool malformed_filter(std::string_view filter) {
  constexpr std::string_view kShare = "$share/";
  if (!filter.starts_with(kShare)) return filter.empty();
  const std::size_t slash = filter.find('/', kShare.size());
  return slash == std::string_view::npos || slash == kShare.size() || slash + 1 == filter.size();
}

}  // namespace

Reason decode_subscribe(const Frame& f, Version v, SubscribeView& out, std::size_t filters_max) {
  if ((f.header & 0x0f) != 2) return Reason::malformed_packet;  // 3.8.1-1
  Reader r(f.body);
  out.packet_id = r.u16();
  if (r.ok() && out.packet_id == 0) return Reason::protocol_error;
  if (v == Version::v5) {
    Properties props;
    std::string scratch;
    const Reason e = decode_properties(r, kSubscribeProperties, scratch, props);
    if (e != Reason::success) return e;
    out.subscription_id = props.subscription_id;
  }
  while (r.ok() && r.left() != 0) {
    SubscriptionView s{.filter = r.string(), .options = r.u8()};
    const bool v5 = v == Version::v5;
    if ((s.options & 3) == 3 || (s.options & (v5 ? 0xc0 : 0xfc)) != 0)
      return Reason::malformed_packet;
    if (((s.options >> 4) & 3) == 3) return Reason::protocol_error;  // 3.8.3.1 retain handling
    if (!valid_utf8(s.filter)) return Reason::malformed_packet;
    if (r.ok() && malformed_filter(s.filter)) return Reason::malformed_packet;
    if (out.subscriptions.size() == filters_max) return Reason::quota_exceeded;
    out.subscriptions.push_back(s);
  }
  if (!r.ok()) return Reason::malformed_packet;
  return out.subscriptions.empty() ? Reason::protocol_error : Reason::success;  // 3.8.3-2
}

Reason decode_unsubscribe(const Frame& f, Version v, UnsubscribeView& out,
                          std::size_t filters_max) {
  if ((f.header & 0x0f) != 2) return Reason::malformed_packet;  // 3.10.1-1
  Reader r(f.body);
  out.packet_id = r.u16();
  if (r.ok() && out.packet_id == 0) return Reason::protocol_error;
  if (v == Version::v5) {
    Properties props;
    std::string scratch;
    const Reason e = decode_properties(r, kUnsubscribeProperties, scratch, props);
    if (e != Reason::success) return e;
  }
  while (r.ok() && r.left() != 0) {
    out.filters.push_back(r.string());
    if (!valid_utf8(out.filters.back())) return Reason::malformed_packet;
    if (r.ok() && malformed_filter(out.filters.back())) return Reason::malformed_packet;
    if (out.filters.size() > filters_max) return Reason::quota_exceeded;
  }
  if (!r.ok()) return Reason::malformed_packet;
  return out.filters.empty() ? Reason::protocol_error : Reason::success;
}

Reason decode_disconnect(const Frame& f, Version v, DisconnectView& out) {
  if ((f.header & 0x0f) != 0) return Reason::malformed_packet;  // 3.14.1-1
  Reader r(f.body);
  if (v != Version::v5) return f.body.empty() ? Reason::success : Reason::malformed_packet;
  if (r.left() != 0) out.reason = static_cast<Reason>(r.u8());
  if (r.left() != 0) {
    std::string scratch;
    const Reason e = decode_properties(r, kDisconnectProperties, scratch, out.properties);
    if (e != Reason::success) return e;
  }
  return r.left() == 0 ? Reason::success : Reason::malformed_packet;
}

namespace {

std::uint8_t connack_code_311(Reason r) {  // 3.1.1 table 3.1
  switch (r) {
    case Reason::success:
      return 0;
    case Reason::unsupported_protocol_version:
      return 1;
    case Reason::client_identifier_not_valid:
      return 2;
    case Reason::bad_user_name_or_password:
      return 4;
    case Reason::not_authorized:
    case Reason::banned:
      return 5;
    default:
      return 3;  // server unavailable
  }
}

void put_header(std::string& o, PacketType t, std::uint8_t flags, std::size_t remaining) {
  put_u8(o, static_cast<std::uint8_t>((static_cast<unsigned>(t) << 4) | flags));
  put_wire_varint(o, static_cast<std::uint32_t>(remaining));
}

}  // namespace

void encode_connack(std::string& o, Version v, bool session_present, Reason reason,
                    std::string_view properties) {
  const bool v5 = v == Version::v5;
  const std::size_t props =
      wire_varint_size(static_cast<std::uint32_t>(properties.size())) + properties.size();
  put_header(o, PacketType::connack, 0, 2 + (v5 ? props : 0));
  put_u8(o, session_present ? 1 : 0);
  put_u8(o, v5 ? static_cast<std::uint8_t>(reason) : connack_code_311(reason));
  if (v5) {
    put_wire_varint(o, static_cast<std::uint32_t>(properties.size()));
    o.append(properties);
  }
}

void encode_ack(std::string& o, PacketType type, Version v, std::uint16_t packet_id, Reason reason,
                std::string_view text) {
  if (v == Version::v5 && !text.empty()) {  // 3.4.2.2.2
    std::string properties;
    put_property_string(properties, Property::reason_string, text);
    put_header(o, type, type == PacketType::pubrel ? 2 : 0, 4 + properties.size());
    put_u16(o, packet_id);
    put_u8(o, static_cast<std::uint8_t>(reason));
    put_wire_varint(o, static_cast<std::uint32_t>(properties.size()));
    o.append(properties);
    return;
  }
  const bool with_reason = v == Version::v5 && reason != Reason::success;
  const std::uint8_t flags = type == PacketType::pubrel ? 2 : 0;
  const char bytes[5] = {static_cast<char>((static_cast<unsigned>(type) << 4) | flags),
                         static_cast<char>(with_reason ? 3 : 2), static_cast<char>(packet_id >> 8),
                         static_cast<char>(packet_id), static_cast<char>(reason)};
  o.append(bytes, with_reason ? 5 : 4);
}

void encode_suback(std::string& o, Version v, std::uint16_t packet_id,
                   const std::vector<Reason>& reasons) {
  const bool v5 = v == Version::v5;
  put_header(o, PacketType::suback, 0, 2 + (v5 ? 1 : 0) + reasons.size());
  put_u16(o, packet_id);
  if (v5) put_u8(o, 0);
  for (const Reason r : reasons) {
    const auto code = static_cast<std::uint8_t>(r);
    put_u8(o, v5 || code < 0x80 ? code : 0x80);
  }
}

void encode_unsuback(std::string& o, Version v, std::uint16_t packet_id,
                     const std::vector<Reason>& reasons) {
  const bool v5 = v == Version::v5;
  put_header(o, PacketType::unsuback, 0, 2 + (v5 ? 1 + reasons.size() : 0));
  put_u16(o, packet_id);
  if (!v5) return;
  put_u8(o, 0);
  for (const Reason r : reasons) put_u8(o, static_cast<std::uint8_t>(r));
}

void encode_disconnect(std::string& o, Reason reason, std::string_view reason_string) {
  if (reason_string.empty()) {
    put_header(o, PacketType::disconnect, 0, 1);
    put_u8(o, static_cast<std::uint8_t>(reason));
    return;
  }
  const std::size_t props = 3 + reason_string.size();
  put_header(o, PacketType::disconnect, 0,
             1 + wire_varint_size(static_cast<std::uint32_t>(props)) + props);
  put_u8(o, static_cast<std::uint8_t>(reason));
  put_wire_varint(o, static_cast<std::uint32_t>(props));
  put_property_string(o, Property::reason_string, reason_string);
}

namespace {

std::size_t publish_properties_size(const PublishOut& p) {
  std::size_t n = p.forwarded.size();
  if (p.message_expiry_s) n += 5;
  if (p.topic_alias != 0) n += 3;
  if (p.subscription_ids != nullptr) {
    for (const std::uint32_t id : *p.subscription_ids) n += 1 + wire_varint_size(id);
  }
  return n;
}

std::size_t publish_remaining(Version v, const PublishOut& p) {
  std::size_t n = 2 + p.topic.size() + (p.qos != 0 ? 2 : 0) + p.payload.size();
  if (v == Version::v5) {
    const std::size_t props = publish_properties_size(p);
    n += wire_varint_size(static_cast<std::uint32_t>(props)) + props;
  }
  return n;
}

}  // namespace

std::size_t publish_size(Version v, const PublishOut& p) {
  const std::size_t n = publish_remaining(v, p);
  return 1 + wire_varint_size(static_cast<std::uint32_t>(n)) + n;
}

void encode_publish_head(std::string& o, Version v, const PublishOut& p) {
  const auto flags = static_cast<std::uint8_t>((p.dup ? 8 : 0) | (p.qos << 1) | (p.retain ? 1 : 0));
  base::Pen<8> before;  // the topic
  before.byte((static_cast<unsigned>(PacketType::publish) << 4) | flags);
  before.varint(publish_remaining(v, p));
  before.big16(static_cast<unsigned>(p.topic.size()));
  before.append_to(o);
  o.append(p.topic);
  base::Pen<8> after;
  if (p.qos != 0) after.big16(p.packet_id);
  if (v == Version::v5) after.varint(publish_properties_size(p));
  after.append_to(o);
  if (v != Version::v5) return;
  if (p.message_expiry_s) put_property_u32(o, Property::message_expiry, *p.message_expiry_s);
  if (p.topic_alias != 0) put_property_u16(o, Property::topic_alias, p.topic_alias);
  if (p.subscription_ids != nullptr) {
    for (const std::uint32_t id : *p.subscription_ids) {
      put_u8(o, static_cast<std::uint8_t>(Property::subscription_id));
      put_wire_varint(o, id);
    }
  }
  o.append(p.forwarded);
}

}  // namespace berth::protocol::mqtt
