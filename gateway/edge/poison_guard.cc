#include "gateway/edge/poison_guard.h"

#include <openssl/rand.h>

#include "base/give_back.h"
#include "gateway/edge/edge_events.h"

namespace berth::gateway::edge {

using protocol::link::CloseReason;

namespace {

std::uint64_t random_number() {
  std::uint64_t n = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&n), sizeof n);
  return n;
}

}  // namespace

void PoisonGuard::strike(Connection& c, bool at_once) {
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
void PoisonGuard::shut_out(Connection& c) {
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
void PoisonGuard::shut_out(const Quarantine::Id& id, Quarantine::Kind kind) {
  slab_.for_each([&](Connection& c) {
    if (c.state != Connection::State::open) return;
    const bool newcomer = kind == Quarantine::Kind::before_login;
    if (newcomer ? !c.connected && newcomer_id(c.peer) == id : c.principal == id) shut_out(c);
  });
}

// Before the next engine gets what no engine has acknowledged: another shard's connection may have
// been the second death, and its word may still be under way.
void PoisonGuard::shut_out_quarantined() {
  if (quarantine_ == nullptr || !quarantine_->any()) return;
  slab_.for_each([&](Connection& c) {
    const bool known = c.principal.is_set();
    if (c.state != Connection::State::open || (!known && (c.connected || c.in_off == 0))) return;
    if (quarantine_->holds(known ? c.principal : newcomer_id(c.peer), now_s_)) shut_out(c);
  });
}

// False: its address has killed engines before it had logged in.
bool PoisonGuard::may_speak(Connection& c, base::ByteView first) {
  if (quarantine_ == nullptr || !quarantine_->any()) return true;
  if (!quarantine_->holds(newcomer_id(c.peer), now_s_)) return true;
  ++probe_.accept_quarantined;
  events::kept_out(c);
  endings_.dismiss(c, followers_.banned(c, first), CloseReason::poison);
  return false;
}

void PoisonGuard::tell_quarantine() {
  for (Served& s : engines_) {
    if (s.engine != nullptr && s.engine->serving()) {
      s.engine->kept_out(quarantine_->list(now_s_));
      s.engine->turn_end();
    }
  }
}

}  // namespace berth::gateway::edge
