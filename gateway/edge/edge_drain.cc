// The planned end of an edge, and what engines tell it to do.
#include <algorithm>

#include "gateway/edge/edge_shard.h"
#include "protocol/mqtt/reason_text.h"
#include "protocol/mqtt/types.h"
#include "protocol/mqtt/wire.h"
#include "protocol/park/control.h"

namespace berth::gateway::edge {

namespace park = protocol::park;
using protocol::link::CloseReason;
using protocol::link::Setting;
using protocol::mqtt::Reason;

namespace {
constexpr std::size_t kComeBackMin_ms = 2000;  // over so long they are spread, or 1 ms for each
constexpr std::size_t kComeBackMax_ms = 30'000;

// DISCONNECT, where there is one with Server Reference (3.14.2.2.5).
std::string disconnect_packet(Reason reason, const std::string& reference) {
  if (reference.empty()) return {'\xe0', '\x01', static_cast<char>(reason)};
  std::string property;
  property.push_back('\x1c');
  property.push_back(static_cast<char>(reference.size() >> 8));
  property.push_back(static_cast<char>(reference.size()));
  property.append(reference);
  std::string body(1, static_cast<char>(reason));
  base::put_varint(body, property.size());  // MQTT's variable byte integer is the same up to here
  body.append(property);
  std::string packet{"\xe0"};
  base::put_varint(packet, body.size());
  return packet + body;
}

}  // namespace

void EdgeShard::apply_setting(Setting setting, std::uint64_t value) {
  if (setting == Setting::connect_timeout_s) {
    options_.connect_timeout_s = static_cast<std::uint32_t>(value);
  } else if (setting == Setting::quarantine_s) {
    options_.quarantine_s = static_cast<std::uint32_t>(value);
    if (quarantine_ != nullptr) quarantine_->use_seconds(options_.quarantine_s);
  } else if (setting == Setting::others_admit_per_s) {
    drain_.use_others(value);
  }
}

void EdgeShard::drain(std::uint32_t per_second, Elsewhere elsewhere) {
  stop_accepting();
  drain_.begin(Drain::Which::all, per_second, std::move(elsewhere));
}

// Of a Drain.
void EdgeShard::send_away(Connection& c) {
  c.out.append(farewell_to(c, Reason::server_shutting_down));
  begin_close(c, CloseReason::drained);
}

// What a device is told before we end its connection; MQTT 3.1.1 has no words for it.
std::string EdgeShard::farewell_to(const Connection& c, Reason reason,
                                   std::string_view text) const {
  static const std::string kNowhere;
  const bool planned = reason == Reason::server_shutting_down;
  const std::string& where = !planned          ? kNowhere
                             : c.speaks_park() ? drain_.elsewhere().park_endpoint
                                               : drain_.elsewhere().server_reference;
  if (!where.empty()) reason = Reason::use_another_server;
  if (c.speaks_park()) {
    const std::uint8_t flags = c.tls == nullptr ? park::kCrc : 0;
    return planned
               ? park::encode_goaway(reason, come_back_after_ms(c), where, flags)
               : park::encode_error(reason, text.empty() ? std::string_view(text_of(reason)) : text,
                                    {}, 0, flags);
  }
  if (c.connected && c.version == 5) return disconnect_packet(reason, where);
  return {};
}

// Not all at once, also where they have only us to come back to.
std::uint32_t EdgeShard::come_back_after_ms(const Connection& c) const {
  const auto spread = std::clamp<std::size_t>(counts_.connected, kComeBackMin_ms, kComeBackMax_ms);
  const std::string text = c.peer.with_port(c.peer_port) + std::to_string(c.generation);
  return static_cast<std::uint32_t>(1 + protocol::link::hash_of(text) % spread);
}

void EdgeShard::drain_tls(std::uint32_t per_second) {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i].waits = edge::has_tls(listeners_[i].transport);
    listen_to(i);
  }
  drain_.begin(Drain::Which::tls, per_second, {});  // they may come back at once
}

void EdgeShard::end_tls() {
  drain_.cancel();
  slab_.for_each([this](Connection& c) {
    if (c.tls != nullptr) end(c, CloseReason::drained);
  });
}

void EdgeShard::keep_tls() {
  drain_.cancel();
  for (Listener& l : listeners_) l.waits = false;
  resume_accepting();
}

}  // namespace berth::gateway::edge
