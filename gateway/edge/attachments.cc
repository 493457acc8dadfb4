#include "gateway/edge/attachments.h"

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/edge/client_trust.h"
#include "gateway/edge/passages.h"

namespace berth::gateway::edge {

void Attachments::attach(Connection& c) {
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
  if (c.tls != nullptr && !c.connected) {
    a.certificate = name_of_peer(c.tls, acceptor_.certificate_name());
    if (!a.certificate.empty()) a.authorities = authorities_of_peer(c.tls);
  }
  if (c.cookie) a.cookie = *c.cookie;
  c.attached = true;
  if (c.timed) c.timed->tell_again();
  c.credited = c.out_off - std::min<std::uint64_t>(c.out_off, c.unsent());
  a.written = c.credited;
  engines_.of(c).attach(a);
  if (c.timed) output_.list_commands(c);
}

void Attachments::engine_gone(std::uint32_t partition, EngineEnd how, std::int64_t silent_since_ns,
                              const EngineName& who) {
  Served& served = engines_[partition];
  const std::int64_t now = base::monotonic_ns();
  served.absence.ended(now);
  if (served.gone_ns == 0) {
    served.gone_ns = silent_since_ns != 0 ? silent_since_ns : now;
    served.how = how;
    served.gone = who;
    served.ended_before = ended_by_us();
  }
  slab_.for_each([this, partition](Connection& c) {
    if (c.partition != partition) return;
    c.attached = c.held = false;
    // Its end, or its cookie, is what engines die of: no engine hears of it any more.
    if (c.state == Connection::State::ended && c.deaths >= Quarantine::kDeaths) endings_.finish(c);
  });
  judge(served, how);
}

// Routes before inputs: all attaches, attached_all, then the bytes nobody has acknowledged, then
// the closes that happened meanwhile.
void Attachments::engine_ready(std::uint32_t partition) {
  Served& served = engines_[partition];
  served.absence.serves(base::monotonic_ns());
  served.probation.serves(base::monotonic_ns() / 1'000'000);
  if (quarantine_ != nullptr && quarantine_->any()) {
    served.engine->kept_out(quarantine_->list(now_s_));
  }
  poison_.shut_out_quarantined();
  std::vector<base::ConnId> all;
  slab_.for_each([&](Connection& c) {
    if (c.partition != partition) return;
    if (!c.connected && c.in_off == 0) return;  // has said nothing yet
    attach(c);
    if (served.gone_ns != 0) ++probe_.reattached;
    all.push_back(c.id());
  });
  BERTH_LOG(debug, "connections attached partition={} connections={}", partition, all.size());
  served.engine->attached_all();
  for (const base::ConnId conn : begin_probation(partition, all)) {
    if (Connection* c = slab_.find(conn)) replay(*c);
  }
  if (served.gone_ns != 0) {
    const std::int64_t gap_ns = base::monotonic_ns() - served.gone_ns;
    probe_.engine_gap_ms = static_cast<std::uint64_t>(gap_ns / 1'000'000);
    probe_.engine_gap.observe_ns(gap_ns);
    tell_passage(partition, all.size());
  }
  served.gone_ns = 0;
  served.same = served.own = false;
  served.engine->turn_end();
}

void Attachments::tell_passage(std::uint32_t partition, std::size_t held) {
  if (options_.passages == nullptr) return;
  const Served& served = engines_[partition];
  Passages::Passage p{.ended_ns = base::monotonic_ns(), .partition = partition};
  p.what = served.own    ? Passages::What::edge
           : served.same ? Passages::What::link
                         : Passages::What::engine;
  p.how = served.how;
  p.of = served.gone;
  p.gap_ms = probe_.engine_gap_ms;
  p.held = held;
  p.dropped = ended_by_us() - served.ended_before;
  p.gaps = {{p.gap_ms, held}};
  options_.passages->tell(std::move(p));
}

// Connections whose devices did nothing to end them.
std::uint64_t Attachments::ended_by_us() const {
  return probe_.closed_engine_absent + probe_.closed_session_lost + probe_.closed_poison;
}

void Attachments::replay(Connection& c) {
  const base::ConnId conn = c.id();
  if (c.timed) output_.tell_fates(c);
  if (!c.in.empty()) engines_.of(c).input(conn, c.in_ack, c.in_ack, base::as_bytes(c.in));
  if (c.state == Connection::State::ended) engines_.of(c).closed(conn, c.reason);
}

}  // namespace berth::gateway::edge
