// MQTT 5.0 properties (section 2.2.2). One struct holds the properties of any packet; `allowed`
// says which of them the packet at hand may carry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/mqtt/types.h"
#include "protocol/mqtt/wire.h"

namespace berth::protocol::mqtt {

enum class Property : std::uint8_t {
  payload_format = 0x01,
  message_expiry = 0x02,
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  subscription_id = 0x0b,
  session_expiry = 0x11,
  assigned_client_id = 0x12,
  server_keep_alive = 0x13,
  auth_method = 0x15,
  auth_data = 0x16,
  request_problem_info = 0x17,
  will_delay = 0x18,
  request_response_info = 0x19,
  response_info = 0x1a,
  server_reference = 0x1c,
  reason_string = 0x1f,
  receive_maximum = 0x21,
  topic_alias_maximum = 0x22,
  topic_alias = 0x23,
  maximum_qos = 0x24,
  retain_available = 0x25,
  user_property = 0x26,
  maximum_packet_size = 0x27,
  wildcard_available = 0x28,
  subscription_id_available = 0x29,
  shared_available = 0x2a
};

constexpr std::uint64_t bit(Property p) {
  return 1ULL << static_cast<unsigned>(p);
}

// Which properties a packet may carry (2.2.2.2).
inline constexpr std::uint64_t kUserAndReason =
    bit(Property::user_property) | bit(Property::reason_string);
inline constexpr std::uint64_t kMessageProperties =
    bit(Property::payload_format) | bit(Property::message_expiry) | bit(Property::content_type) |
    bit(Property::response_topic) | bit(Property::correlation_data) | bit(Property::user_property);
inline constexpr std::uint64_t kConnectProperties =
    bit(Property::session_expiry) | bit(Property::auth_method) | bit(Property::auth_data) |
    bit(Property::request_problem_info) | bit(Property::request_response_info) |
    bit(Property::receive_maximum) | bit(Property::topic_alias_maximum) |
    bit(Property::user_property) | bit(Property::maximum_packet_size);
inline constexpr std::uint64_t kWillProperties = kMessageProperties | bit(Property::will_delay);
inline constexpr std::uint64_t kPublishProperties = kMessageProperties | bit(Property::topic_alias);
inline constexpr std::uint64_t kSubscribeProperties =
    bit(Property::subscription_id) | bit(Property::user_property);
inline constexpr std::uint64_t kUnsubscribeProperties = bit(Property::user_property);
inline constexpr std::uint64_t kDisconnectProperties =
    kUserAndReason | bit(Property::session_expiry) | bit(Property::server_reference);
inline constexpr std::uint64_t kAuthProperties =
    kUserAndReason | bit(Property::auth_method) | bit(Property::auth_data);

struct Properties {
  std::uint64_t present = 0;
  std::uint32_t message_expiry_s = 0;
  std::uint32_t session_expiry_s = 0;
  std::uint32_t will_delay_s = 0;
  std::uint32_t maximum_packet_size = 0;
  std::uint32_t subscription_id = 0;
  std::uint16_t receive_maximum = 65535;
  std::uint16_t topic_alias_maximum = 0;
  std::uint16_t topic_alias = 0;
  std::uint8_t payload_format = 0;
  std::uint8_t request_problem_info = 1;
  std::uint8_t request_response_info = 0;
  std::string_view auth_method;
  std::string_view response_topic;
  // Those of kMessageProperties that a server passes on unaltered (3.3.2.3.*), encoded and in the
  // order received: payload format, content type, response topic, correlation data, user
  // properties. A view into the packet, or into the decoder's scratch where others stood in
  // between.
  std::string_view forwarded;

  bool has(Property p) const { return (present & bit(p)) != 0; }
};

// Decodes `length + properties`. `scratch` backs Properties::forwarded where it can't be a view.
// Reason: success, malformed_packet (short, bad UTF-8) or protocol_error (twice, zero where not
// allowed, not of this packet).
Reason decode_properties(Reader& in, std::uint64_t allowed, std::string& scratch, Properties& out);

// Builders for our own packets.
void put_property_u8(std::string& o, Property p, std::uint8_t v);
void put_property_u16(std::string& o, Property p, std::uint16_t v);
void put_property_u32(std::string& o, Property p, std::uint32_t v);
void put_property_string(std::string& o, Property p, std::string_view v);

}  // namespace berth::protocol::mqtt
