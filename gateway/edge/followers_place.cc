// Whose connection it is, by the client id in its CONNECT or HELLO: the partition that serves it.
#include "gateway/edge/followers.h"
#include "protocol/mqtt/codec.h"
#include "protocol/park/control.h"

namespace berth::gateway::edge {

namespace mqtt = protocol::mqtt;
namespace park = protocol::park;

namespace {

constexpr std::size_t kConnectMax = 64 * 1024;
constexpr std::uint8_t kConnectHeader = 0x10;

enum class First { incomplete, connect, too_large, other };

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
  if (status == mqtt::FrameStatus::too_large) return First::too_large;
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

// A CONNECT may be longer than any log-in needs: its device hears so, once it is known what it
// speaks.
void Followers::refuse_large_connect(Connection& c, base::ByteView bytes) {
  std::size_t at = 1;
  while (at < bytes.size() && (bytes[at] & 0x80) != 0) ++at;
  bytes = bytes.subspan(std::min(at + 1, bytes.size()));
  const std::size_t level_at = bytes.size() < 2 ? 0 : 2 + (std::size_t{bytes[0]} << 8 | bytes[1]);
  if (bytes.size() < 2 || (level_at <= 8 && level_at >= bytes.size())) return;
  const std::string_view name = base::as_text(bytes.subspan(2)).substr(0, level_at - 2);
  if (name == "MQTT" || name == "MQIsdp") {
    const auto version = bytes[level_at] == 5 ? mqtt::Version::v5 : mqtt::Version::v311;
    mqtt::encode_connack(c.out, version, false, mqtt::Reason::packet_too_large, {});
  }
  begin_close(c, protocol::link::CloseReason::frame_too_large);
}

// False: more bytes are needed, or the connection has been ended. What is no CONNECT goes to any
// engine, which says why it ends; one without a client id is spread by its own number, and the
// engine chooses an id of its partition.
bool Followers::place(Connection& c, base::ByteView bytes) {
  const bool in_first = !c.speaks_park() && c.unfinished() == c.in_off;
  const std::uint8_t first_byte =
      c.in.empty() ? bytes.front() : static_cast<std::uint8_t>(c.in.front());
  if (in_first && first_byte == kConnectHeader && c.packet_size() <= kConnectMax) return false;
  std::string all;
  if (!c.in.empty()) {
    all = c.in + std::string(base::as_text(bytes));
    bytes = base::as_bytes(all);
  }
  Who who;
  const First first = c.speaks_park() ? first_of_park(bytes, who) : first_of_mqtt(bytes, who);
  if (first == First::too_large) refuse_large_connect(c, bytes);
  if (first == First::incomplete || first == First::too_large) return false;
  c.partition = 0;
  if (first == First::other) return true;
  const auto n = static_cast<std::uint32_t>(engines_.size());
  c.partition = static_cast<std::uint8_t>(who.client_id.empty()
                                              ? (c.slot ^ c.generation) % n
                                              : protocol::link::partition_of(who.client_id, n));
  return true;
}

}  // namespace berth::gateway::edge
