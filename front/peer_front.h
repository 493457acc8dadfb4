// Other partitions as clients (ADR 10): `$peer/N` speaks MQTT over an internal link. It subscribes
// to what its own sessions have; each PUBLISH to it has the number by which it takes each message
// once, and a tag. One shard, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "front/mqtt_publish_writer.h"
#include "protocol/mqtt/codec.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/message.h"
#include "session/peer_queues.h"
#include "session/session.h"

namespace berth::session {

class PeerFront final : private Room {
 public:
  PeerFront(Context& cx, ConnectionTable& connections, CommitPipeline& commits,
            PeerQueues& peer_queues, MqttPublishWriter& writer)
      : Room(cx),
        connections_(connections),
        commits_(commits),
        peer_queues_(peer_queues),
        writer_(writer) {}

  void on_subscribe(Channel& ch, const protocol::mqtt::SubscribeView& v);
  void on_unsubscribe(Channel& ch, const protocol::mqtt::UnsubscribeView& v);
  bool send(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
            std::uint16_t packet_id, const std::vector<std::uint32_t>* ids, base::Instant now);

 private:
  ConnectionTable& connections_;
  CommitPipeline& commits_;
  PeerQueues& peer_queues_;
  MqttPublishWriter& writer_;
  std::string head_;  // scratch: a packet
};

}  // namespace berth::session
