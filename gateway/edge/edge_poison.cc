// Connections that kill engines (I12): strikes against whoever they belong to, and the replay of
// suspects one at a time when engines have died without evidence.
#include <openssl/rand.h>

#include <algorithm>

#include "base/clock.h"
#include "base/give_back.h"
#include "gateway/edge/edge_events.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/edge/ends.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

namespace {

constexpr std::chrono::milliseconds kProbationLook{5};

std::uint64_t random_number() {
  std::uint64_t n = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&n), sizeof n);
  return n;
}

std::int64_t now_ms() {
  return base::monotonic_ns() / 1'000'000;
}

}  // namespace

// An engine has died while it worked for this connection.
void EdgeShard::suspect(base::ConnId conn) {
  if (Connection* c = slab_.find(conn)) strike(*c, false);
}

void EdgeShard::strike(Connection& c, bool at_once) {
  Quarantine::Strike s{.number = random_number(),
                       .id = c.principal.is_set() ? c.principal : newcomer_id(c.peer),
                       .tenant = c.tenant,
                       .kind = !c.principal.is_set() ? Quarantine::Kind::before_login
                               : c.anonymous         ? Quarantine::Kind::anonymous
                                                     : Quarantine::Kind::principal,
                       .at_once = at_once,
                       .peer = c.peer.text(),
                       .name = {}};
  if (quarantine_ != nullptr && c.cookie != nullptr)
    s.name = quarantine_->name_of(
        (*c.cookie)[static_cast<std::size_t>(protocol::link::CookieSlot::identity)]);
  events::engine_died_of(c, s);
  ++c.deaths;
  bool out = c.deaths >= Quarantine::kDeaths || at_once;
  if (quarantine_ != nullptr) out = quarantine_->strike(s, c.in, now_s_) || out;
  if (on_strike_) on_strike_(s);
  if (out && c.state != Connection::State::free) shut_out(c);
}

// The connection ends, and what of it no engine has taken is never given to one again. The next
// engine hears of its end; if engines die of that too, no engine does.
void EdgeShard::shut_out(Connection& c) {
  ++probe_.poisoned;
  input_.uncount_input(c, c.in.size());
  c.in_ack = c.in_off;
  base::give_back(c.in);
  if (c.state == Connection::State::ended) {  // its end, or its cookie, is what engines die of
    c.deaths = Quarantine::kDeaths;           // engine_gone() finishes it
    if (!c.attached) endings_.finish(c);
    return;
  }
  c.deaths = 0;  // of its end none has died
  endings_.dismiss(c, followers_.banned(c, {}), CloseReason::poison);
}

// Of a principal that is in quarantine all connections end, also of an address of anonymous
// clients: a connection that it holds open would kill one engine more. Of clients that have not
// logged in, those of the address.
void EdgeShard::shut_out(const Quarantine::Id& id, Quarantine::Kind kind) {
  slab_.for_each([&](Connection& c) {
    if (c.state != Connection::State::open) return;
    const bool newcomer = kind == Quarantine::Kind::before_login;
    if (newcomer ? !c.connected && newcomer_id(c.peer) == id : c.principal == id) shut_out(c);
  });
}

// Before the next engine gets what no engine has acknowledged: another shard's connection may have
// been the second death, and its word may still be under way.
void EdgeShard::shut_out_quarantined() {
  if (quarantine_ == nullptr || !quarantine_->any()) return;
  slab_.for_each([&](Connection& c) {
    const bool known = c.principal.is_set();
    if (c.state != Connection::State::open || (!known && (c.connected || c.in_off == 0))) return;
    if (quarantine_->holds(known ? c.principal : newcomer_id(c.peer), now_s_)) shut_out(c);
  });
}

// False: its address has killed engines before it had logged in.
bool EdgeShard::may_speak(Connection& c, base::ByteView first) {
  if (quarantine_ == nullptr || !quarantine_->any()) return true;
  if (!quarantine_->holds(newcomer_id(c.peer), now_s_)) return true;
  ++probe_.accept_quarantined;
  events::kept_out(c);
  endings_.dismiss(c, followers_.banned(c, first), CloseReason::poison);
  return false;
}

void EdgeShard::tell_quarantine() {
  for (Served& s : engines_) {
    if (s.engine != nullptr && s.engine->serving()) {
      s.engine->kept_out(quarantine_->list(now_s_));
      s.engine->turn_end();
    }
  }
}

// -- probation

void EdgeShard::judge(Served& served, EngineEnd how) {
  const auto culprit = served.probation.died(how, served.word.read(), now_ms());
  Connection* c = culprit ? slab_.find(*culprit) : nullptr;
  if (c == nullptr) return;
  strike(*c, true);
}

// Something that an engine would do again: whole packets, or an end.
std::size_t EdgeShard::unacknowledged(const Connection& c) {
  if (c.state == Connection::State::ended) return c.in.size() + 1;
  return has_whole_packet(c) ? c.in.size() : 0;
}

// Those that are not to be given to the engine yet are held. Returns whom it gets now.
std::vector<base::ConnId> EdgeShard::begin_probation(std::uint32_t partition,
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

void EdgeShard::look_at_probation() {
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

void EdgeShard::go_on_with_probation(Served& served) {
  for (const base::ConnId conn : served.probation.next(served.word.read(), now_ms())) {
    Connection* c = slab_.find(conn);
    if (c == nullptr || !c->held) continue;
    c->held = false;
    if (c->attached) replay(*c);
  }
  served.engine->turn_end();
}

}  // namespace berth::gateway::edge
