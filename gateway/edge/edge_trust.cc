// Certificates of devices on open connections: one that has ended or been revoked, or whose
// authority is gone, ends its connection. All are looked at every two seconds, a part at a time.
#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/edge/tls_server.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::uint32_t kEvery_s = 2;
constexpr auto kStep = std::chrono::milliseconds(20);
constexpr std::size_t kLooks = 4000;  // in a step: well below a millisecond
// Signatures and ends in a step. So some 800 connections a second are looked at after a change of
// authorities or revocations, and no more are ended: they come back together.
constexpr std::size_t kChecks = 16;
}  // namespace

const TlsServer* EdgeShard::tls_server() const {
  const auto it = std::find_if(listeners_.begin(), listeners_.end(),
                               [](const Listener& l) { return l.options.tls != nullptr; });
  return it == listeners_.end() ? nullptr : it->options.tls;
}

void EdgeShard::review_certificates() {
  const TlsServer* tls = tls_server();
  if (certificate_review_.running || now_s_ % kEvery_s != 0 || counts_.tls == 0 || tls == nullptr ||
      !tls->asks_for_certificates())
    return;
  certificate_review_.running = true;
  certificate_review_.at = 0;
  review_some_certificates();
}

void EdgeShard::review_some_certificates() {
  const TlsServer* tls = tls_server();
  std::size_t& slot = certificate_review_.at;
  std::size_t checks = kChecks;
  for (std::size_t looks = kLooks; slot < slab_.size() && looks != 0 && checks != 0; --looks) {
    Connection& c = slab_[slot++];
    if (c.state != Connection::State::open || c.tls == nullptr || sockets_.handshaking(c)) continue;
    bool verified = false;
    const bool good = tls->still_trusts(c.tls, verified);
    if (verified || !good) --checks;
    if (good) continue;
    events::untrusted(c);
    c.out.append(followers_.farewell_to(c, Reason::not_authorized));
    close(c.id(), CloseReason::policy);
  }
  flush();
  engines_.turn_end();
  certificate_review_.running = slot < slab_.size();
  if (!certificate_review_.running) return;
  certificate_review_.timer.expires_after(kStep);
  certificate_review_.timer.async_wait([this](boost::system::error_code ec) {
    if (!ec) review_some_certificates();
  });
}

}  // namespace berth::gateway::edge
