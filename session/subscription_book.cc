#include "session/subscription_book.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "protocol/mqtt/topic.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using protocol::link::CookieSlot;

namespace {

constexpr std::uint32_t kCookieFilterBytes = 4096;  // more of them are in the store
constexpr std::uint32_t kLevelBytesAStep = 4;       // of filters: a level is two bytes at least

}  // namespace

bool SubscriptionBook::add(Session& s, std::string_view raw, SubOptions options, std::uint32_t id) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  const FilterId filter = router_.intern(p.filter);
  const bool fresh = router_.add(filter, &s, p.group, options, id);
  budget_.take_group(router_.looked());
  if (fresh) s.changed = order_clock_.next();
  if (fresh) {
    if (partitioned()) route_book_.count(raw, 1);
    sessions_.count_subscriptions(1);
    auto shared = p.shared ? std::make_unique<std::string>(p.group) : nullptr;
    s.shared = s.shared || p.shared;
    s.subscriptions.push_back({filter, options, id, std::move(shared)});
    s.held.keep(cost_of_filter(raw));
    return true;
  }
  for (Subscription& sub : s.subscriptions) {
    if (sub.filter != filter || sub.group() != p.group) continue;
    sub.options = options;
    sub.id = id;
  }
  return false;
}

bool SubscriptionBook::remove(Session& s, std::string_view raw) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  if (!p.valid) return false;
  const FilterId filter = router_.intern(p.filter);
  const bool removed = router_.remove(filter, &s, p.group);  // prunes what intern() made
  budget_.take_group(router_.looked());
  if (!removed) return false;
  if (partitioned()) route_book_.count(raw, -1);
  sessions_.count_subscriptions(-1);
  s.held.give_back(cost_of_filter(raw));
  const auto gone = std::find_if(
      s.subscriptions.begin(), s.subscriptions.end(),
      [&](const Subscription& sub) { return sub.filter == filter && sub.group() == p.group; });
  s.subscriptions.erase(gone);
  return true;
}

void SubscriptionBook::drop_all(Session& s) {
  budget_.take(static_cast<std::int64_t>(s.subscriptions.size()) * TurnBudget::kFilter / 2);
  budget_.take(s.held.bytes() / kLevelBytesAStep);
  for (const Subscription& sub : s.subscriptions) {
    if (partitioned()) route_book_.count(records_.raw_filter(sub), -1);
    router_.remove(sub.filter, &s, sub.group());
    budget_.take_group(router_.looked());
    sessions_.count_subscriptions(-1);
  }
  Subscriptions().swap(s.subscriptions);
  s.held.give_back_all();
}

// With the retained messages that were still to come for it.
void SubscriptionBook::forget(Session& s, const std::string& raw) {
  remove(s, raw);
  if (s.channel == nullptr || !s.channel->retained) return;
  std::erase_if(*s.channel->retained, [&](const RetainedItem& i) { return i.filter == raw; });
}

// What it may not hear any more it has not subscribed to. True: there was something.
bool SubscriptionBook::revoke_by_scope(Session& s, const Scope& scope) {
  std::vector<std::string> lost;
  std::string scratch;
  std::string inside;
  for (const Subscription& sub : s.subscriptions) {
    const std::string kept = router_.filter(sub.filter);
    if (!scope.enter_filter(scope.leave(kept, scratch), inside) || inside != kept ||
        (sub.shared && !TopicGate::may_share(scope)))
      lost.push_back(records_.raw_filter(sub));
  }
  for (const std::string& raw : lost) forget(s, raw);
  if (!lost.empty()) guard_queue(s);
  return !lost.empty();
}

// Of a session without a Scope: what it may not subscribe to any more it has not subscribed to.
// True: there was something. An anonymous one that is offline is looked at when it is resumed: its
// rules may be of a name that its next CONNECT claims.
bool SubscriptionBook::revoke_by_rules(Session& s) {
  const std::string_view user = proven_user_of(principal_of(s.client_id));
  Channel* ch = s.channel;
  if (gate_.access() == nullptr || (ch == nullptr && user.empty())) return false;
  const Identity who =
      ch != nullptr ? gate_.identity_of(*ch) : Identity{user, client_id_of(s.client_id)};
  std::vector<std::string> lost;
  for (const Subscription& sub : s.subscriptions) {
    if (!gate_.access()->may_subscribe(who, router_.filter(sub.filter)))
      lost.push_back(records_.raw_filter(sub));
  }
  for (const std::string& raw : lost) {
    events::rights_lost(s, raw);
    forget(s, raw);
  }
  if (!lost.empty()) guard_queue(s);
  probe_.rights_dropped += lost.size();
  return !lost.empty();
}

// A session that is resumed, by its device or by a new engine.
bool SubscriptionBook::review_resumed(Channel& ch) {
  Session& s = *ch.session;
  if (s.peer != 0) return false;
  if (ch.scope || gate_.access() != nullptr) guard_queue(s);
  return ch.scope ? revoke_by_scope(s, *ch.scope) : revoke_by_rules(s);
}

// What is in the queue may have come by rights that are gone: each message is looked at before it
// is sent.
void SubscriptionBook::guard_queue(Session& s) {
  if (s.flow_) s.flow_->check_through = s.flow_->last_seq;
}

// Are its subscriptions in its record? Of expiry 0 only where an edge would keep too much of them.
bool SubscriptionBook::keeps_filters(Session& s) {
  if (s.persistent()) return true;
  if (options_.replay && s.held.bytes() > kCookieFilterBytes) s.keeps_filters = true;
  return s.keeps_filters;
}

// Will its record have its subscriptions after a SUBSCRIBE or UNSUBSCRIBE of so many bytes?
bool SubscriptionBook::records_filters(const Channel& ch, std::size_t bytes) const {
  const Session& s = *ch.session;
  if (s.peer != 0) return false;
  return s.persistent() || s.keeps_filters ||
         (options_.replay && s.held.bytes() + bytes > kCookieFilterBytes);
}

void SubscriptionBook::changed(Channel& ch) {
  const bool apart = effects_.keeps(ch.conn, CookieSlot::subscriptions);
  cookies_.changed(ch, apart ? CookieSlot::subscriptions : CookieSlot::volatile_state);
}

// The record is durable: the cookie says so instead of naming the filters.
void SubscriptionBook::filters_committed(Channel* ch) {
  if (ch == nullptr || ch->session == nullptr || !ch->session->keeps_filters) return;
  if (!std::exchange(ch->session->filters_stored, true)) changed(*ch);
}

}  // namespace berth::session
