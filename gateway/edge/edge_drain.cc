// The planned end of an edge, and what engines tell it to do.
#include <algorithm>
#include <chrono>

#include "gateway/edge/edge_shard.h"
#include "protocol/mqtt/types.h"
#include "protocol/mqtt/wire.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::link::Setting;

namespace {
constexpr auto kDrainStep = std::chrono::milliseconds(50);

// DISCONNECT 0x9C, use another server, with Server Reference (3.14.2.2.5); 0x8B, server shutting
// down, without.
std::string disconnect_packet(const std::string& reference) {
  if (reference.empty()) return {"\xe0\x01\x8b", 3};
  std::string property;
  property.push_back('\x1c');
  property.push_back(static_cast<char>(reference.size() >> 8));
  property.push_back(static_cast<char>(reference.size()));
  property.append(reference);
  std::string body{"\x9c"};
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
  } else if (setting == Setting::others_admit_per_s) {
    others_admit_per_s_ = value;
  }
}

// Where there are no other edges the devices wait for our successor, whatever the pace.
std::uint32_t EdgeShard::drain_pace(std::uint32_t per_second) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(per_second, others_admit_per_s_));
}

void EdgeShard::drain(std::uint32_t per_second, const std::string& server_reference) {
  stop_accepting();
  farewell_ = disconnect_packet(server_reference);
  drain_at_ = 0;
  drain_all_ = true;
  drain_some(per_second);
}

void EdgeShard::drain_tls(std::uint32_t per_second) {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    listeners_[i].waits = edge::has_tls(listeners_[i].transport);
    listen_to(i);
  }
  farewell_ = disconnect_packet({});  // they may come back at once
  drain_at_ = 0;
  drain_all_ = false;
  drain_some(per_second);
}

void EdgeShard::end_tls() {
  drain_timer_.cancel();
  for_each([this](Connection& c) {
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
  for (; drain_at_ < alive_.size() && left != 0; ++drain_at_) {
    Connection& c = at(drain_at_);
    if (c.state != Connection::State::open || (!drain_all_ && c.tls == nullptr)) continue;
    if (c.connected && c.version == 5) c.out.append(farewell_);
    close(c.id(), CloseReason::drained);
    --left;
  }
  flush();
  engines_turn_end();  // it must hear of an end before the device is back elsewhere: no take-over
  if (drain_at_ >= alive_.size()) return;
  drain_timer_.expires_after(kDrainStep);
  drain_timer_.async_wait([this, per_second](boost::system::error_code ec) {
    if (!ec) drain_some(per_second);
  });
}

}  // namespace berth::gateway::edge
