// SUBSCRIBE, UNSUBSCRIBE and the retained messages a subscription brings (MQTT 5.0 3.8-3.11, 4.8).
#include <algorithm>

#include "protocol/mqtt/topic.h"
#include "session/broker.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {
constexpr int kRetainedPerTurn = 256;          // messages a subscription may send in one turn
constexpr std::uint64_t kRetainedAhead = 512;  // stored deliveries waiting before the cursor pauses
}  // namespace

bool Broker::on_subscribe(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  mqtt::SubscribeView v;
  const Reason e = mqtt::decode_subscribe(f, ch.version, v);
  if (e != Reason::success) {
    fail(ch, e, CloseReason::protocol_error);
    return true;
  }
  if (ch.session->peer != 0) {
    on_peer_subscribe(ch, v);
    return true;
  }
  const std::string* replayed = applied_outcome(ch);
  std::vector<Reason> reasons;
  std::string outcome;
  auto items = std::make_shared<std::deque<RetainedItem>>();
  for (const mqtt::SubscriptionView& sub : v.subscriptions) {
    bool fresh = false;
    std::string raw;
    const Reason r = subscribe_one(ch, sub, v.subscription_id, raw, fresh);
    if (ch.state == Channel::State::closing) return true;
    if (replayed != nullptr && reasons.size() < replayed->size()) {
      fresh = (*replayed)[reasons.size()] == '1';
    }
    outcome.push_back(fresh ? '1' : '0');
    reasons.push_back(r);
    const SubOptions o{sub.options};
    const bool wants = o.retain_handling() == 0 || (o.retain_handling() == 1 && fresh);
    if (static_cast<std::uint8_t>(r) >= 0x80 || !wants || mqtt::parse_filter(sub.filter).shared)
      continue;
    items->push_back({std::move(raw), o, v.subscription_id, {}});
  }
  const auto answer = [this, reasons, items, id = v.packet_id](Channel& c, base::Instant t) {
    head_.clear();
    mqtt::encode_suback(head_, c.version, id, reasons);
    effects_.send(c.conn, head_, {});
    if (items->empty()) return;
    if (!c.retained) c.retained = std::make_unique<std::deque<RetainedItem>>();
    for (RetainedItem& item : *items) c.retained->push_back(std::move(item));
    continue_retained(c, t);
  };
  const auto answer_later = [this, answer, conn = ch.conn](base::Instant t) {
    Channel* c = find(conn);
    if (c != nullptr && c->live()) answer(*c, t);
  };
  if (!ch.session->persistent()) {
    dirty(ch, CookieSlot::volatile_state);
    if (routes_known()) {
      answer(ch, now);
    } else {
      await_routes(ch, answer_later, false, now);
    }
    return true;
  }
  put_record(*ch.session);
  if (replayed == nullptr) {
    record_applied(ch, outcome);
    for (const RetainedItem& item : *items) queue_retained(*ch.session, item, now);
  }
  stall(ch);
  defer_call(ch, [this, answer_later, conn = ch.conn](base::Instant t) {
    Channel* c = find(conn);
    if (routes_known() || c == nullptr || !c->live()) return answer_later(t);
    await_routes(*c, answer_later, true, t);
  });
  return true;
}

Reason Broker::subscribe_one(Channel& ch, const mqtt::SubscriptionView& v, std::uint32_t id,
                             std::string& raw, bool& fresh) {
  SubOptions o{v.options};
  if (mqtt::parse_filter(v.filter).shared && o.no_local()) {
    fail(ch, Reason::protocol_error, CloseReason::protocol_error);  // 3.8.3-4
    return Reason::protocol_error;
  }
  const Reason entered = enter_filter(ch, v.filter, raw);
  if (entered == Reason::not_authorized) ++probe_.authz_denied;
  if (entered != Reason::success) return entered;
  if (ch.session->subscriptions.size() >= options_.subscriptions_max) return Reason::quota_exceeded;
  fresh = add_subscription(*ch.session, raw, o, id);
  return static_cast<Reason>(o.qos());
}

bool Broker::add_subscription(Session& s, std::string_view raw, SubOptions options,
                              std::uint32_t id) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  const FilterId filter = router_.intern(p.filter);
  const bool fresh = router_.add(filter, &s, p.group, options, id);
  if (fresh) s.changed = ++moments_;
  if (fresh) {
    if (partitioned()) count_route(raw, 1);
    ++subscriptions_;
    auto shared = p.shared ? std::make_unique<std::string>(p.group) : nullptr;
    s.subscriptions.push_back({filter, options, id, std::move(shared)});
    return true;
  }
  for (Subscription& sub : s.subscriptions) {
    if (sub.filter != filter || sub.group() != p.group) continue;
    sub.options = options;
    sub.id = id;
  }
  return false;
}

bool Broker::remove_subscription(Session& s, std::string_view raw) {
  const mqtt::ParsedFilter p = mqtt::parse_filter(raw);
  if (!p.valid) return false;
  const FilterId filter = router_.intern(p.filter);
  const bool removed = router_.remove(filter, &s, p.group);  // prunes what intern() made
  if (!removed) return false;
  if (partitioned()) count_route(raw, -1);
  --subscriptions_;
  const auto gone = std::find_if(
      s.subscriptions.begin(), s.subscriptions.end(),
      [&](const Subscription& sub) { return sub.filter == filter && sub.group() == p.group; });
  s.subscriptions.erase(gone);
  return true;
}

void Broker::drop_subscriptions(Session& s) {
  for (const Subscription& sub : s.subscriptions) {
    if (partitioned()) count_route(raw_filter(sub), -1);
    router_.remove(sub.filter, &s, sub.group());
    --subscriptions_;
  }
  Subscriptions().swap(s.subscriptions);
}

bool Broker::on_unsubscribe(Channel& ch, const mqtt::Frame& f, base::Instant) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  mqtt::UnsubscribeView v;
  const Reason e = mqtt::decode_unsubscribe(f, ch.version, v);
  if (e != Reason::success) {
    fail(ch, e, CloseReason::protocol_error);
    return true;
  }
  if (ch.session->peer != 0) {
    on_peer_unsubscribe(ch, v);
    return true;
  }
  const std::string* replayed = applied_outcome(ch);
  std::vector<Reason> reasons;
  std::string outcome;
  for (const std::string_view filter : v.filters) {
    std::string raw;
    bool removed = enter_filter(ch, filter, raw) != Reason::topic_filter_invalid &&
                   remove_subscription(*ch.session, raw);
    if (replayed != nullptr && reasons.size() < replayed->size()) {
      removed = (*replayed)[reasons.size()] == '1';
    }
    outcome.push_back(removed ? '1' : '0');
    const bool valid = mqtt::parse_filter(filter).valid;
    reasons.push_back(!valid    ? Reason::topic_filter_invalid
                      : removed ? Reason::success
                                : Reason::no_subscription_existed);
  }
  const auto answer = [this, reasons, id = v.packet_id](Channel& c) {
    head_.clear();
    mqtt::encode_unsuback(head_, c.version, id, reasons);
    effects_.send(c.conn, head_, {});
  };
  if (!ch.session->persistent()) {
    dirty(ch, CookieSlot::volatile_state);
    answer(ch);
    return true;
  }
  put_record(*ch.session);
  if (replayed == nullptr) record_applied(ch, outcome);
  stall(ch);
  defer_call(ch, [this, answer, conn = ch.conn](base::Instant) {
    Channel* c = find(conn);
    if (c != nullptr && c->live()) answer(*c);
  });
  return true;
}

// -- retained messages of new subscriptions

// For a session with a queue: those with QoS > 0 enter it in the SUBSCRIBE's own batch, so that a
// replay finds them there. As many as the queue takes.
void Broker::queue_retained(Session& s, const RetainedItem& item, base::Instant now) {
  const std::vector<std::uint32_t> ids(item.id != 0 ? 1 : 0, item.id);
  std::string after;
  while (const MessagePtr* next = retained_.next(item.filter, after)) {
    Delivery d{.message = (*next)->view(), .owned = *next, .publisher = {}};
    after = d.message.topic;
    const std::uint8_t qos = std::min(d.message.qos, item.options.qos());
    if (qos == 0 || d.message.expires_at <= now) continue;
    if (s.flow().queued >= options_.queue_messages_max ||
        s.flow().queued_bytes >= options_.queue_bytes_max) {
      ++probe_.drop_queue_full;
      return;
    }
    append_stored(s, d, qos, true, ids);
  }
}

// The others by a cursor for each subscription, a bounded number in a turn.

void Broker::continue_retained(Channel& ch, base::Instant now) {
  const auto pending = std::move(ch.retained);  // delivery may come back here
  if (!pending) return;
  int budget = kRetainedPerTurn;
  bool paused = false;
  while (!pending->empty() && !paused && ch.live()) {
    RetainedItem& item = pending->front();
    const MessagePtr* next = retained_.next(item.filter, item.after);
    if (next == nullptr) {
      pending->pop_front();
      continue;
    }
    if (budget-- == 0) {
      effects_.resume(ch.conn);  // goes on in the next turn
      paused = true;
    } else {
      paused = !send_retained(ch, item, now);
    }
  }
  if (!pending->empty()) {
    ch.retained = std::make_unique<std::deque<RetainedItem>>(std::move(*pending));
  }
  dirty(ch, CookieSlot::retained_cursor);
}

// False: the device must take something first.
bool Broker::send_retained(Channel& ch, RetainedItem& item, base::Instant now) {
  const MessagePtr message = *retained_.next(item.filter, item.after);
  Session& s = *ch.session;
  Delivery d{.message = message->view(), .owned = message, .publisher = {}};
  const std::uint8_t qos = std::min(d.message.qos, item.options.qos());
  if (!effects_.writable(ch.conn)) {
    ch.waiting_room = true;
    return false;
  }
  if (qos != 0 && !s.persistent() && s.flow().last_seq - s.flow().sent_seq >= kRetainedAhead)
    return false;  // pump goes on
  std::string topic(d.message.topic);
  if (d.message.expires_at > now) {
    const std::vector<std::uint32_t> ids(item.id != 0 ? 1 : 0, item.id);
    head_cache_.key = -1;
    if (qos == 0) {
      send_message(ch, d.message, 0, true, false, 0, &ids, now);
    } else if (!s.persistent()) {  // else: queue_retained
      deliver_volatile(s, d, SubOptions{qos}, true, ids, now);
    }
  }
  item.after = std::move(topic);
  return true;
}

}  // namespace berth::session
