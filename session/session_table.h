// All sessions, by number, by client (the key of principal_key.h with the client id) and by
// principal, with what they hold in memory and what they are counted for. Owns them. One shard, one
// thread.
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "session/context.h"
#include "session/core_types.h"
#include "session/holdings.h"
#include "session/session.h"
#include "session/session_events.h"
#include "session/tenant_usage.h"

namespace berth::session {

// -- sessions by number and by client id
struct IdHash {
  using is_transparent = void;
  std::size_t operator()(const Session* s) const { return (*this)(s->id.value); }
  std::size_t operator()(std::uint64_t id) const { return boost::hash<std::uint64_t>{}(id); }
};
struct IdEq {
  using is_transparent = void;
  bool operator()(const Session* a, const Session* b) const { return a->id.value == b->id.value; }
  bool operator()(std::uint64_t a, const Session* b) const { return a == b->id.value; }
  bool operator()(const Session* a, std::uint64_t b) const { return a->id.value == b; }
};
struct ClientHash {
  using is_transparent = void;
  std::size_t operator()(const Session* s) const { return (*this)(std::string_view(s->client_id)); }
  std::size_t operator()(std::string_view c) const { return std::hash<std::string_view>{}(c); }
};
struct ClientEq {
  using is_transparent = void;
  bool operator()(const Session* a, const Session* b) const { return a->client_id == b->client_id; }
  bool operator()(std::string_view a, const Session* b) const { return a == b->client_id; }
  bool operator()(const Session* a, std::string_view b) const { return a->client_id == b; }
};

class SessionTable final : private Room {
 public:
  SessionTable(Context& cx, TenantUsage& usage, Holdings& holdings);
  ~SessionTable();

  std::size_t size() const { return by_id_.size(); }
  // REQUIRES: no session begins or ends while the caller iterates.
  const auto& all() const { return by_id_; }
  Session& make_new(std::string_view client_id) { return make(client_id, {next_session_++}); }
  // No session that begins gets this number any more.
  void skip_id(base::SessionId id) { next_session_ = std::max(next_session_, id.value + 1); }
  void rekey(Session& s, std::string key);
  void expect(std::size_t count);
  Holdings& holdings() { return holdings_; }
  const Holdings& holdings() const { return holdings_; }

  // -- totals
  std::uint64_t online() const { return online_; }
  std::uint64_t queued() const { return queued_now_; }  // entries in stored queues
  std::uint64_t queued_bytes() const { return queued_bytes_now_; }
  std::uint64_t subscriptions() const { return subscriptions_; }
  // So many entries have come into stored queues, or gone from them.
  void count_entries(std::int64_t n) {
    const std::int64_t all = static_cast<std::int64_t>(queued_now_) + n;
    queued_now_ = static_cast<std::uint64_t>(std::max<std::int64_t>(all, 0));
  }
  void count_subscriptions(std::int64_t n) { subscriptions_ += static_cast<std::uint64_t>(n); }

  // Of uplinks (uplinks.h), planned or not.
  const std::vector<Session*>& uplinks() const { return uplinks_; }

  // Null: there is none.
  Session* by_id(base::SessionId id) const {
    const auto it = by_id_.find(id.value);
    return it == by_id_.end() ? nullptr : *it;
  }
  Session* by_client(std::string_view client_id) const {
    const auto it = by_client_.find(client_id);
    return it == by_client_.end() ? nullptr : *it;
  }
  // REQUIRES: no session has this number.
  Session& make(std::string_view client_id, base::SessionId id);
  // REQUIRES: offline, without subscriptions. Frees the session.
  void erase(Session& s);
  // With another client key: of the same client, now that its user is known.
  void rename(Session& s, const std::string& key);
  void adopt_unowned(std::string_view client_id, const std::string& key);
  // It belongs to `principal`: what it holds counts for it, and each_of() finds it there.
  void hold(Session& s, std::string_view principal);
  // It has ended, and only its messages are left (estates.h): it counts no more, but each_of()
  // finds it.
  void count_no_more(Session& s);
  void hold_will(Will& w, const Session& s);
  // From now on it counts for the account of `site`; unless its client is not registered.
  void join_account(Session& s, std::string_view site);
  // The only places where a session gets and loses its connection; observers hear of it.
  // REQUIRES: offline, and the channel has no session.
  void online(Session& s, Channel& ch);
  // REQUIRES: online. Afterwards neither knows the other.
  void offline(Session& s, Offline cause,
               protocol::link::CloseReason why = protocol::link::CloseReason::count);
  // An entry of its queue is finished, and is about to be forgotten.
  void finished(const Session& s, std::uint64_t seq, const OutEntry& entry, Finished how) {
    for (SessionEvents* o : observers_) o->finished(s, seq, entry, how);
  }
  void refused(const Channel& ch, protocol::mqtt::Reason reason) {
    for (SessionEvents* o : observers_) o->refused(ch, reason);
  }
  void limited(const Channel& ch, Quota q) {
    for (SessionEvents* o : observers_) o->limited(ch, q);
  }
  // From now on; `o` outlives the core.
  void watch(SessionEvents& o) { observers_.push_back(&o); }
  void count_queue(Session& s, std::int64_t bytes);
  // f(Session&) for the sessions of a principal, of ended ones what is left. Looks at no other
  // session: 16 bytes of each and 8 of its principal are the index. REQUIRES: no session begins or
  // ends meanwhile.
  template <class F>
  void each_of(std::string_view principal, F&& f) const {
    if (const Holder* h = holdings_.principal(principal)) each_of(*h, f);
  }
  // The same for all principals of a tenant; `tenant` empty: for those that are not registered.
  template <class F>
  void each_of_tenant(std::string_view tenant, F&& f) const {
    const Holder* t = holdings_.tenant(tenant);
    for (const Holder* h = t == nullptr ? nullptr : t->first(); h != nullptr; h = h->next())
      each_of(*h, f);
  }

 private:
  template <class F>
  static void each_of(const Holder& h, F&& f) {
    for (Session* s = h.newest(); s != nullptr; s = s->own_older) f(*s);
  }
  void leave_principal(Session& s);
  void hold_again(Session& s, std::string_view principal);
  void leave_account(Session& s);
  void count_online(Session& s, int change);

  TenantUsage& usage_;
  Holdings& holdings_;
  boost::unordered_flat_set<Session*, IdHash, IdEq> by_id_;  // owns them
  boost::unordered_flat_set<Session*, ClientHash, ClientEq> by_client_;
  std::vector<Session*> uplinks_;
  std::vector<SessionEvents*> observers_;
  std::uint64_t next_session_ = 1;
  std::uint64_t queued_now_ = 0;
  std::uint64_t queued_bytes_now_ = 0;
  std::uint64_t online_ = 0;
  std::uint64_t subscriptions_ = 0;
};

}  // namespace berth::session
