// The subscriptions of sessions: the only writer of those in the router, of
// Session::subscriptions and of what other partitions hear of them; and what of a session's filters
// stands in its record or its cookie. One shard, one thread.
#pragma once

#include <string>
#include <string_view>

#include "session/context.h"
#include "session/cookie_writer.h"
#include "session/order_clock.h"
#include "session/route_book.h"
#include "session/router.h"
#include "session/session_records.h"
#include "session/session_table.h"
#include "session/topic_gate.h"

namespace berth::session {

class SubscriptionBook final : private Room {
 public:
  SubscriptionBook(Context& cx, Router& router, OrderClock& order_clock, SessionTable& sessions,
                   TopicGate& gate, RouteBook& route_book, SessionRecords& records,
                   CookieWriter& cookies)
      : Room(cx),
        router_(router),
        order_clock_(order_clock),
        sessions_(sessions),
        gate_(gate),
        route_book_(route_book),
        records_(records),
        cookies_(cookies) {}

  // True: it is new. `raw`: as it is kept, "$share/group/" included.
  bool add(Session& s, std::string_view raw, SubOptions options, std::uint32_t id);
  // False: there was none.
  bool remove(Session& s, std::string_view raw);
  void drop_all(Session& s);
  // Removes what the Scope does not allow (any more). True: there was something.
  bool revoke_by_scope(Session& s, const Scope& scope);
  // The same of a session without a Scope, by the rules of files. An anonymous one that is offline
  // is looked at when it is resumed: its rules may be of a name that its next CONNECT claims.
  bool revoke_by_rules(Session& s);
  // A session that is resumed, by its device or by a new engine. True: something was removed.
  bool review_resumed(Channel& ch);
  // Are its subscriptions in its record? Of expiry 0 only where an edge would keep too much of
  // them.
  bool keeps_filters(Session& s);
  // Will its record have its subscriptions after a SUBSCRIBE or UNSUBSCRIBE of so many bytes?
  bool records_filters(const Channel& ch, std::size_t bytes) const;
  // Of an expiry-0 session: its cookie is to have them.
  void changed(Channel& ch);
  // The record is durable: the cookie says so instead of naming the filters. `ch` null: nothing to
  // do.
  void filters_committed(Channel* ch);

 private:
  // With the retained messages that were still to come for it.
  void forget(Session& s, const std::string& raw);
  // What is in the queue may have come by rights that are gone: each message is looked at before it
  // is sent.
  static void guard_queue(Session& s);

  Router& router_;
  OrderClock& order_clock_;
  SessionTable& sessions_;
  TopicGate& gate_;
  RouteBook& route_book_;
  SessionRecords& records_;
  CookieWriter& cookies_;
};

}  // namespace berth::session
