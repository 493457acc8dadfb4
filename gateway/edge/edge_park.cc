// Connections that speak the Park protocol: the edge says the first word and answers heartbeats.
#include <openssl/rand.h>

#include "base/wall_clock.h"
#include "gateway/edge/edge_shard.h"
#include "protocol/park/control.h"

namespace berth::gateway::edge {

namespace park = protocol::park;

// The GREETING stands in front of the device's input too, so whichever engine reads its HELLO, now
// or after a crash, knows what the device was asked.
void EdgeShard::greet(Connection& c) {
  park::Greeting g;
  g.nonce.resize(park::kNonceBytes);
  if (RAND_bytes(reinterpret_cast<unsigned char*>(g.nonce.data()), park::kNonceBytes) != 1)
    return;  // nobody may guess it; without a greeting the connection ends in its time
  g.server_time_ms = base::wall_time().ms;
  g.crc_wanted = c.tls == nullptr;
  const std::string bytes = park::encode_greeting(g, g.crc_wanted ? park::kCrc : 0);
  buffers_.borrow(c.out);
  c.out.append(bytes);
  mark_dirty(c);
  input_.keep(c, base::as_bytes(bytes));
  c.in_off += bytes.size();
  c.greeting = static_cast<std::uint8_t>(bytes.size());
}

bool EdgeShard::follow_park(Connection& c, base::ByteView bytes) {
  const auto pong = [&](std::uint8_t flags, std::uint32_t seq) {
    std::string bytes;
    park::put_pong(bytes, flags & park::kCrc, seq, base::wall_time().ms);
    answer_ping(c, bytes);
  };
  return c.park_walker.walk(bytes, c.tls == nullptr, pong);
}

}  // namespace berth::gateway::edge
