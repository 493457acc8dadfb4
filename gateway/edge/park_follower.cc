#include "gateway/edge/park_follower.h"

#include <openssl/rand.h>

#include "protocol/mqtt/reason_text.h"
#include "protocol/park/faults.h"

namespace berth::gateway::edge {

namespace park = protocol::park;
using protocol::mqtt::Reason;

StreamFault ParkFollower::fault(base::ByteView, bool) const {
  return {.text = park::text_of_fault(walker_),
          .too_large = walker_.fault() == park::Walker::Fault::too_large};
}

std::string ParkFollower::greeting(const StreamFacts& s) {
  park::Greeting g;
  g.nonce.resize(park::kNonceBytes);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(g.nonce.data()), park::kNonceBytes) != 1)
    return {};  // nobody may guess it; without a greeting the connection ends in its time
  g.server_time_ms = base::wall_time().ms;
  g.crc_wanted = !s.tls;
  return park::encode_greeting(g, g.crc_wanted ? park::kCrc : 0);
}

std::string ParkFollower::farewell(const Farewell& f, const StreamFacts& s) {
  const std::uint8_t flags = s.tls ? 0 : park::kCrc;
  if (f.reason == Reason::server_shutting_down) {
    const std::string& where = f.elsewhere.park_endpoint;
    return park::encode_goaway(where.empty() ? f.reason : Reason::use_another_server,
                               f.come_back_after_ms, where, flags);
  }
  std::string_view text = f.text;
  if (text.empty() && f.reason == Reason::keep_alive_timeout && !s.connected)
    text = "no HELLO within mqtt.connect_timeout_s";
  if (text.empty()) text = protocol::mqtt::text_of(f.reason);
  return park::encode_error(f.reason, text, {}, 0, flags);
}

First ParkFollower::peek(base::ByteView in, std::string& client_id) {
  park::Frame f;
  for (const park::FrameType wanted : {park::FrameType::greeting, park::FrameType::hello}) {
    const park::FrameStatus status = park::next_frame(in, kLoginMax, f);
    if (status == park::FrameStatus::need_more) return First::incomplete;
    if (status != park::FrameStatus::complete || f.type != wanted) return First::other;
    in = in.subspan(f.size);
  }
  std::string user_name;
  park::peek_names(f.payload, client_id, user_name);
  return First::login;
}

bool ParkFollower::has_whole_packet(base::ByteView in) {
  park::Frame f;
  return park::next_frame(in, SIZE_MAX, f) != park::FrameStatus::need_more;
}

bool ParkFollower::has_goodbye(base::ByteView in) {
  park::Frame f;
  while (park::next_frame(in, SIZE_MAX, f) == park::FrameStatus::complete) {
    if (f.type == park::FrameType::bye) return true;
    in = in.subspan(f.size);
  }
  return false;
}

}  // namespace berth::gateway::edge
