// MQTT 3.1.1 and 5.0 clients: packets of the input are cut and decoded here, answers are encoded.
// What packets mean is the core's. One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "front/cut.h"
#include "front/mqtt_publish_writer.h"
#include "front/peer_front.h"
#include "protocol/mqtt/codec.h"
#include "protocol/mqtt/framer.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/distributor.h"
#include "session/intake.h"
#include "session/login.h"
#include "session/message_translator.h"
#include "session/meter.h"
#include "session/replay_log.h"
#include "session/retained_delivery.h"
#include "session/route_book.h"
#include "session/router.h"
#include "session/session_records.h"
#include "session/subscription_book.h"
#include "session/topic_gate.h"

namespace berth::session {

// What a SUBSCRIBE has come to.
struct Subscribed {
  std::vector<protocol::mqtt::Reason> reasons;
  std::string outcome;
  std::shared_ptr<std::deque<RetainedItem>> items;  // filters whose retained messages it wants
};

class MqttFront final : public ClientPort, private Room {
 public:
  MqttFront(Context& cx, Router& router, ConnectionTable& connections, CommitPipeline& commits,
            Clients& clients, TopicGate& gate, ReplayLog& replay, SessionRecords& records,
            CookieWriter& cookies, RouteBook& route_book, SubscriptionBook& subscriptions,
            Meter& meter, DeliveryQueues& queues, RetainedDelivery& retained_delivery,
            Distributor& distributor, MessageTranslator& translator, Login& login, Intake& intake,
            PeerFront& peer_front, MqttPublishWriter& writer)
      : Room(cx),
        router_(router),
        connections_(connections),
        commits_(commits),
        clients_(clients),
        gate_(gate),
        replay_(replay),
        records_(records),
        cookies_(cookies),
        route_book_(route_book),
        subscriptions_(subscriptions),
        meter_(meter),
        queues_(queues),
        retained_delivery_(retained_delivery),
        distributor_(distributor),
        translator_(translator),
        login_(login),
        intake_(intake),
        peer_front_(peer_front),
        writer_(writer) {}

  // The next packet of the input.
  Cut cut(Channel& ch, base::ByteView bytes, protocol::mqtt::Frame& out);
  // False: the packet was not taken; it is offered again when the channel goes on.
  bool on_packet(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  void acknowledge(Channel& ch, protocol::mqtt::PacketType type, std::uint32_t id,
                   protocol::mqtt::Reason reason, Quota quota, const char* text) override;
  void farewell(Channel& ch, protocol::mqtt::Reason reason, std::string_view text) override;
  bool deliver(Channel& ch, const MessageView& m, std::uint8_t qos, bool retain, bool dup,
               std::uint16_t packet_id, const std::vector<std::uint32_t>* ids,
               base::Instant now) override;
  bool deliver_until(Channel& ch, const MessageView& m, const protocol::link::Deadline& d,
                     base::Instant now) override {
    return writer_.send_until(ch, m, d, now);
  }
  void refuse(Channel& ch, protocol::mqtt::Version v, protocol::mqtt::Reason reason, Quota quota,
              std::string_view why, ComeBack when) override;
  bool accept(Channel& ch, bool present, base::Instant now) override;
  void restore(Channel& ch, std::uint8_t level, std::uint8_t flags,
               std::string_view client_id) override;
  std::uint8_t level(const Channel& ch) const override {
    return static_cast<std::uint8_t>(ch.version);
  }
  void bound(Channel&, Session&, bool, base::Instant) override {}

 private:
  bool on_connected_packet(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  // What we say is within the device's Maximum Packet Size (3.1.2-24): first without what is
  // `optional`; head_ is empty when it is too large even so. `encode` writes to head_.
  template <class F>
  void encode_within(const Channel& ch, std::string_view optional, F&& encode) {
    const auto fits = [&] { return ch.packet_max == 0 || head_.size() <= ch.packet_max; };
    head_.clear();
    encode(optional);
    if (fits()) return;
    head_.clear();
    if (!optional.empty()) encode(std::string_view());
    if (!fits()) head_.clear();
  }
  // False: it does not fit, the connection ends.
  template <class F>
  bool say(Channel& ch, std::string_view optional, F&& encode) {
    encode_within(ch, optional, encode);
    if (head_.empty()) {
      clients_.fail(ch, protocol::mqtt::Reason::packet_too_large,
                    protocol::link::CloseReason::frame_too_large);
      return false;
    }
    effects_.send(ch.conn, head_, {});
    return true;
  }
  void refuse_connect(Channel& ch, protocol::mqtt::Version v, protocol::mqtt::Reason reason,
                      Quota quota = Quota::none, std::string_view why = {}) {
    refuse(ch, v, reason, quota, why, {});
  }
  void on_connect(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  std::string connack_properties(const Channel& ch) const;
  std::string assign_client_id();
  bool on_publish(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  bool take_publish(Channel& ch, const protocol::mqtt::PublishView& p, base::Instant now);
  // True: the packet was taken.
  bool refuse_publish(Channel& ch, const Publication& p, protocol::mqtt::Reason reason, Quota quota,
                      const char* text = nullptr) {
    intake_.refuse(ch, p, reason, quota, text);
    return true;
  }
  bool resolve_alias(Channel& ch, protocol::mqtt::PublishView& p);
  bool on_pubrel(Channel& ch, const protocol::mqtt::Frame& f);
  bool on_ack(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  bool on_subscribe(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  bool on_unsubscribe(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);
  Subscribed subscribe_all(Channel& ch, const protocol::mqtt::SubscribeView& v,
                           const std::string& known);
  protocol::mqtt::Reason subscribe_one(Channel& ch, const protocol::mqtt::SubscriptionView& v,
                                       std::uint32_t id, std::string& raw, bool& fresh);
  std::size_t filters_max(const Channel& ch) const;
  // False: a SUBSCRIBE or UNSUBSCRIBE with filters of so many bytes is offered again later.
  bool may_change_filters(Channel& ch, std::size_t bytes);
  // One that is no good: the connection ends.
  void fail_filters(Channel& ch, const protocol::mqtt::Frame& f, protocol::mqtt::Reason reason);
  bool on_disconnect(Channel& ch, const protocol::mqtt::Frame& f, base::Instant now);

  Router& router_;
  ConnectionTable& connections_;
  CommitPipeline& commits_;
  Clients& clients_;
  TopicGate& gate_;
  ReplayLog& replay_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  RouteBook& route_book_;
  SubscriptionBook& subscriptions_;
  Meter& meter_;
  DeliveryQueues& queues_;
  RetainedDelivery& retained_delivery_;
  Distributor& distributor_;
  MessageTranslator& translator_;
  Login& login_;
  Intake& intake_;
  PeerFront& peer_front_;
  MqttPublishWriter& writer_;
  protocol::mqtt::Scratch scratch_;
  std::string head_;
};

}  // namespace berth::session
