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

// Among the applied records; the release before does not look at it.
void Broker::keep_clock(std::string_view reference) {
  commits_.write({.kind = WriteKind::put_applied, .key = kClockKey, .value = reference});
}

void Broker::tick(base::Instant now) {
  latest_ = now;
  usage_.accounts().second();
  meter_.resume_throttled();
  wills_.publish_late(now);
  rights_.end_credentials(now);
  queues_.read_again();
  handover_.read_again();
  if (partitioned()) {
    route_book_.release_waits(now);
    route_book_.sweep(now);
    retained_delivery_.sweep_tombstones(now);
  }
  may_have_work_ = true;  // timers; and a look each second, whatever may have been missed
  budget_.begin_turn();
  life_.run_timers(now);
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
