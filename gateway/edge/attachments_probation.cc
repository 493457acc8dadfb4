// The replay of suspects one at a time when engines have died without evidence.
#include <chrono>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/edge/attachments.h"

namespace berth::gateway::edge {

namespace {

constexpr std::chrono::milliseconds kProbationLook{5};

std::int64_t now_ms() {
  return base::monotonic_ns() / 1'000'000;
}

}  // namespace

void Attachments::judge(Served& served, EngineEnd how) {
  const auto culprit = served.probation.died(how, served.word.read(), now_ms());
  Connection* c = culprit ? slab_.find(*culprit) : nullptr;
  if (c == nullptr) return;
  poison_.strike(*c, true);
}

// Something that an engine would do again: whole packets, or an end.
std::size_t Attachments::unacknowledged(const Connection& c) {
  if (c.state == Connection::State::ended) return c.in.size() + 1;
  return c.has_whole_packet() ? c.in.size() : 0;
}

// Those that are not to be given to the engine yet are held. Returns whom it gets now.
std::vector<base::ConnId> Attachments::begin_probation(std::uint32_t partition,
                                                       const std::vector<base::ConnId>& all) {
  Served& served = engines_[partition];
  std::vector<base::ConnId> now;
  std::vector<Probation::Suspect> suspects;
  for (const base::ConnId conn : all) {
    Connection& c = *slab_.find(conn);
    const bool slowed = quarantine_ != nullptr && c.tenant != 0 && !c.in.empty() &&
                        quarantine_->any() && quarantine_->slows(c.tenant, now_s_);
    const std::size_t bytes = served.probation.due() || slowed ? unacknowledged(c) : 0;
    if (bytes == 0) {
      now.push_back(conn);
    } else {
      c.held = true;
      const bool ended = c.state == Connection::State::ended;
      suspects.push_back({conn, bytes, ended ? UINT64_MAX : c.in_off});
    }
  }
  if (suspects.empty()) return now;
  ++probe_.probations;
  BERTH_LOG(warn, "engines died without evidence: replayed one at a time suspects={}",
            suspects.size());
  for (const base::ConnId conn : served.probation.begin(std::move(suspects), now_ms())) {
    if (Connection* c = slab_.find(conn)) c->held = false;
    now.push_back(conn);
  }
  look_at_probation();
  return now;
}

void Attachments::look_at_probation() {
  probation_timer_.expires_after(kProbationLook);
  probation_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    bool running = false;
    for (Served& s : engines_) {
      go_on_with_probation(s);
      running = running || s.probation.running();
    }
    if (running) look_at_probation();
  });
}

void Attachments::go_on_with_probation(Served& served) {
  for (const base::ConnId conn : served.probation.next(served.word.read(), now_ms())) {
    Connection* c = slab_.find(conn);
    if (c == nullptr || !c->held) continue;
    c->held = false;
    if (c->attached) replay(*c);
  }
  served.engine->turn_end();
}

}  // namespace berth::gateway::edge
