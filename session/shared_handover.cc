#include "session/shared_handover.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "session/entry_codec.h"
#include "session/principal_key.h"
#include "session/records.pb.h"

namespace berth::session {

using protocol::link::ForwardedWork;

namespace {

constexpr std::size_t kReadMessages = 256;
constexpr std::size_t kReadBytes = 1 << 20;

// No client id is like it: it is not UTF-8.
std::string estate_key(const Session& s) {
  return std::string(principal_of(s.client_id)) + "\xff" + std::to_string(s.id.value);
}

}  // namespace

// Before a session ends. True: it stays until what it holds has been handed on.
bool SharedHandover::leave(Session& s, base::Instant now) {
  if (!s.shared || s.peer != 0 || estates_.has(s.id)) return false;
  Estate e;
  for (const Subscription& sub : s.subscriptions) {
    if (sub.shared) e.groups.push_back(route_of_group(records_.raw_filter(sub)));
  }
  std::sort(e.groups.begin(), e.groups.end());
  hold_in_memory(s, e);
  e.read_all = s.flow().queued == 0;
  if (e.held.empty() && e.read_all) return false;
  // What was sent on this engine's connection and before it is known; else it is what was reserved.
  const Flow& q = s.flow();
  e.maybe_sent = q.sent_seq != 0 ? std::max(q.sent_seq, q.sent_before) : q.sent_max;
  e.fair_key = fair_key_of(s);
  s.own_flow().sent_max = e.maybe_sent;
  subscriptions_.drop_all(s);
  s.outbox.reset();
  s.received.reset();
  s.will.reset();
  s.expires_at = base::kNever;
  sessions_.rekey(s, estate_key(s));
  sessions_.count_no_more(s);
  const bool stored = !e.read_all;
  estates_.add(s.id, std::move(e));
  if (stored) records_.put(s);
  await(s.id, commits_.has_uncommitted(), now);
  return true;
}

// Without replay an expiry-0 session has nothing in the store.
void SharedHandover::hold_in_memory(const Session& s, Estate& e) {
  for (std::size_t i = 0; s.outbox && i < s.outbox->ring.size(); ++i) {
    const OutEntry& o = s.outbox->ring[i];
    const bool unsent = o.state == EntryState::queued;
    const bool again = o.state == EntryState::sent && o.qos == 1;
    if (o.mark != 0 && o.message && !o.stored && (unsent || again))
      e.held.push_back({o.message, 0, o.qos, o.mark, o.retain});
  }
}

std::uint64_t SharedHandover::fair_key_of(const Session& s) {
  std::string_view who = principal_of(s.client_id);
  if (who.empty() && s.held.holder() != nullptr) who = s.held.holder()->principal();
  return std::hash<std::string_view>{}(is_registered(who) ? tenant_of(who) : who);
}

// Its turn comes when all that is in the open batch, of its queue too, can be read.
void SharedHandover::await(base::SessionId id, bool behind_commit, base::Instant now) {
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = [this, id](base::Instant) {
    const Estate* e = estates_.find(id);
    if (e == nullptr) return;
    may_have_work_ = true;
    estates_.wait(id, e->fair_key);
  };
  commits_.submit(std::move(d), behind_commit, now);
}

// Those found in the store, and those whose read has failed.
void SharedHandover::read_again() {
  may_have_work_ = may_have_work_ || !unread_estates_.empty();
  for (const base::SessionId id : std::exchange(unread_estates_, {})) {
    if (const Estate* e = estates_.find(id)) estates_.wait(id, e->fair_key);
  }
}

bool SharedHandover::restore(Session& s, const pb::Session& r) {
  if (!r.ended()) return false;
  Estate e{.groups = {r.groups().begin(), r.groups().end()}, .maybe_sent = r.sent_max()};
  e.fair_key = fair_key_of(s);
  sessions_.count_no_more(s);
  estates_.add(s.id, std::move(e));
  unread_estates_.push_back(s.id);
  return true;
}

// A part of what waits, of each in turn.
void SharedHandover::go_on(base::Instant now) {
  for (std::size_t n = estates_.waiting(); n != 0 && commits_.has_room() && !budget_.spent(); --n) {
    const base::SessionId id = estates_.next();
    Estate* e = estates_.find(id);
    Session* s = sessions_.by_id(id);
    if (e == nullptr || s == nullptr) continue;
    const WorksFor scope =
        works_for(ForwardedWork{ForwardedWork::kEstateSource, id.value}.packed());
    budget_.begin_share();
    if (estates_.is_skipped(id)) {
      probe_.shared_skipped += s->flow().queued;
      end(*s);
      continue;
    }
    while (!e->held.empty() && commits_.has_room() && !budget_.share_spent()) {
      hand_on(*s, *e, e->held.front(), now);
      e->held.pop_front();
    }
    if (!e->held.empty() || (!e->read_all && !estates_.may_read())) {
      estates_.wait(id, e->fair_key);
    } else if (e->read_all) {
      end(*s);
    } else {
      estates_.reading(*e, queues_.next_ticket());
      effects_.load_queue(id, e->from, kReadMessages, kReadBytes, e->ticket);
    }
  }
}

void SharedHandover::end(Session& s) {
  if (s.stored || s.flow().queued != 0)
    commits_.write({.kind = WriteKind::delete_session, .session = s.id});
  estates_.erase(s.id);
  sessions_.erase(s);
}

void SharedHandover::loaded(base::SessionId id, std::uint64_t ticket,
                            const base::result<std::vector<StoredEntry>>& entries) {
  Estate* e = estates_.find(id);
  if (e == nullptr || e->ticket != ticket) return;
  estates_.has_read(*e);
  if (!entries) return unread_estates_.push_back(id);  // asked again at the next tick
  for (const StoredEntry& in : *entries) {
    e->from = in.seq + 1;
    Estate::Held h{.message = {}, .seq = in.seq};
    const auto view = decode_entry(in.value);
    if (view && !view->released) {
      h.message = MessagePtr(view->message);
      h.qos = view->message.qos;
      h.mark = view->mark;
      h.retain = view->message.retain;
    }
    e->held.push_back(std::move(h));
  }
  e->read_all = entries->empty();
  may_have_work_ = true;
  estates_.wait(id, e->fair_key);
}

// One message. Its entry is removed in the batch that has the other member's.
void SharedHandover::hand_on(Session& from, const Estate& e, const Estate::Held& h,
                             base::Instant now) {
  budget_.take(TurnBudget::kDelivery);
  if (h.seq != 0) {
    commits_.write({.kind = WriteKind::remove, .session = from.id, .seq = h.seq});
    queues_.count_removed(from);
  }
  if (!h.message || h.mark == 0) return;
  if (h.qos == 2 && h.seq != 0 && h.seq <= e.maybe_sent) {
    ++probe_.shared_sent_qos2;
    return;
  }
  MessageView m = h.message->view();
  m.qos = h.qos;
  m.retain = h.retain;
  if (m.expires_at <= messages_at(now)) {
    ++probe_.drop_expired;
    return;
  }
  SharedGroup* g = group_of(e, m.topic, h.mark);
  Delivery d{.message = m, .owned = {}, .publisher = {}};
  SubOptions options;
  std::uint32_t id = 0;
  Session* to = g != nullptr ? distributor_.pick(*g, d, options, id) : nullptr;
  if (to == nullptr) {
    ++probe_.shared_no_member;
    return;
  }
  ++probe_.shared_returned;
  d.mark = h.mark;
  if (to->peer != 0) return peer_queues_.stage(*to, d, g->route, false);
  hand_to(*to, options, std::vector<std::uint32_t>(id != 0 ? 1 : 0, id), d, now);
}

void SharedHandover::hand_to(Session& to, SubOptions options, const std::vector<std::uint32_t>& ids,
                             Delivery& d, base::Instant now) {
  const base::ConnId conn = to.channel != nullptr ? to.channel->conn : base::kNoConn;
  const WorksFor scope = works_for(conn);
  if (options.qos() != 0) {
    distributor_.stage_receiver({to.id, options, ids}, d);
    if (!to.persistent() && !options_.replay)
      queues_.deliver(to, d, options, d.message.retain && options.retain_as_published(), ids, now);
    return;
  }
  Deferred late;  // when its entry is gone: a crash does not double it
  late.kind = Deferred::Kind::call;
  late.call = [this, id = to.id, message = d.own(), options, ids](base::Instant at) {
    Session* s = sessions_.by_id(id);
    if (s == nullptr || s->channel == nullptr || !s->channel->live()) return;
    const WorksFor its = works_for(s->channel->conn);
    const MessageView m = message->view();
    new_message();
    if (!effects_.writable(s->channel->conn)) {
      ++probe_.drop_slow_qos0;
      return;
    }
    s->channel->port->deliver(*s->channel, m, 0, m.retain && options.retain_as_published(), false,
                              0, &ids, at);
  };
  commits_.submit(std::move(late), commits_.has_uncommitted(), now);
}

// The group that it came by: one of its session's, else (it has unsubscribed since) the only one
// that has this mark.
SharedGroup* SharedHandover::group_of(const Estate& e, std::string_view topic, std::uint8_t mark) {
  SharedGroup* other = nullptr;
  std::size_t n = 0;
  for (SharedGroup* g : distributor_.match(topic).groups) {
    if (group_mark(g->route) != mark) continue;
    if (std::binary_search(e.groups.begin(), e.groups.end(), g->route)) return g;
    other = g;
    ++n;
  }
  return n == 1 ? other : nullptr;
}

}  // namespace berth::session
