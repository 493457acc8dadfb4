// Whose connection it is, by the client id in its CONNECT or HELLO: the partition that serves it,
// and whether it is kept out.
#include "gateway/edge/edge_shard.h"
#include "protocol/mqtt/codec.h"
#include "protocol/park/control.h"

namespace berth::gateway::edge {

namespace mqtt = protocol::mqtt;
namespace park = protocol::park;

namespace {

constexpr std::size_t kConnectMax = 64 * 1024;
constexpr std::uint8_t kConnectHeader = 0x10;

enum class First { incomplete, connect, other };

// As it says itself.
struct Who {
  std::string client_id;
  std::string user_name;
};

First first_of_mqtt(base::ByteView bytes, Who& who) {
  mqtt::Frame f;
  if (bytes.front() != kConnectHeader) return First::other;
  const mqtt::FrameStatus status = mqtt::next_frame(bytes, kConnectMax, f);
  if (status == mqtt::FrameStatus::need_more) return First::incomplete;
  if (status != mqtt::FrameStatus::complete) return First::other;
  who.client_id = mqtt::peek_client_id(f);
  mqtt::ConnectView c;
  mqtt::Scratch scratch;
  if (mqtt::decode_connect(f, scratch, c) == mqtt::Reason::success)
    who.user_name = c.user_name.value_or("");
  return First::connect;
}

// Behind our own GREETING.
First first_of_park(base::ByteView bytes, Who& who) {
  park::Frame f;
  for (const park::FrameType wanted : {park::FrameType::greeting, park::FrameType::hello}) {
    const park::FrameStatus status = park::next_frame(bytes, kConnectMax, f);
    if (status == park::FrameStatus::need_more) return First::incomplete;
    if (status != park::FrameStatus::complete || f.type != wanted) return First::other;
    bytes = bytes.subspan(f.size);
  }
  park::peek_names(f.payload, who.client_id, who.user_name);
  return First::connect;
}

}  // namespace

// Who has killed engines is refused before its CONNECT reaches one. By client id and user name: two
// tenants may have the same client ids (I8).
bool EdgeShard::quarantined(Connection& c, base::ByteView first_bytes) {
  Who who;
  return first_of_mqtt(first_bytes, who) == First::connect &&
         kept_out(c, who.client_id, who.user_name);
}

bool EdgeShard::kept_out(Connection& c, std::string_view client_id, std::string_view user_name) {
  if (client_id.empty()) return false;
  const std::string certificate =
      c.tls != nullptr ? name_of_peer(c.tls, certificate_name_) : std::string();
  std::string who(client_id);
  who.append(1, '\0').append(certificate.empty() ? user_name : certificate);
  c.client_hash = protocol::link::hash_of(who);
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
  Who who;
  const First first = c.speaks_park() ? first_of_park(bytes, who) : first_of_mqtt(bytes, who);
  if (first == First::incomplete) return false;
  c.partition = 0;
  if (first == First::other) return true;
  const auto n = static_cast<std::uint32_t>(served_.size());
  c.partition = static_cast<std::uint8_t>(who.client_id.empty()
                                              ? (c.slot ^ c.generation) % n
                                              : protocol::link::partition_of(who.client_id, n));
  if (c.client_hash != 0 || !kept_out(c, who.client_id, who.user_name)) return true;
  ++probe_.accept_quarantined;
  end(c, protocol::link::CloseReason::poison);
  return false;
}

}  // namespace berth::gateway::edge
