// The planned end of an edge, and what engines tell it to do.
#include <algorithm>
#include <chrono>

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
constexpr auto kDrainStep = std::chrono::milliseconds(50);

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
    others_admit_per_s_ = value;
  }
}

// Where there are no other edges the devices wait for our successor, whatever the pace.
std::uint32_t EdgeShard::drain_pace(std::uint32_t per_second) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(per_second, others_admit_per_s_));
}

void EdgeShard::drain(std::uint32_t per_second, Elsewhere elsewhere) {
  stop_accepting();
  elsewhere_ = std::move(elsewhere);
  drain_at_ = 0;
  drain_all_ = true;
  drain_some(per_second);
}

// What a device is told before we end its connection; MQTT 3.1.1 has no words for it.
std::string EdgeShard::farewell_to(const Connection& c, Reason reason,
                                   std::string_view text) const {
  static const std::string kNowhere;
  const bool planned = reason == Reason::server_shutting_down;
  const std::string& where = !planned          ? kNowhere
                             : c.speaks_park() ? elsewhere_.park_endpoint
                                               : elsewhere_.server_reference;
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
  const auto spread = std::clamp<std::size_t>(connected_, kComeBackMin_ms, kComeBackMax_ms);
  const std::string text = c.peer.with_port(c.peer_port) + std::to_string(c.generation);
  return static_cast<std::uint32_t>(1 + protocol::link::hash_of(text) % spread);
}

void EdgeShard::drain_tls(std::uint32_t per_second) {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i].waits = edge::has_tls(listeners_[i].transport);
    listen_to(i);
  }
  elsewhere_ = {};  // they may come back at once
  drain_at_ = 0;
  drain_all_ = false;
  drain_some(per_second);
}

void EdgeShard::end_tls() {
  drain_timer_.cancel();
  slab_.for_each([this](Connection& c) {
    if (c.tls != nullptr) end(c, CloseReason::drained);
  });
}

void EdgeShard::keep_tls() {
  drain_timer_.cancel();
  for (Listener& l : listeners_) l.waits = false;
  resume_accepting();
}

void EdgeShard::drain_some(std::uint32_t per_second) {
  std::uint32_t left = std::max<std::uint32_t>(1, drain_pace(per_second) / 20);
  for (; drain_at_ < slab_.size() && left != 0; ++drain_at_) {
    Connection& c = slab_[drain_at_];
    if (c.state != Connection::State::open || (!drain_all_ && c.tls == nullptr)) continue;
    c.out.append(farewell_to(c, Reason::server_shutting_down));
    begin_close(c, CloseReason::drained);
    --left;
  }
  flush();
  engines_turn_end();  // it must hear of an end before the device is back elsewhere: no take-over
  if (drain_at_ >= slab_.size()) return;
  drain_timer_.expires_after(kDrainStep);
  drain_timer_.async_wait([this, per_second](boost::system::error_code ec) {
    if (!ec) drain_some(per_second);
  });
}

}  // namespace berth::gateway::edge
