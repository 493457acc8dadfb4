// Devices that speak the Park protocol (docs/park-protocol.md). They have the same sessions, queues
// and take-over as MQTT's: a report is a PUBLISH to one of the device's own topics, a command comes
// from subscriptions that every such session has. One shard, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "front/cut.h"
#include "protocol/messages/envelope.h"
#include "protocol/park/frame.h"
#include "session/client_port.h"
#include "session/clients.h"
#include "session/commit_pipeline.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/core_types.h"
#include "session/delivery_queues.h"
#include "session/edge_words.h"
#include "session/intake.h"
#include "session/message_translator.h"
#include "session/retained_delivery.h"
#include "session/session.h"
#include "session/session_records.h"
#include "session/subscription_book.h"
#include "session/topic_gate.h"

namespace berth::session {

class ParkFront final : public ClientPort, private Room {
 public:
  ParkFront(Context& cx, ConnectionTable& connections, CommitPipeline& commits, Clients& clients,
            TopicGate& gate, SessionRecords& records, CookieWriter& cookies,
            SubscriptionBook& subscriptions, DeliveryQueues& queues,
            RetainedDelivery& retained_delivery, MessageTranslator& translator, Intake& intake,
            EdgeWords& words)
      : Room(cx),
        connections_(connections),
        commits_(commits),
        clients_(clients),
        gate_(gate),
        records_(records),
        cookies_(cookies),
        subscriptions_(subscriptions),
        queues_(queues),
        retained_delivery_(retained_delivery),
        translator_(translator),
        intake_(intake),
        words_(words) {}

  bool any_acks_due() const { return !acks_due_.empty(); }

  // -- ClientPort
  void restore(Channel& ch, std::uint8_t level, std::uint8_t flags,
               std::string_view client_id) override;
  std::uint8_t level(const Channel&) const override { return protocol::park::kLevel; }
  void refuse(Channel& ch, protocol::mqtt::Version, protocol::mqtt::Reason reason, Quota quota,
              std::string_view why, ComeBack when) override {
    refuse_hello(ch, reason, quota, why, when);
  }
  void bound(Channel& ch, Session& s, bool present, base::Instant now) override {
    subscribe_commands(ch, s, present, now);
  }
  bool accept(Channel& ch, bool present, base::Instant now) override {
    send_welcome(ch, present, now);
    return true;
  }
  void acknowledge(Channel& ch, protocol::mqtt::PacketType type, std::uint32_t id,
                   protocol::mqtt::Reason reason, Quota quota, const char* text) override;
  void farewell(Channel& ch, protocol::mqtt::Reason reason, std::string_view text) override {
    send_acks(ch);
    say_end(ch, reason, Quota::none, text);
  }
  bool deliver(Channel& ch, const MessageView& m, std::uint8_t qos, bool, bool dup,
               std::uint16_t packet_id, const std::vector<std::uint32_t>*,
               base::Instant now) override {
    return send_command(ch, m, qos, dup, packet_id, nullptr, now);
  }
  bool deliver_until(Channel& ch, const MessageView& m, const protocol::link::Deadline& d,
                     base::Instant now) override {
    return send_command(ch, m, 0, false, 0, &d, now);
  }

  // -- input

  // From its first byte on the connection speaks Park.
  void begin(Channel& ch);
  // The next frame of the input.
  Cut cut(Channel& ch, base::ByteView bytes, protocol::park::Frame& out);
  // False: the frame was not taken; it is offered again when the channel goes on.
  bool on_frame(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  // At the end of a turn: one ACK for all reports of a connection.
  void flush_acks();

 private:
  // A registered device's topics are its own by its Scope. Of others the client id keeps them
  // apart.
  static std::string root_of(const Channel& ch, std::string_view client_id);
  void on_handshake(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  void on_hello(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  void refuse_hello(Channel& ch, protocol::mqtt::Reason reason, Quota quota, std::string_view why,
                    ComeBack when = {});
  void subscribe_commands(Channel& ch, Session& s, bool present, base::Instant now);
  static std::string resume_token(const Session& s);
  void send_welcome(Channel& ch, bool present, base::Instant now);
  // Reports with acknowledgement are numbered 1, 2, 3… on each connection. A gap means a lost
  // report: it ends the connection. If the engine before us may have received some, the first
  // report may have any number.
  bool in_sequence(Channel& ch, const protocol::park::Frame& f);
  // False: it was not taken; it is offered again when the channel goes on.
  bool take_report(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  bool on_report(Channel& ch, const protocol::park::Frame& f, base::Instant now);
  // Null: nothing is wrong, and its topic is in report_topic_.
  const char* report_fault(const Channel& ch, const protocol::park::Frame& f,
                           protocol::messages::EnvelopeView& e);
  void complete_report(const Channel& ch, const protocol::park::Frame& f,
                       const protocol::messages::EnvelopeView& e, base::Instant now);
  void refuse_report(Channel& ch, const protocol::park::Frame& f, protocol::mqtt::Reason reason,
                     Quota quota, const char* text = nullptr);
  void acknowledge_report(Channel& ch, std::uint32_t seq, protocol::mqtt::Reason reason,
                          Quota quota, const char* text);
  void send_acks(Channel& ch);
  bool on_received(Channel& ch, std::uint32_t seq, base::Instant now);
  bool on_bye(Channel& ch);
  bool send_command(Channel& ch, const MessageView& m, std::uint8_t qos, bool dup,
                    std::uint16_t packet_id, const protocol::link::Deadline* until,
                    base::Instant now);
  void say_end(Channel& ch, protocol::mqtt::Reason reason, Quota quota, std::string_view text,
               ComeBack when = {});
  std::int64_t wall_of_device(const Channel& ch, base::Instant now) const;

  ConnectionTable& connections_;
  CommitPipeline& commits_;
  Clients& clients_;
  TopicGate& gate_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  SubscriptionBook& subscriptions_;
  DeliveryQueues& queues_;
  RetainedDelivery& retained_delivery_;
  MessageTranslator& translator_;
  Intake& intake_;
  EdgeWords& words_;
  std::string head_;                    // scratch: a frame
  std::vector<base::ConnId> acks_due_;  // of reports
  protocol::messages::Completer completer_;
  std::string report_topic_;
  std::string report_;   // a report's Envelope as it goes on
  std::string command_;  // what stands before a command's payload
  std::string left_;     // a topic as a device calls it
};

}  // namespace berth::session
