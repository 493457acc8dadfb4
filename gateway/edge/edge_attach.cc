// Engines come and go; connections stay (DESIGN section 4).
#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "gateway/edge/edge_shard.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

namespace {
constexpr int kDeathsToQuarantine = 2;
constexpr std::size_t kQuarantinedMax = 10'000;  // devices; more are let in again
}  // namespace

void EdgeShard::attach(Connection& c) {
  protocol::link::Attach a;
  a.conn = c.id();
  a.attach_epoch = ++c.attach_epoch;
  a.in_ack = c.in_ack;
  a.in_end = c.in_off;
  a.out_off = c.out_off;
  a.connected = c.connected;
  a.loopback = c.loopback;
  a.ended = c.state == Connection::State::ended;
  a.peer = c.peer;
  a.peer_port = c.peer_port;
  if (c.tls != nullptr && !c.connected) a.certificate = name_of_peer(c.tls, certificate_name_);
  if (c.cookie) a.cookie = *c.cookie;
  c.attached = true;
  c.credited = c.out_off - std::min<std::uint64_t>(c.out_off, c.unsent());
  a.written = c.credited;
  engine_of(c).attach(a);
}

void EdgeShard::engine_gone(std::uint32_t partition) {
  served_[partition].gone_s = now_s_;
  served_[partition].gone_ns = base::monotonic_ns();
  for_each([partition](Connection& c) {
    if (c.partition == partition) c.attached = false;
  });
}

// Routes before inputs: all attaches, attached_all, then the bytes nobody has acknowledged, then
// the closes that happened meanwhile.
void EdgeShard::engine_ready(std::uint32_t partition) {
  Served& served = served_[partition];
  std::vector<base::ConnId> all;
  for_each([&](Connection& c) {
    if (c.partition != partition) return;
    if (!c.connected && c.in_off == 0) return;  // has said nothing yet
    attach(c);
    if (served.gone_ns != 0) ++probe_.reattached;
    all.push_back(c.id());
  });
  served.engine->attached_all();
  for (const base::ConnId conn : all) {
    if (Connection* c = find(conn)) replay(*c);
  }
  if (served.gone_ns != 0) {
    probe_.engine_gap_ms =
        static_cast<std::uint64_t>((base::monotonic_ns() - served.gone_ns) / 1'000'000);
  }
  served.gone_ns = 0;
  served.gone_s = 0;
  served.engine->turn_end();
}

void EdgeShard::replay(Connection& c) {
  const base::ConnId conn = c.id();
  if (!c.in.empty()) engine_of(c).input(conn, c.in_ack, c.in_ack, base::as_bytes(c.in));
  if (c.state == Connection::State::ended) engine_of(c).closed(conn, c.reason);
}

// Two engines died while they worked on this connection's input: it must not meet a third (I12).
void EdgeShard::suspect(base::ConnId conn) {
  Connection* c = find(conn);
  if (c == nullptr) return;
  if (++suspicion_[conn.packed()] < kDeathsToQuarantine) return;
  suspicion_.erase(conn.packed());
  quarantine(*c);
}

void EdgeShard::quarantine(Connection& c) {
  ++probe_.poisoned;
  BERTH_LOG(err, "quarantined conn={} seconds={}", c.id().packed(), options_.quarantine_s);
  if (c.client_hash != 0) {
    keep_out(c.client_hash);
    if (on_quarantine_) on_quarantine_(c.client_hash);
  }
  input_bytes_ -= c.in.size();
  c.in_ack = c.in_off;
  c.in = {};
  end(c, CloseReason::poison);
}

void EdgeShard::keep_out(std::uint64_t client_hash) {
  if (quarantine_.size() >= kQuarantinedMax) {
    erase_if(quarantine_, [this](const auto& q) { return q.second <= now_s_; });
    if (quarantine_.size() >= kQuarantinedMax) return;
  }
  quarantine_[client_hash] = now_s_ + options_.quarantine_s;
}

}  // namespace berth::gateway::edge
