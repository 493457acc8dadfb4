// The end of connections and sessions: wills, expiry, drain; and $SYS.
#include <algorithm>

#include "base/assert.h"
#include "protocol/mqtt/faults.h"
#include "session/broker.h"
#include "session/events.h"
#include "session/record_codec.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Property;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

bool Broker::on_disconnect(Channel& ch, const mqtt::Frame& f, base::Instant) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  mqtt::DisconnectView v;
  const Reason e = mqtt::decode_disconnect(f, ch.version, v);
  if (e != Reason::success) {
    clients_.fail(ch, e, CloseReason::protocol_error, mqtt::text_of_fault(f, e));
    return true;
  }
  Session& s = *ch.session;
  if (v.properties.has(Property::session_expiry)) {
    const std::uint32_t asked = v.properties.session_expiry_s;
    if (s.asked_expiry_s() == 0 && asked != 0) {  // 3.14.2.2.2
      clients_.fail(
          ch, Reason::protocol_error, CloseReason::protocol_error,
          "DISCONNECT with a session expiry of " + std::to_string(asked) + ", CONNECT had 0");
      return true;
    }
    if (!s.ends_offline) s.expiry_s = std::min(asked, options_.session_expiry_max_s);
  }
  ch.clean_disconnect = v.reason == Reason::success;  // 3.14.4-3
  events::said_goodbye(ch, v.reason);
  cookies_.changed(ch, CookieSlot::identity);
  flush_state();  // the step that closes must carry it
  effects_.acknowledge(ch.conn, ch.in_off);
  ch.state = Channel::State::closing;
  effects_.close(ch.conn, CloseReason::client);
  return true;
}

void Broker::finish_close(base::ConnId conn, CloseReason cause, base::Instant now) {
  Channel* ch = connections_.find(conn);
  if (ch == nullptr) return;
  if (ch->live()) events::edge_closed(*ch, cause);  // else it has been said
  const std::size_t before = commits_.writes();
  detach(*ch, cause, now);
  if (ch->applied) {
    for (const auto& [offset, outcome] : *ch->applied) {
      const std::string key = replay_.key_of(*ch, offset);
      commits_.write({.kind = WriteKind::remove_applied, .key = key});
    }
  }
  if (commits_.writes() == before) {
    connections_.forget(*ch);
    effects_.release(conn);
    return;
  }
  // The edge may forget the connection only when its end is durable; the channel can go now, but
  // its slot must not be reused before.
  ch->state = Channel::State::closing;
  commits_.defer_call(*ch, [this, conn](base::Instant) {
    if (Channel* c = connections_.find(conn)) connections_.forget(*c);
    effects_.release(conn);
  });
}

// The session's side of the end of a connection.
void Broker::detach(Channel& ch, CloseReason cause, base::Instant now) {
  Session* s = std::exchange(ch.session, nullptr);
  ch.state = Channel::State::closing;
  if (s == nullptr) return;
  BERTH_ASSERT(s->channel == &ch);
  s->channel = nullptr;
  sessions_.count_online(*s, -1);
  end_connection_of(*s, wills_.known_end(ch, cause), now);
}

void Broker::end_connection_of(Session& s, EndBy end, base::Instant now) {
  s.end_stay();
  wills_.settle(s, end, now);
  if (s.persistent()) {
    s.expires_at = s.expiry_s == mqtt::kNoExpiry ? base::kNever : now.plus_s(s.expiry_s);
    go_offline(s, now);
  } else if (s.will) {  // ours: kept for the grace, then the will fires if nobody came back
    subscriptions_.drop_all(s);
    go_offline(s, now);
  } else {
    end_session(s, WillOf::dropped, now);
  }
}

// No memory for messages of a session that is offline. This connection need not have come to all
// that an earlier one had sent.
void Broker::go_offline(Session& s, base::Instant) {
  if (s.outbox) {
    queues_.trim(s);
    // Only there is what another member of a shared subscription gets.
    if (options_.replay || s.persistent() || !s.shared) s.outbox.reset();
  }
  if (s.flow().last_seq == 0) {
    s.flow_.reset();
  } else {
    Flow& q = *s.flow_;
    q.sent_max = std::max(q.sent_seq, q.sent_before);
    q.sent_surely = std::max(q.sent_seq, q.sent_surely);
  }
  if (s.persistent() || s.will) {
    records_.put(s);
  }
  if (s.expires_at != base::kNever) schedule(s, s.expires_at);
  if (s.will_at() != base::kNever) schedule(s, s.will_at());
}

// The only way in which a session ends.
void Broker::end_session(Session& s, WillOf will, base::Instant now) {
  if (s.will && will == WillOf::published) wills_.fire(s, now);
  if (handover_.leave(s, now)) return;
  estates_.erase(s.id);
  subscriptions_.drop_all(s);
  if (s.stored || s.flow().queued != 0 || s.flow().last_seq > s.flow().durable_seq) {
    commits_.write({.kind = WriteKind::delete_session, .session = s.id});
  }
  sessions_.erase(s);
}

void Broker::on_timer(Session& s, base::Instant now) {
  if (s.channel != nullptr || estates_.has(s.id)) return;
  const bool expired = s.expires_at <= now;
  if (s.will && s.will->at <= now) wills_.fire(s, now);
  if (expired) {
    ++probe_.session_expired;
    events::session_expired(s);
  }
  if (expired || (!s.persistent() && !s.will)) end_session(s, WillOf::published, now);
}

// Among the applied records; the release before does not look at it.
void Broker::keep_clock(std::string_view reference) {
  commits_.write({.kind = WriteKind::put_applied, .key = kClockKey, .value = reference});
}

void Broker::tick(base::Instant now) {
  latest_ = now;
  usage_.accounts().second();
  meter_.resume_throttled();
  wills_.publish_late(now);
  end_credentials(now);
  queues_.read_again();
  handover_.read_again();
  if (partitioned()) {
    route_book_.release_waits(now);
    route_book_.sweep(now);
    retained_delivery_.sweep_tombstones(now);
  }
  may_have_work_ = true;  // timers; and a look each second, whatever may have been missed
  budget_.begin_turn();
  run_timers(now);
  retained_delivery_.sweep_expired(now);
  if (options_.sys_interval_s != 0 && now >= sys_at_) {
    publish_sys(now);
    sys_at_ = now.plus_s(options_.sys_interval_s);
  }
}

void Broker::publish_sys(base::Instant now) {
  refresh_gauges();
  const auto put = [&](std::string_view name, const std::string& value) {
    const std::string topic = "$SYS/broker/" + std::string(name);
    const MessageView m{.topic = topic, .payload = value, .forwarded = {}, .retain = true};
    retained_delivery_.keep(m, now);
    static constexpr PeerTag kOursOnly{};
    Delivery d{.message = m, .owned = {}, .publisher = {}};
    if (partitioned()) d.tag = &kOursOnly;  // each partition has figures of its own
    distributor_.deliver(router_.match(topic), d, nullptr, now);
  };
  put("version", "berth " + options_.version);
  put("uptime", std::to_string((now.ms - started_at_.ms) / 1000));
  put("clients/connected", std::to_string(sessions_.online()));
  put("clients/total", std::to_string(sessions_.size()));
  put("messages/received", std::to_string(probe_.rx_qos0 + probe_.rx_qos1 + probe_.rx_qos2));
  put("messages/sent", std::to_string(probe_.tx_qos0 + probe_.tx_qos1 + probe_.tx_qos2));
  put("messages/stored", std::to_string(sessions_.queued()));
  put("subscriptions/count", std::to_string(sessions_.subscriptions()));
  put("retained messages/count", std::to_string(retained_.size()));
}

void Broker::drain(base::Instant) {
  wills_.begin_drain();
  connections_.for_each([this](Channel& ch) {
    const WorksFor scope = works_for(ch.conn);
    clients_.fail(ch, Reason::server_shutting_down, CloseReason::drained);
  });
}

void Broker::refresh_gauges() {
  std::uint64_t peers = 0;
  std::uint64_t peers_online = 0;
  probe_.peer_queued = 0;
  for (std::uint32_t p = 0; partitioned() && p < options_.partitions; ++p) {
    const Session* s = sessions_.by_client(peer_client_id(p));
    if (s == nullptr) continue;
    ++peers;
    peers_online += s->channel != nullptr || s->limbo ? 1 : 0;
    probe_.peer_queued += s->flow().queued;
  }
  probe_.sessions = sessions_.online() - std::min(sessions_.online(), peers_online);
  probe_.sessions_offline = sessions_.size() - estates_.size() - peers - probe_.sessions;
  probe_.subscriptions = sessions_.subscriptions();
  probe_.retained = retained_.size();
  probe_.queued_now = sessions_.queued();
  probe_.queued_bytes_now = sessions_.queued_bytes();
  probe_.held_bytes = sessions_.holdings().all().bytes();
}

}  // namespace berth::session
