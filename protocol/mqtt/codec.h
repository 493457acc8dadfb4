// MQTT packets a server receives and sends, 3.1.1 and 5.0. Decoders return views into the packet,
// valid as long as its bytes; encoders append whole packets to a std::string. No state but Scratch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "protocol/mqtt/framer.h"
#include "protocol/mqtt/properties.h"
#include "protocol/mqtt/types.h"

namespace berth::protocol::mqtt {

struct Scratch {
  std::string publish;
  std::string will;
};

struct WillView {
  std::string_view topic;
  std::string_view payload;
  std::uint8_t qos = 0;
  bool retain = false;
  Properties properties;
};

struct ConnectView {
  Version version = Version::v311;
  bool clean_start = false;
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<WillView> will;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
  Properties properties;
};

struct PublishView {
  std::string_view topic;  // empty where a topic alias stands for it
  std::string_view payload;
  std::uint16_t packet_id = 0;
  std::uint8_t qos = 0;
  bool retain = false;
  bool dup = false;
  Properties properties;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP
struct AckView {
  std::uint16_t packet_id = 0;
  Reason reason = Reason::success;
};

struct SubscriptionView {
  std::string_view filter;
  std::uint8_t options =
      0;  // as on the wire: qos 0-1, no local 2, retain as published 3, handling 4-5
};
struct SubscribeView {
  std::uint16_t packet_id = 0;
  std::uint32_t subscription_id = 0;  // 0: none
  std::vector<SubscriptionView> subscriptions;
};
struct UnsubscribeView {
  std::uint16_t packet_id = 0;
  std::vector<std::string_view> filters;
};
struct DisconnectView {
  Reason reason = Reason::success;
  Properties properties;
};

// success, or the reason to answer (v5) and close with. decode_connect gives
// unsupported_protocol_version for a level that is not 3, 4 or 5.
Reason decode_connect(const Frame& f, Scratch& scratch, ConnectView& out);
Reason decode_publish(const Frame& f, Version v, Scratch& scratch, PublishView& out);
Reason decode_ack(const Frame& f, Version v, AckView& out);
// quota_exceeded: more than `filters_max` filters; the rest is not looked at.
Reason decode_subscribe(const Frame& f, Version v, SubscribeView& out,
                        std::size_t filters_max = SIZE_MAX);
Reason decode_unsubscribe(const Frame& f, Version v, UnsubscribeView& out,
                          std::size_t filters_max = SIZE_MAX);
Reason decode_disconnect(const Frame& f, Version v, DisconnectView& out);

// The client id of a CONNECT, for placement; empty when it can't be told.
std::string_view peek_client_id(const Frame& f);

void encode_connack(std::string& o, Version v, bool session_present, Reason reason,
                    std::string_view properties);
// PUBACK, PUBREC, PUBREL, PUBCOMP; reason and text only leave on v5. `text`: at most 100 bytes.
void encode_ack(std::string& o, PacketType type, Version v, std::uint16_t packet_id, Reason reason,
                std::string_view text = {});
void encode_suback(std::string& o, Version v, std::uint16_t packet_id,
                   const std::vector<Reason>& reasons);
void encode_unsuback(std::string& o, Version v, std::uint16_t packet_id,
                     const std::vector<Reason>& reasons);
void encode_disconnect(std::string& o, Reason reason, std::string_view reason_string);

// What is the same for every receiver of a message, and what differs.
struct PublishOut {
  std::string_view topic;  // empty: alias only
  std::string_view payload;
  std::string_view forwarded;  // properties passed on, encoded
  std::uint16_t packet_id = 0;
  std::uint8_t qos = 0;
  bool retain = false;
  bool dup = false;
  std::optional<std::uint32_t> message_expiry_s;
  std::uint16_t topic_alias = 0;  // 0: none
  const std::vector<std::uint32_t>* subscription_ids = nullptr;
};
// Bytes of the whole packet.
std::size_t publish_size(Version v, const PublishOut& p);
// Everything but the payload, which follows on the wire.
void encode_publish_head(std::string& o, Version v, const PublishOut& p);

}  // namespace berth::protocol::mqtt
