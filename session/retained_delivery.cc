#include "session/retained_delivery.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/bytes.h"
#include "protocol/mqtt/topic.h"
#include "session/entry_codec.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using protocol::link::CookieSlot;

namespace {

constexpr std::uint64_t kRetainedAhead = 512;  // stored deliveries waiting before the cursor pauses
constexpr std::int64_t kTombstone_ms = 3'600'000;
constexpr std::size_t kSweptAtOnce = 5000;  // in a second

}  // namespace

// False: a newer one of another partition is known.
bool RetainedDelivery::store(const MessageView& m) {
  const bool stamped = m.stamp != 0;
  commits_.retains();
  if (m.payload.empty() && !stamped) {
    commits_.write({.kind = WriteKind::remove_retained, .key = m.topic});
    return true;
  }
  if (!retained_.contains(m.topic) && !m.payload.empty() &&
      (retained_.size() >= options_.retained_messages_max ||
       retained_.bytes() >= options_.retained_bytes_max)) {
    return true;  // counted in keep_retained
  }
  if (stamped && !retained_.claim(m.topic, m.stamp)) return false;
  std::string value;
  encode_retained(value, m);
  commits_.write({.kind = WriteKind::put_retained, .key = m.topic, .value = value});
  return true;
}

void RetainedDelivery::keep(const MessageView& m, base::Instant now) {
  if (m.payload.empty()) {  // 3.3.1-6
    retained_.remove(m.topic, m.stamp, clocks_.wall_at(now).ms);
    return;
  }
  if (!retained_.contains(m.topic) && (retained_.size() >= options_.retained_messages_max ||
                                       retained_.bytes() >= options_.retained_bytes_max)) {
    ++probe_.drop_retained_full;
    return;
  }
  retained_.put(m.topic, MessagePtr(m), m.stamp);
}

// It has expired, or is of somebody who is not registered any more. Another partition ends its copy
// itself; until then the stamp tells an older one that comes.
void RetainedDelivery::end(const Retained::Expired& gone, base::Instant now) {
  const MessageView nothing{
      .topic = gone.topic, .payload = {}, .forwarded = {}, .retain = true, .stamp = gone.stamp};
  if (gone.stamp == 0) {
    commits_.write({.kind = WriteKind::remove_retained, .key = gone.topic});
  } else {
    std::string value;
    encode_retained(value, nothing);
    commits_.write({.kind = WriteKind::put_retained, .key = gone.topic, .value = value});
  }
  keep(nothing, now);
}

std::uint64_t RetainedDelivery::next_stamp(base::Instant now) {
  if (!partitioned()) return 0;
  const std::uint64_t by_clock = static_cast<std::uint64_t>(clocks_.wall_at(now).ms) << 20;
  const std::uint64_t after = (last_stamp_ & ~std::uint64_t{255}) + 256;
  last_stamp_ = std::max(by_clock, after) | options_.partition;
  return last_stamp_;
}

// Expired retained messages count for nothing any more.
void RetainedDelivery::sweep_expired(base::Instant now) {
  constexpr std::size_t kLookedAt = 20'000;  // a second: some ms
  for (const Retained::Expired& gone : retained_.expired(messages_at(now), swept_, kLookedAt)) {
    ++probe_.retained_expired;
    end(gone, now);
  }
}

void RetainedDelivery::sweep_tombstones(base::Instant now) {
  for (const std::string& topic : retained_.old_tombstones(
           clocks_.wall_at(now).ms - kTombstone_ms, options_.retained_messages_max, kSweptAtOnce)) {
    commits_.write({.kind = WriteKind::remove_retained, .key = topic});
  }
}

// What is retained there has been accepted before; what is accepted and not kept yet must be kept
// first.
void RetainedDelivery::remove(std::vector<std::string> filters, base::Instant now) {
  if (filters.empty()) return;
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = [this, all = std::move(filters)](base::Instant) { removal_.add(all); };
  commits_.barrier();
  commits_.submit(std::move(d), true, now);
}

void RetainedDelivery::remove_some(base::Instant now) {
  if (removal_.idle()) return;
  removal_.go_on(
      retained_, budget_,
      [this](std::string_view topic) {
        return usage_.registry() == nullptr || usage_.registry()->keeps_retained(topic);
      },
      [this] { return commits_.has_room(); },
      [this, now](const Retained::Expired& gone) { end(gone, now); });
}

// Does a PUBLISH wait that changes what is retained?
bool RetainedDelivery::any_waits() const {
  return commits_.any_retains() ||
         std::any_of(staging_.begin(), staging_.end(),
                     [](const Deferred& d) { return d.message->view().retain; });
}

// A PUBLISH that waits for its commit is retained when that is done, too late for whoever
// subscribes now, and a stored session is not sent it then either. So its message goes into the
// queue with the subscription, before all that is published after that. What is retained of these
// topics now is older: it must not come behind.
RetainedTopics RetainedDelivery::queue_waiting(Session& s, const std::deque<RetainedItem>& items,
                                               base::Instant now) {
  RetainedTopics had;
  if (items.empty() || !any_waits()) return had;
  std::map<std::string_view, MessagePtr> newest;
  const auto look = [&](const auto& list, std::size_t from) {
    for (std::size_t i = from; i < list.size(); ++i) {
      const Deferred& d = list[i];
      if (d.kind == Deferred::Kind::publish && d.message && !d.kept && d.message->view().retain)
        newest.insert_or_assign(d.message->view().topic, d.message);
    }
    budget_.take(static_cast<std::int64_t>((list.size() - from) / 16));
  };
  commits_.each_list(look);  // in the order in which they will be kept
  look(staging_, 0);
  for (const RetainedItem& item : items) {
    budget_.take(static_cast<std::int64_t>(newest.size()) * TurnBudget::kLook);
    for (const auto& [topic, message] : newest) {
      if (!mqtt::filter_matches(item.filter, topic)) continue;
      had.emplace(topic);
      Delivery d{.message = message->view(), .owned = message, .publisher = {}};
      const std::uint8_t qos = std::min(d.message.qos, item.options.qos());
      const bool ended = d.message.payload.empty() || d.message.expires_at <= messages_at(now);
      if (qos == 0 || ended) continue;
      if (s.flow().queued >= options_.queue_messages_max ||
          s.flow().queued_bytes >= options_.queue_bytes_max) {
        usage_.count_dropped(s);
        continue;
      }
      queues_.append(s, d, qos, true, std::vector<std::uint32_t>(item.id != 0 ? 1 : 0, item.id));
    }
  }
  return had;
}

// Those with QoS > 0 into the queue, in the batch of the CONNECT that subscribes (Park). As many as
// the queue takes and a share of a turn finds.
void RetainedDelivery::queue_desired(Session& s, const RetainedItem& item, base::Instant now) {
  const RetainedTopics had = queue_waiting(s, {item}, now);
  std::string after;
  TurnBudget looking;
  looking.begin_share();
  for (;;) {
    const Retained::Found found = retained_.next(item.filter, after, looking);
    const bool full = s.flow().queued >= options_.queue_messages_max ||
                      s.flow().queued_bytes >= options_.queue_bytes_max;
    if (found.paused || (full && found.message != nullptr)) usage_.count_dropped(s);
    if (found.message == nullptr || full) return;
    Delivery d{.message = (*found.message)->view(), .owned = *found.message, .publisher = {}};
    after = d.message.topic;
    const std::uint8_t qos = std::min(d.message.qos, item.options.qos());
    if (qos == 0 || had.contains(after) || d.message.expires_at <= messages_at(now)) continue;
    queues_.append(s, d, qos, true, {});
  }
}

// The others by a cursor for each subscription, a share of a turn at a time.
void RetainedDelivery::go_on(Channel& ch, base::Instant now) {
  const auto pending = std::move(ch.retained);  // delivery may come back here
  if (!pending || ch.gone) return;
  bool paused = false;
  bool any = false;
  bool moved = false;  // a cursor may have 256 KB: the edge gets only one that has
  while (!pending->empty() && !paused && ch.live()) {
    RetainedItem& item = pending->front();
    const Retained::Found found = retained_.next(item.filter, item.after, budget_);
    if (found.message == nullptr && !found.paused) {
      pending->pop_front();
      moved = true;
    } else if (found.paused || (any && budget_.share_spent())) {
      connections_.go_on_later(ch);
      paused = true;
      moved = moved || found.paused;
    } else {
      any = true;
      paused = !send(ch, item, *found.message, now);
      moved = moved || !paused;
    }
  }
  if (!pending->empty()) {
    ch.retained = std::make_unique<std::deque<RetainedItem>>(std::move(*pending));
  }
  if (!moved) return;
  if (ch.retained) budget_.take(static_cast<std::int64_t>(ch.retained->size()));
  cookies_.changed(ch, CookieSlot::retained_cursor);
}

// False: the device must take something first.
bool RetainedDelivery::send(Channel& ch, RetainedItem& item, MessagePtr message,
                            base::Instant now) {
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
  if (d.message.expires_at > messages_at(now)) {
    const std::vector<std::uint32_t> ids(item.id != 0 ? 1 : 0, item.id);
    new_message();
    if (qos == 0) {
      ch.port->deliver(ch, d.message, 0, true, false, 0, &ids, now);
    } else if (!s.persistent()) {  // else: fill_queue
      queues_.deliver(s, d, SubOptions{qos}, true, ids, now);
    }
  }
  item.after = std::move(topic);
  return true;
}

void RetainedDelivery::begin_fill(Channel& ch, RetainedFill fill) {
  ++ch.pending;
  stall(ch);
  may_have_work_ = true;
  filling_.push_back(std::move(fill));
}

void RetainedDelivery::fill_some(base::Instant now) {
  for (std::size_t n = filling_.size(); n != 0 && commits_.has_room() && !budget_.spent(); --n) {
    RetainedFill fill = std::move(filling_.front());
    filling_.pop_front();
    const WorksFor scope = works_for(fill.conn);
    budget_.begin_share();
    const bool done = fill_part(fill, now);
    Channel* ch = connections_.find(fill.conn);
    if (ch == nullptr) continue;
    replay_.record(*ch, done ? fill.outcome : outcome_so_far(fill), fill.in_off);
    if (!done) {
      filling_.push_back(std::move(fill));
      continue;
    }
    Deferred d;
    d.kind = Deferred::Kind::call;
    d.call = std::move(fill.answer);
    d.conn = fill.conn;
    d.in_off = fill.in_off;
    commits_.add(std::move(d));  // its record is in this batch
  }
}

// True: all that the queue takes is in it, or nobody waits for it any more.
bool RetainedDelivery::fill_part(RetainedFill& fill, base::Instant now) {
  Session* s = sessions_.by_id(fill.session);
  const Channel* ch = connections_.find(fill.conn);
  if (s == nullptr || ch == nullptr || ch->session != s || ch->closed) return true;
  while (fill.at < fill.items->size()) {
    if (!commits_.has_room() || budget_.share_spent()) return false;
    const RetainedItem& item = (*fill.items)[fill.at];
    const Retained::Found found = retained_.next(item.filter, fill.after, budget_);
    if (found.paused) return false;
    if (found.message == nullptr) {
      ++fill.at;
      fill.after.clear();
      continue;
    }
    Delivery d{.message = (*found.message)->view(), .owned = *found.message, .publisher = {}};
    fill.after = d.message.topic;
    if (fill.had.contains(fill.after)) continue;
    const std::uint8_t qos = std::min(d.message.qos, item.options.qos());
    if (qos == 0 || d.message.expires_at <= messages_at(now)) continue;
    if (s->flow().queued >= options_.queue_messages_max ||
        s->flow().queued_bytes >= options_.queue_bytes_max) {
      usage_.count_dropped(*s);
      return true;
    }
    queues_.append(*s, d, qos, true, std::vector<std::uint32_t>(item.id != 0 ? 1 : 0, item.id));
  }
  return true;
}

// Reason codes' digits '|' item:varint topic:bytes
std::string RetainedDelivery::outcome_so_far(const RetainedFill& fill) {
  std::string out = fill.outcome + '|';
  base::put_varint(out, fill.at);
  base::put_bytes(out, fill.after);
  return out;
}

void RetainedDelivery::go_on_filling(RetainedFill& fill, std::string_view so_far) {
  base::RecordReader r(so_far);
  fill.at = std::min<std::size_t>(r.varint(), fill.items->size());
  fill.after = r.bytes();
}

// `fresh`: no dead engine has begun with it; else `so_far` is how far it has come, "": to the end.
void RetainedDelivery::fill_queue(Channel& ch, RetainedFill fill, bool fresh,
                                  const std::string& so_far, base::Instant now) {
  bool whole = true;
  if (fresh || !so_far.empty()) {
    if (!so_far.empty()) go_on_filling(fill, so_far);
    if (fresh) fill.had = queue_waiting(*ch.session, *fill.items, now);
    whole = fill_part(fill, now);
    replay_.record(ch, whole ? fill.outcome : outcome_so_far(fill));
  }
  if (!whole) return begin_fill(ch, std::move(fill));
  stall(ch);
  commits_.defer_call(ch, std::move(fill.answer));
}

}  // namespace berth::session
