#include "gateway/edge/arrivals.h"

#include "base/clock.h"
#include "gateway/edge/edge_events.h"

namespace berth::gateway::edge {

using events::Refused;
using protocol::link::CloseReason;

namespace {

std::size_t cost_before_login(Transport t) {
  return BeforeLogin::kPlain + (has_websocket(t) ? BeforeLogin::kWebSocket : 0) +
         (has_tls(t) ? BeforeLogin::kTls : 0);
}

}  // namespace

void Arrivals::enter(Connection& c, bool limited) {
  before_login_.enter(c.slot, c.peer, cost_before_login(c.transport), limited, now_s_);
}

// Its address is known only now, behind a proxy.
bool Arrivals::enter_address(Connection& c) {
  before_login_.leave(c.slot);
  enter(c, true);
  if (limits_ == nullptr) return true;
  c.counted = limits_->enter(c.peer, base::monotonic_ns());
  if (!c.counted) {
    ++probe_.refused_address;
    events::refused(Refused::address, c.peer, c.peer_port, c.transport);
  }
  return c.counted;
}

// False: this connection itself had to go.
bool Arrivals::has_room_before_login(Connection& c) {
  const base::ConnId conn = c.id();
  for (;;) {
    const std::uint32_t slot = before_login_.too_many(c.slot, now_s_);
    if (slot == BeforeLogin::kNobody) return true;
    ++probe_.before_login_pushed_out;
    end(slab_[slot], CloseReason::policy);
    const Connection* still = slab_.find(conn);
    if (still == nullptr || still->state != Connection::State::open) return false;
  }
}

}  // namespace berth::gateway::edge
