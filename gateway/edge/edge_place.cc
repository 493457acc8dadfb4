// Whose connection it is, by the client id in its CONNECT or HELLO: the partition that serves it.
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

// Of unacknowledged input, which begins where a packet does. An incomplete packet has no effect.
bool EdgeShard::has_whole_packet(const Connection& c) {
  const base::ByteView bytes = base::as_bytes(c.in);
  if (bytes.empty()) return false;
  if (c.speaks_park()) {
    park::Frame f;
    return park::next_frame(bytes, SIZE_MAX, f) != park::FrameStatus::need_more;
  }
  mqtt::Frame f;
  return mqtt::next_frame(bytes, SIZE_MAX, f) != mqtt::FrameStatus::need_more;
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
  return true;
}

}  // namespace berth::gateway::edge
