// Rights that have changed since a client logged in: the registry, rules of access, users,
// credentials. Connections, sessions and subscriptions that are not allowed any more end at once,
// when a session is resumed, and when a new engine begins. The caller bounds a review: it gives a
// few sessions at a time, 2 us each. One shard, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include "session/clients.h"
#include "session/connection_table.h"
#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/principals.h"
#include "session/session_life.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/subscription_book.h"
#include "session/tenant_usage.h"

namespace berth::session {

class Rights final : private Room {
 public:
  Rights(Context& cx, ConnectionTable& connections, TenantUsage& usage, SessionTable& sessions,
         Clients& clients, SessionRecords& records, CookieWriter& cookies,
         SubscriptionBook& subscriptions, SessionLife& life)
      : Room(cx),
        connections_(connections),
        usage_(usage),
        sessions_(sessions),
        clients_(clients),
        records_(records),
        cookies_(cookies),
        subscriptions_(subscriptions),
        life_(life) {}

  using Ids = std::vector<base::SessionId>;

  // An operator's wish. False: there is no such session, or it has no connection.
  bool disconnect(base::SessionId id);
  // The session ends, with its connection and its queue. False: there is none.
  bool remove(base::SessionId id, base::Instant now);

  // The sessions that a change of the registry may concern, for review_scopes(). `removed`: the
  // sessions of removed principals, for remove_sessions(), even if the name is registered anew.
  Ids concerned(const Concerned& who, Ids& removed);
  // Closes connections without a Scope or with a credential that is not good any more. Ends
  // sessions of devices that were removed or moved to another site.
  void review_scopes(const Principals& registry, const Ids& sessions, base::Instant now);
  void remove_sessions(const Ids& sessions, base::Instant now);
  // The sessions that rules and users of files concern, for review_access().
  std::vector<base::SessionId> under_access() const;
  // `is_user`: this user may still log in as it did; empty: every user may.
  void review_access(const Ids& sessions, const std::function<bool(std::string_view)>& is_user);
  // False: the credential it came in with is not good any more.
  bool credential_good(Channel& ch, base::Instant now);
  // Once a second: connections whose credential has expired end.
  void end_credentials(base::Instant now);

 private:
  // Another one of the same device or account.
  void use_scope(Channel& ch, ScopePtr scope);

  ConnectionTable& connections_;
  TenantUsage& usage_;
  SessionTable& sessions_;
  Clients& clients_;
  SessionRecords& records_;
  CookieWriter& cookies_;
  SubscriptionBook& subscriptions_;
  SessionLife& life_;
  // When credentials of connections end, conn.
  std::priority_queue<std::pair<std::int64_t, std::uint64_t>,
                      std::vector<std::pair<std::int64_t, std::uint64_t>>, std::greater<>>
      credentials_due_;
};

}  // namespace berth::session
