#include "session/intake.h"

#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "session/events.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::PacketType;
using mqtt::Reason;

namespace {

PacketType reply_type(std::uint8_t qos) {
  return qos == 1 ? PacketType::puback : qos == 2 ? PacketType::pubrec : PacketType{};
}

// Of registered clients only.
bool concerns_platform(const Scope& scope, const MessageView& m) {
  return scope.who().role == Role::device ? may_be_result(m.topic) : may_be_request(m.topic);
}

}  // namespace

void Intake::count_denied(const Channel& ch, const MessageView& m) {
  ++probe_.authz_denied;
  ++probe_.drop_not_authorized;
  events::publish_denied(ch, m.topic, m.qos);
}

// True: it has written to the open batch.
bool Intake::tell_platform(const Scope& scope, const MessageView& m, base::Instant now) {
  const std::size_t before = commits_.writes();
  if (scope.who().role == Role::device) {
    platform_->result(scope, m, now);
  } else {
    platform_->request(scope, m, now);
  }
  return commits_.writes() != before;
}

void Intake::accept(Channel& ch, const Publication& p, const Match& judged, base::Instant now) {
  Session& s = *ch.session;
  const std::uint8_t qos = p.message.qos;
  const auto packet_id = static_cast<std::uint16_t>(p.id);  // of QoS 2
  Delivery d{.message = p.message, .owned = {}, .publisher = s.id, .origin = ch.conn};
  bool fresh = true;  // false: a dead engine has already stored it for the sessions with a queue
  if (qos == 2 && !admit_qos2(ch, packet_id, fresh)) return;
  const bool retain = d.message.retain = meter_.may_retain(d.message, fresh);
  const Match* match = &judged;
  bool wrote = false;  // the platform side has
  if (ch.scope && platform_ != nullptr && concerns_platform(*ch.scope, d.message)) {
    wrote = tell_platform(*ch.scope, d.message, now);
    // It may publish at once: the match of that ends the one before it.
    match = &distributor_.match(d.message.topic);
  }
  const Match& m = *match;
  const bool must_stage = wrote || gated(ch) || retain || (qos == 2 && s.persistent());
  if (qos != 0) ++ch.unacked_in;
  if (m.empty()) ++probe_.drop_no_subscribers;
  const Reason reason =
      m.empty() && !wrote && ch.v5() ? Reason::no_matching_subscribers : Reason::success;
  const bool many = wide_fanouts_.is_fanout(m, qos, d.message.payload.size()) ||
                    (qos == 2 && replay_.fanned_out_through(ch));
  if (!must_stage && !many && !distributor_.needs_staging(m, d)) {
    distributor_.deliver(m, d, nullptr, now);
    if (qos == 0) return;
    times_.acknowledged(times_.now());
    return ch.port->acknowledge(ch, reply_type(qos), p.id, reason, Quota::none, nullptr);
  }
  Deferred reply_to{.kind = Deferred::Kind::publish,
                    .reply_type = reply_type(qos),
                    .reason = reason,
                    .packet_id = p.id,
                    .conn = {},
                    .in_off = 0,
                    .message = {},
                    .publisher = s.id,
                    .picks = {},
                    .spilled = {},
                    .fanout = {},
                    .call = {}};
  if (retain && fresh) reply_to.stamp = d.message.stamp = retained_delivery_.next_stamp(now);
  if (many) return fan_out(ch, m, d, std::move(reply_to), fresh);
  reply_to.message = d.own();
  const std::size_t before = commits_.writes();
  if (!fresh) reply_to.spilled = replay_.spilled_before(ch);
  distributor_.stage(m, d, reply_to, fresh);
  if (retain && fresh) retained_delivery_.store(d.message);
  if (qos == 2 && s.persistent() && fresh) put_received(ch, packet_id);
  if (qos == 2 && fresh && commits_.writes() != before &&
      (!s.persistent() || !reply_to.spilled.empty())) {
    reply_to.in_off = ch.in_off;
    replay_.record_spilled(ch, reply_to);
  }
  commits_.defer_or_run(ch, std::move(reply_to), wrote || commits_.writes() != before, now);
}

// 3.1.1 has no way to refuse: acknowledge and drop. A refused QoS 2 PUBLISH ends with its PUBREC.
void Intake::refuse(Channel& ch, const Publication& p, Reason reason, Quota quota,
                    const char* text) {
  const std::uint8_t qos = p.message.qos;
  if (qos != 0) ++ch.unacked_in;
  const Reason r = ch.v5() ? reason : Reason::success;
  if (qos == 2 && ch.v5()) --ch.unacked_in;
  if (gated(ch)) {
    commits_.defer(ch, {.reply_type = reply_type(qos),
                        .reason = r,
                        .packet_id = p.id,
                        .quota = quota,
                        .text = text});
  } else if (qos != 0) {
    times_.acknowledged(times_.now());
    ch.port->acknowledge(ch, reply_type(qos), p.id, r, quota, text);
  }
}

// False: the same QoS 2 message again (4.3.3-10), answered here. `fresh` is cleared for one that a
// dead engine has committed.
bool Intake::admit_qos2(Channel& ch, std::uint16_t packet_id, bool& fresh) {
  Session& s = *ch.session;
  if (!s.received) {
    s.received = std::make_unique<boost::unordered_flat_map<std::uint16_t, Received>>();
  }
  const auto [it, inserted] =
      s.received->try_emplace(packet_id, Received{.edge = connections_.edge_of(ch.conn),
                                                  .conn = ch.conn.local().packed(),
                                                  .offset = ch.in_off});
  const Received& r = it->second;
  const bool replayed = !inserted && !r.effective && r.edge == connections_.edge_of(ch.conn) &&
                        r.conn == ch.conn.local().packed() && r.offset == ch.in_off &&
                        ch.in_off <= ch.replay_end;
  if (!inserted && !replayed) {
    clients_.defer_or_reply(ch, {.reply_type = PacketType::pubrec, .packet_id = packet_id});
    return false;
  }
  if (replayed) ++probe_.applied_replays;
  fresh = !replayed && replay_.outcome_of(ch) == nullptr;
  return true;
}

void Intake::put_received(const Channel& ch, std::uint16_t packet_id) {
  (*ch.session->received)[packet_id].stored = true;
  std::string from;
  base::put_varint(from, ch.conn.local().packed());
  base::put_varint(from, ch.in_off);
  base::put_varint(from, connections_.edge_of(ch.conn));
  commits_.write({.kind = WriteKind::put_received,
                  .session = ch.session->id,
                  .seq = packet_id,
                  .epoch = ch.session->epoch,
                  .value = from});
}

// The first part of a Fanout: what is not staged for each receiver by itself.
void Intake::fan_out(Channel& ch, const Match& m, Delivery& d, Deferred out, bool fresh) {
  const Publisher p = distributor_.publisher_of(d);
  if (p.since != nullptr) *p.since = order_clock_.next();
  out.message = d.own();
  if (fresh && d.message.retain && partitioned()) peer_queues_.stage_retained(m, d);
  if (fresh && d.message.retain) retained_delivery_.store(d.message);
  const auto id = static_cast<std::uint16_t>(out.packet_id);
  if (d.message.qos == 2 && ch.session->persistent() && fresh) put_received(ch, id);
  out.conn = ch.conn;
  out.in_off = ch.in_off;
  ++ch.pending;
  stall(ch);
  Fanout::Through through;
  if (d.message.qos == 2 && fresh) {
    replay_.record(
        ch, replay_.fanned_out_groups(through.route));  // in the batch that says it was received
  } else if (d.message.qos == 2) {  // where nothing says how far: the last release, all groups
    through =
        replay_.fanned_out_through(ch).value_or(Fanout::Through{.session = 0, .route = UINT32_MAX});
  }
  wide_fanouts_.begin(m, d, std::move(out), through);
}

}  // namespace berth::session
