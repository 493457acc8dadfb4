// Whose connection it is, by the client id in its CONNECT: the partition that serves it, and
// whether it is kept out.
#include "gateway/edge/edge_shard.h"
#include "protocol/mqtt/codec.h"

namespace berth::gateway::edge {

namespace mqtt = protocol::mqtt;

namespace {
constexpr std::size_t kConnectMax = 64 * 1024;
constexpr std::uint8_t kConnectHeader = 0x10;
}  // namespace

// A client id that has killed engines is refused before its CONNECT reaches one.
bool EdgeShard::quarantined(Connection& c, base::ByteView first_bytes) {
  mqtt::Frame f;
  if (mqtt::next_frame(first_bytes, kConnectMax, f) != mqtt::FrameStatus::complete ||
      f.type() != mqtt::PacketType::connect) {
    return false;
  }
  const std::string_view client_id = mqtt::peek_client_id(f);
  if (client_id.empty()) return false;
  c.client_hash = protocol::link::hash_of(client_id);
  const auto it = quarantine_.find(c.client_hash);
  if (it == quarantine_.end()) return false;
  if (it->second > now_s_) return true;
  quarantine_.erase(it);
  return false;
}

// False: more bytes are needed, or the connection has been ended. What is no CONNECT goes to any
// engine, which says why it ends; one without a client id is spread by its own number, and the
// engine chooses an id of its partition.
bool EdgeShard::place(Connection& c, base::ByteView bytes) {
  std::string all;
  if (!c.in.empty()) {
    all = c.in + std::string(base::as_text(bytes));
    bytes = base::as_bytes(all);
  }
  mqtt::Frame f;
  const bool connect = bytes.front() == kConnectHeader;
  const mqtt::FrameStatus status = mqtt::next_frame(bytes, kConnectMax, f);
  if (connect && status == mqtt::FrameStatus::need_more) return false;
  c.partition = 0;
  if (!connect || status != mqtt::FrameStatus::complete) return true;
  const auto n = static_cast<std::uint32_t>(served_.size());
  const std::string_view client_id = mqtt::peek_client_id(f);
  c.partition = static_cast<std::uint8_t>(
      client_id.empty() ? (c.slot ^ c.generation) % n : protocol::link::partition_of(client_id, n));
  if (c.client_hash != 0 || !quarantined(c, bytes)) return true;
  ++probe_.accept_quarantined;
  end(c, protocol::link::CloseReason::poison);
  return false;
}

}  // namespace berth::gateway::edge
