// SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 3.8-3.11).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "front/mqtt_front.h"
#include "protocol/mqtt/faults.h"
#include "protocol/mqtt/topic.h"
#include "session/events.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;
using protocol::link::CookieSlot;

namespace {

// Subscriptions of a connection whose retained messages are still under way, and their bytes: they
// stand in a cookie.
constexpr std::size_t kUnderWayMax = 1000;
constexpr std::size_t kUnderWayBytesMax = 256 * 1024;
constexpr std::size_t kGroupsMax = 1000;  // shared subscriptions of one filter: each gets a copy
constexpr std::size_t kNoLimit = SIZE_MAX;

// QoS 2 would hand a command over when its PUBREL comes, which may be on a later connection, after
// its deadline. So devices are granted QoS 1 at most (3.9.3).
SubOptions granted_to(const Channel& ch, std::uint8_t asked) {
  SubOptions o{asked};
  if (o.qos() == 2 && ch.scope && ch.scope->who().role == Role::device)
    o.raw = static_cast<std::uint8_t>((o.raw & ~3) | 1);
  return o;
}

}  // namespace

bool MqttFront::may_change_filters(Channel& ch, std::size_t bytes) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  return !subscriptions_.records_filters(ch, bytes) || login_.may_write_record(ch);
}

void MqttFront::fail_filters(Channel& ch, const mqtt::Frame& f, Reason reason) {
  const bool many = reason == Reason::quota_exceeded;
  clients_.fail(ch, reason, many ? CloseReason::policy : CloseReason::protocol_error,
                many ? "more than " + std::to_string(filters_max(ch)) + " filters in one packet"
                     : mqtt::text_of_fault(f, reason));
}

bool MqttFront::on_subscribe(Channel& ch, const mqtt::Frame& f, base::Instant now) {
  if (!may_change_filters(ch, f.body.size())) return false;
  mqtt::SubscribeView v;
  const Reason e = mqtt::decode_subscribe(f, ch.version, v, filters_max(ch));
  if (e != Reason::success) {
    fail_filters(ch, f, e);
    return true;
  }
  if (ch.session->peer != 0) {
    peer_front_.on_subscribe(ch, v);
    return true;
  }
  const std::string* known = replay_.outcome_of(ch);
  Subscribed done = subscribe_all(ch, v, known != nullptr ? *known : std::string());
  if (ch.state == Channel::State::closing) return true;
  const auto answer = [this, reasons = std::move(done.reasons), items = done.items,
                       id = v.packet_id](Channel& c, base::Instant t) {
    const bool said =
        say(c, {}, [&](std::string_view) { mqtt::encode_suback(head_, c.version, id, reasons); });
    if (!said || items->empty() || c.closed) return;
    if (!c.retained) c.retained = std::make_unique<std::deque<RetainedItem>>();
    for (RetainedItem& item : *items) c.retained->push_back(std::move(item));
    cookies_.changed(c, CookieSlot::retained_cursor);
    retained_delivery_.go_on(c, t);
  };
  const auto answer_later = [this, answer, conn = ch.conn](base::Instant t) {
    Channel* c = connections_.find(conn);
    if (c != nullptr && c->live()) answer(*c, t);
  };
  if (!subscriptions_.keeps_filters(*ch.session)) {
    subscriptions_.changed(ch);
    if (route_book_.known()) {
      answer(ch, now);
    } else {
      route_book_.await(ch, answer_later, false, now);
    }
    return true;
  }
  records_.put(*ch.session);
  RetainedFill fill;
  fill.conn = ch.conn;
  fill.in_off = ch.in_off;
  fill.session = ch.session->id;
  // Of expiry 0 they come by the cursor, whatever their QoS.
  fill.items = ch.session->persistent() ? done.items : std::make_shared<std::deque<RetainedItem>>();
  fill.answer = [this, answer_later, conn = ch.conn](base::Instant t) {
    Channel* c = connections_.find(conn);
    subscriptions_.filters_committed(c);
    if (route_book_.known() || c == nullptr || !c->live()) return answer_later(t);
    route_book_.await(*c, answer_later, true, t);
  };
  const bool replayed = known != nullptr;
  const std::size_t n = done.outcome.size();
  const std::string so_far = replayed && known->size() > n ? known->substr(n + 1) : "";
  fill.outcome = std::move(done.outcome);
  retained_delivery_.fill_queue(ch, std::move(fill), !replayed, so_far, now);
  return true;
}

bool MqttFront::on_unsubscribe(Channel& ch, const mqtt::Frame& f, base::Instant) {
  if (!may_change_filters(ch, 0)) return false;
  mqtt::UnsubscribeView v;
  const Reason e = mqtt::decode_unsubscribe(f, ch.version, v, filters_max(ch));
  if (e != Reason::success) {
    fail_filters(ch, f, e);
    return true;
  }
  if (ch.session->peer != 0) {
    peer_front_.on_unsubscribe(ch, v);
    return true;
  }
  const std::string* replayed = replay_.outcome_of(ch);
  std::vector<Reason> reasons;
  std::string outcome;
  for (const std::string_view filter : v.filters) {
    budget_.take(TurnBudget::kFilter);
    std::string raw;
    bool removed = gate_.enter_filter(ch, filter, raw) != Reason::topic_filter_invalid &&
                   subscriptions_.remove(*ch.session, raw);
    if (replayed != nullptr && reasons.size() < replayed->size()) {
      removed = (*replayed)[reasons.size()] == '1';
    }
    outcome.push_back(removed ? '1' : '0');
    if (removed) events::unsubscribed(ch, filter);
    const bool valid = mqtt::parse_filter(filter).valid;
    reasons.push_back(!valid    ? Reason::topic_filter_invalid
                      : removed ? Reason::success
                                : Reason::no_subscription_existed);
  }
  const auto answer = [this, reasons, id = v.packet_id](Channel& c) {
    say(c, {}, [&](std::string_view) { mqtt::encode_unsuback(head_, c.version, id, reasons); });
  };
  if (!subscriptions_.keeps_filters(*ch.session)) {
    subscriptions_.changed(ch);
    answer(ch);
    return true;
  }
  records_.put(*ch.session);
  if (replayed == nullptr) replay_.record(ch, outcome);
  stall(ch);
  commits_.defer_call(ch, [this, answer, conn = ch.conn](base::Instant) {
    Channel* c = connections_.find(conn);
    subscriptions_.filters_committed(c);
    if (c != nullptr && c->live()) answer(*c);
  });
  return true;
}

// One digit for each filter says what came of it: '1' new, '0' not, 'q' refused. `known`: those of
// a dead engine.
Subscribed MqttFront::subscribe_all(Channel& ch, const mqtt::SubscribeView& v,
                                    const std::string& known) {
  Subscribed out;
  out.items = std::make_shared<std::deque<RetainedItem>>();
  boost::unordered_flat_set<std::string> seen;
  std::size_t under_way = ch.retained ? ch.retained->size() : 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < under_way; ++i)
    bytes += (*ch.retained)[i].filter.size() + (*ch.retained)[i].after.size();
  for (std::size_t i = 0; i < v.subscriptions.size(); ++i) {
    const mqtt::SubscriptionView& sub = v.subscriptions[i];
    budget_.take(TurnBudget::kFilter);
    const SubOptions o = granted_to(ch, sub.options);
    const bool replayed = i < known.size();
    const bool room =
        o.retain_handling() == 2 || (under_way < kUnderWayMax && bytes < kUnderWayBytesMax);
    bool fresh = false;
    std::string raw;
    Reason r = Reason::quota_exceeded;
    if (replayed ? known[i] != 'q' : room)
      r = subscribe_one(ch, sub, v.subscription_id, raw, fresh);
    if (ch.state == Channel::State::closing) return out;
    if (replayed) fresh = known[i] == '1';
    out.outcome.push_back(r == Reason::quota_exceeded ? 'q' : fresh ? '1' : '0');
    out.reasons.push_back(r);
    const bool wants = o.retain_handling() == 0 || (o.retain_handling() == 1 && fresh);
    if (static_cast<std::uint8_t>(r) >= 0x80 || !wants || mqtt::parse_filter(sub.filter).shared)
      continue;
    if (!seen.insert(raw).second) continue;  // named twice: sent once
    ++under_way;
    bytes += raw.size();
    out.items->push_back({std::move(raw), o, v.subscription_id, {}});
  }
  return out;
}

Reason MqttFront::subscribe_one(Channel& ch, const mqtt::SubscriptionView& v, std::uint32_t id,
                                std::string& raw, bool& fresh) {
  SubOptions o = granted_to(ch, v.options);
  if (mqtt::parse_filter(v.filter).shared && o.no_local()) {
    clients_.fail(ch, Reason::protocol_error, CloseReason::protocol_error,  // 3.8.3-4
                  "No Local for a shared subscription");
    return Reason::protocol_error;
  }
  const Reason entered = gate_.enter_filter(ch, v.filter, raw);
  if (entered == Reason::not_authorized) ++probe_.authz_denied;
  if (entered != Reason::success) {
    events::subscribe_denied(ch, v.filter, entered);
    return entered;
  }
  const Will* will = ch.session->will.get();
  Cost cost = cost_of_filter(raw);
  cost.bytes += will == nullptr ? 0 : will->held.bytes();
  const bool room = ch.session->held.has_room(cost);
  fresh = subscriptions_.add(*ch.session, raw, o, id);
  if (fresh && ch.session->subscriptions.size() > options_.subscriptions_max) {
    events::over_holdings(ch, v.filter, "session.max_subscriptions is reached");
    subscriptions_.remove(*ch.session, raw);
    return Reason::quota_exceeded;
  }
  if (fresh && router_.groups_of(ch.session->subscriptions.back().filter) > kGroupsMax) {
    ++probe_.refused_filters;
    events::over_holdings(ch, v.filter, "the filter has too many shared subscriptions");
    subscriptions_.remove(*ch.session, raw);
    return Reason::quota_exceeded;
  }
  if (fresh && !room) {
    ++probe_.refused_filters;
    events::over_holdings(ch, v.filter, "its filters and its will take too many bytes");
    subscriptions_.remove(*ch.session, raw);
    return Reason::quota_exceeded;
  }
  const auto granted = static_cast<Reason>(o.qos());
  events::subscribed(ch, v.filter, granted);
  return granted;
}

// Filters of one packet; each costs a share of a turn.
std::size_t MqttFront::filters_max(const Channel& ch) const {
  return ch.session->peer != 0 ? kNoLimit : std::max<std::size_t>(options_.subscriptions_max, 1000);
}

}  // namespace berth::session
