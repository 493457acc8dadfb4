#include "gateway/edge/certificate_review.h"

#include <algorithm>
#include <chrono>

#include "gateway/edge/edge_events.h"
#include "gateway/edge/tls_server.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;
using protocol::mqtt::Reason;

namespace {
constexpr std::uint32_t kEvery_s = 2;
constexpr auto kReviewStep = std::chrono::milliseconds(20);
constexpr std::size_t kLooks = 4000;  // in a step: well below a millisecond
// Signatures and ends in a step. So some 800 connections a second are looked at after a change of
// authorities or revocations, and no more are ended: they come back together.
constexpr std::size_t kChecks = 16;
}  // namespace

void CertificateReview::tick() {
  const TlsServer* tls = acceptor_.tls_server();
  if (running_ || now_s_ % kEvery_s != 0 || counts_.tls == 0 || tls == nullptr ||
      !tls->asks_for_certificates())
    return;
  running_ = true;
  at_ = 0;
  review_some();
}

void CertificateReview::review_some() {
  const TlsServer* tls = acceptor_.tls_server();
  if (tls == nullptr) {  // the edge has stopped accepting: all connections end soon
    running_ = false;
    return;
  }
  std::size_t& slot = at_;
  std::size_t checks = kChecks;
  for (std::size_t looks = kLooks; slot < slab_.size() && looks != 0 && checks != 0; --looks) {
    Connection& c = slab_[slot++];
    if (c.state != Connection::State::open || c.tls == nullptr || DeviceSockets::handshaking(c))
      continue;
    bool verified = false;
    const bool good = tls->still_trusts(c.tls, verified);
    if (verified || !good) --checks;
    if (good) continue;
    events::untrusted(c);
    c.out.append(followers_.farewell_to(c, Reason::not_authorized));
    endings_.close(c.id(), CloseReason::policy);
  }
  output_.flush();
  engines_.turn_end();
  running_ = slot < slab_.size();
  if (!running_) return;
  timer_.expires_after(kReviewStep);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) review_some();
  });
}

}  // namespace berth::gateway::edge
