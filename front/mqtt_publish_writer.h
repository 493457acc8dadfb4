// PUBLISH packets to MQTT clients: topic aliases, Message Expiry, the client's Maximum Packet Size,
// and a cache of the encoded head for a message that goes to many. One shard, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/mqtt/codec.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/edge_words.h"
#include "session/message.h"
#include "session/session.h"

namespace berth::session {

// The encoded head of a PUBLISH, reused for all receivers that differ in the packet id at most.
struct HeadCache {
  std::string bytes;
  std::size_t packet_id_at = 0;
  int key = -1;
  std::uint64_t run = 0;  // of which message, see Room::new_message()
};

class MqttPublishWriter final : private Room {
 public:
  MqttPublishWriter(Context& cx, CookieWriter& cookies, EdgeWords& words)
      : Room(cx), cookies_(cookies), words_(words) {}

  // False: not sent: expired, or too large for the client.
  bool send(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
            std::uint16_t packet_id, const std::vector<std::uint32_t>* ids, base::Instant now);
  // With QoS 0, until `d`: without a topic alias, which a packet that is dropped would not make.
  bool send_until(Channel& ch, const MessageView& m, const protocol::link::Deadline& d,
                  base::Instant now);

 private:
  // Outbound topic aliases: the first topics seen get one and keep it (3.3.2.3.4).
  void use_alias(Channel& ch, protocol::mqtt::PublishOut& out);
  static std::size_t length_field_bytes(const std::string& packet);

  CookieWriter& cookies_;
  EdgeWords& words_;
  HeadCache head_cache_;
  std::string left_;  // and as a device calls it
};

}  // namespace berth::session
