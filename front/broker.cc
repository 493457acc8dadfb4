#include "front/broker.h"

#include <fmt/format.h>

namespace berth::session {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::uint8_t kConnectHeader = 0x10;
}  // namespace

Broker::Broker(BrokerOptions options, Effects& effects, const AccessPolicy* access,
               metrics::EngineProbe& probe)
    : cx_(std::move(options), effects, probe), core_(cx_, access, ports_) {}

Broker::~Broker() = default;

std::size_t Broker::input(base::ConnId conn, base::ByteView bytes, base::Instant now) {
  Channel* ch = core_.connections.find(conn);
  if (ch == nullptr) return bytes.size();
  if (ch->resting) return 0;  // more bytes are no reason to be before others that rest
  const WorksFor scope(cx_.effects.work(), conn);
  core_.clients.end_soon(*ch);
  if (ch->state == Channel::State::closing) return bytes.size();
  if (!cx_.budget.begin_share()) {  // others, and heartbeats, have their turn
    core_.connections.go_on_later(*ch);
    return 0;
  }
  if (ch->retained) core_.retained_delivery.go_on(*ch, now);
  std::size_t used = 0;
  while (!ch->stalled && ch->state != Channel::State::closing) {
    Packet p;
    if (cut_packet(*ch, bytes.subspan(used), p) != Cut::complete) break;
    const bool was_free = ch->live() && !gated(*ch);
    const std::uint64_t before = ch->in_off;
    ch->in_off += p.size;
    cx_.budget.take(TurnBudget::kPacket);
    if (!dispatch(*ch, p, now)) {
      ch->in_off = before;
      break;
    }
    // What came before one that waits has taken effect in this turn and is acknowledged with it.
    if (was_free && used != 0 && gated(*ch)) cx_.effects.acknowledge(conn, before);
    used += p.size;
    if (cx_.budget.share_spent() && !ch->stalled) {
      core_.connections.go_on_later(*ch);
      break;
    }
  }
  if (ch->live() && used != 0 && !gated(*ch)) cx_.effects.acknowledge(conn, ch->in_off);
  return ch->state == Channel::State::closing ? bytes.size() : used;
}

// The next packet of the protocol that the connection speaks; its first byte tells which.
Cut Broker::cut_packet(Channel& ch, base::ByteView bytes, Packet& out) {
  if (bytes.empty()) return Cut::need_more;
  if (!ch.live() && !ch.park) {
    if (bytes[0] == protocol::park::kMagic0) park_front_.begin(ch);
    if (!ch.park && bytes[0] != kConnectHeader) {
      core_.clients.fail(
          ch, Reason::protocol_error, CloseReason::protocol_error,  // neither: say so at once
          fmt::format("the first byte is 0x{:02x}: neither CONNECT nor a frame of Park", bytes[0]));
      return Cut::failed;
    }
  }
  if (ch.park) {
    const Cut cut = park_front_.cut(ch, bytes, out.park);
    out.size = out.park.size;
    return cut;
  }
  const Cut cut = mqtt_front_.cut(ch, bytes, out.mqtt);
  out.size = out.mqtt.size;
  return cut;
}

// False: the packet was not taken; it is offered again when the channel goes on.
bool Broker::dispatch(Channel& ch, const Packet& p, base::Instant now) {
  return ch.park ? park_front_.on_frame(ch, p.park, now) : mqtt_front_.on_packet(ch, p.mqtt, now);
}

void Broker::rested(base::ConnId conn) {
  if (Channel* ch = core_.connections.find(conn)) ch->resting = false;
}

void Broker::end_turn(base::Instant now) {
  core_.end_turn(now);
  if (park_front_.any_acks_due()) park_front_.flush_acks();
  if (core_.cookies.any_changed()) core_.cookies.flush();
  core_.connections.free_forgotten();
  cx_.budget.begin_turn();
}

std::uint64_t Broker::fair_key(base::ConnId conn) {
  const Channel* ch = core_.connections.find(conn);
  return ch == nullptr ? 0 : ch->fair_key;
}

std::vector<std::uint64_t> Broker::missing_edges() const {
  return {core_.replay.stored_edges().begin(), core_.replay.stored_edges().end()};
}

}  // namespace berth::session
