#include "session/session_table.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "session/peer_tag.h"
#include "session/principal_key.h"

namespace berth::session {

SessionTable::SessionTable(Context& cx, TenantUsage& usage, Holdings& holdings)
    : Room(cx), usage_(usage), holdings_(holdings) {}

SessionTable::~SessionTable() {
  for (Session* s : by_id_) {
    leave_principal(*s);
    delete s;
  }
}

void SessionTable::expect(std::size_t count) {
  by_id_.reserve(count);
  by_client_.reserve(count);
}

void SessionTable::rekey(Session& s, std::string key) {
  by_client_.erase(&s);
  s.client_id = std::move(key);
  by_client_.insert(&s);
}

Session& SessionTable::make(std::string_view client_id, base::SessionId id) {
  auto owned = std::make_unique<Session>();
  Session& s = *owned;
  s.id = id;
  s.client_id = client_id;
  s.peer = partitioned() ? peer_of_client(client_id) : 0;
  if (client_id.starts_with("$uplink/")) {
    s.uplink = Session::kUnplanned;
    uplinks_.push_back(&s);
  }
  const bool fresh = by_id_.insert(owned.release()).second;
  BERTH_ASSERT(fresh);
  by_client_.insert(&s);
  next_session_ = std::max(next_session_, id.value + 1);
  return s;
}

void SessionTable::erase(Session& s) {
  BERTH_ASSERT(s.channel == nullptr && s.subscriptions.empty());
  for (SessionEvents* o : observers_) o->ended(s);
  queued_now_ -= std::min<std::uint64_t>(queued_now_, s.flow().queued);
  leave_account(s);
  leave_principal(s);
  queued_bytes_now_ -= std::min(queued_bytes_now_, s.flow().queued_bytes);
  by_client_.erase(&s);
  by_id_.erase(&s);
  if (s.uplink != 0) std::erase(uplinks_, &s);
  delete &s;
}

void SessionTable::rename(Session& s, const std::string& key) {
  rekey(s, key);
  hold_again(s, principal_of(key));
}

// A session of the last release, whose key had no user name, is for the first user whose identity
// is proven and who has its client id. What is in its queue is checked before it is sent.
void SessionTable::adopt_unowned(std::string_view client_id, const std::string& key) {
  Session* s = by_client(std::string(kUnownedKey).append(client_id));
  if (s != nullptr && by_client(key) == nullptr) rename(*s, key);
}

void SessionTable::hold(Session& s, std::string_view principal) {
  if (s.internal()) return;
  leave_principal(s);
  s.held = Holding(holdings_, principal);
  Holder& all = *s.held.holder();
  s.own_older = all.newest();
  if (s.own_older != nullptr) s.own_older->own_newer = &s;
  all.use_newest(&s);
  s.counted = true;
  all.count(0, 1);
}

void SessionTable::leave_principal(Session& s) {
  if (s.held.holder() == nullptr) return;
  count_no_more(s);
  if (s.own_older != nullptr) s.own_older->own_newer = s.own_newer;
  if (s.own_newer != nullptr) {
    s.own_newer->own_older = s.own_older;
  } else {
    s.held.holder()->use_newest(s.own_older);
  }
  s.own_older = s.own_newer = nullptr;
  s.held = Holding();
}

void SessionTable::count_no_more(Session& s) {
  s.held.give_back_all();
  if (std::exchange(s.counted, false)) s.held.holder()->count(0, -1);
}

// Of a session that was stored.
void SessionTable::hold_will(Will& w, const Session& s) {
  if (s.held.holder() == nullptr) return;
  w.held = Holding(holdings_, std::string(s.held.holder()->principal()));
  w.held.keep(cost_of(w));
}

// The session has another owner.
void SessionTable::hold_again(Session& s, std::string_view principal) {
  const Cost filters = s.held.cost();
  hold(s, principal);
  s.held.keep(filters);
  if (s.will) hold_will(*s.will, s);
}

void SessionTable::join_account(Session& s, std::string_view site) {
  const std::string_view key = principal_of(s.client_id);
  if (!is_registered(key) || (s.account != nullptr && s.account->site() == site)) return;
  leave_account(s);
  s.account = &usage_.accounts().of(tenant_of(key), site);
  s.account->count(&Usage::sessions, 1);
  s.account->count(&Usage::queue_bytes, static_cast<std::int64_t>(s.flow().queued_bytes));
}

void SessionTable::leave_account(Session& s) {
  if (s.account == nullptr) return;
  s.account->count(&Usage::sessions, -1);
  s.account->count(&Usage::queue_bytes, -static_cast<std::int64_t>(s.flow().queued_bytes));
  s.account = nullptr;
}

void SessionTable::online(Session& s, Channel& ch) {
  BERTH_ASSERT(s.channel == nullptr && ch.session == nullptr);
  s.channel = &ch;
  s.limbo = false;
  ch.session = &s;
  if (ch.scope) join_account(s, ch.scope->site());
  count_online(s, 1);
  for (SessionEvents* o : observers_) o->online(s);
}

void SessionTable::offline(Session& s, Offline cause, protocol::link::CloseReason why) {
  BERTH_ASSERT(s.channel != nullptr && s.channel->session == &s);
  for (SessionEvents* o : observers_) o->connection_ends(s, cause, why);
  s.channel->session = nullptr;
  s.channel = nullptr;
  s.limbo = cause == Offline::edge_lost;
  count_online(s, -1);
  for (SessionEvents* o : observers_) o->offline(s, cause);
}

void SessionTable::count_online(Session& s, int change) {
  online_ = change > 0 ? online_ + 1 : online_ - 1;
  if (s.account != nullptr) s.account->count(&Usage::connections, change);
}

// Bytes that have come into a session's stored queue, or gone from it.
void SessionTable::count_queue(Session& s, std::int64_t bytes) {
  const std::int64_t all = static_cast<std::int64_t>(queued_bytes_now_) + bytes;
  queued_bytes_now_ = static_cast<std::uint64_t>(std::max<std::int64_t>(all, 0));
  if (s.account != nullptr) s.account->count(&Usage::queue_bytes, bytes);
}

}  // namespace berth::session
