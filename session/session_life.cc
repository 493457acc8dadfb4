#include "session/session_life.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/assert.h"
#include "session/events.h"
#include "session/principal_key.h"

namespace berth::session {

namespace mqtt = protocol::mqtt;
using mqtt::Reason;
using protocol::link::CloseReason;

namespace {

// A will is published when a policy ends the connection; that the device is offline is our doing
// all the same.
Offline cause_of(const Channel& ch, EndBy end, std::optional<CloseReason> cause) {
  if (end == EndBy::disconnect) return Offline::disconnect;
  if (ch.by_operator) return Offline::kicked;
  const bool ours = end == EndBy::us || cause == CloseReason::policy ||
                    cause == CloseReason::poison || cause == CloseReason::session_lost;
  return ours ? Offline::us : Offline::device;
}

// Does the end of this connection write its session's record, or remove it?
bool ends_in_store(const Channel& ch) {
  const Session* s = ch.session;
  return s != nullptr && (s->stored || s->persistent() || s->will);
}

}  // namespace

// Finds or makes the session and decides Session Present, once for each CONNECT: a replayed CONNECT
// of a connection that already owns the session repeats the first answer.
Session& SessionLife::claim(Channel& ch, bool& present, base::Instant now) {
  const PendingConnect& c = *ch.connect;
  std::uint64_t newest = 0;
  Session* s = sessions_.by_client(c.client_id);
  if (s != nullptr && s->stored && connections_.owned_by(*s, ch)) {
    ++probe_.applied_replays;
    present = s->session_present;
    if (s->limbo && !s->persistent()) {  // what it said behind its CONNECT comes again
      subscriptions_.drop_all(*s);
      s->received.reset();
    }
    return *s;
  }
  if (s != nullptr && s->channel == nullptr &&
      s->expires_at <= now) {  // and no tick has been since
    on_timer(*s, now);
    s = sessions_.by_client(c.client_id);
  }
  if (s != nullptr && s->channel != nullptr) take_over(*s, ch, now);
  if (s != nullptr && s->limbo) {  // a take-over too: its edge hears of it when it comes back
    ++probe_.session_taken_over;
    if (s->will) ++probe_.wills_suppressed;  // as likely our edge has ended as the device: I6
    s->will.reset();
    s->limbo = false;
    s->end_stay();
  }
  if (s != nullptr && (c.clean_start || !s->persistent())) {
    // 3.1.3.2.2: the session ends, so a will that has waited for its delay is due; unless it has
    // waited because of us (I6).
    const bool waited = s->persistent() && s->will && !s->will->ours;
    newest = s->epoch;
    end_session(*s, waited ? WillOf::published : WillOf::dropped, now);
    s = nullptr;
  }
  present = s != nullptr;
  if (s == nullptr) {
    ++probe_.session_created;
    Session& made = sessions_.make_new(c.client_id);
    sessions_.hold(made, principal_key(ch));
    made.epoch = newest;  // the connection it is taken from must not pass for its owner
    return made;
  }
  ++probe_.session_resumed;
  return *s;
}

// One whose end is known is not taken over: its device has come back before its end had its turn.
// The old connection of a session ends before the new one's CONNACK (3.1.4-3).
void SessionLife::take_over(Session& s, const Channel& by, base::Instant now) {
  Channel& old = *s.channel;
  const EndBy end = wills_.known_end(old, old.closed);        // it may not have had its turn yet
  const bool closing = old.state == Channel::State::closing;  // its end has been said
  if (!closing && !old.closed) {
    ++probe_.session_taken_over;
    if (fights_.taken(std::hash<std::string_view>{}(s.client_id), now)) ++probe_.take_over_fights;
    events::taken_over(old, &by);
    clients_.fail(old, Reason::session_taken_over, CloseReason::taken_over);
  } else if (!closing) {
    if (old.live() && !old.clean_disconnect) events::edge_closed(old, *old.closed);
    old.state = Channel::State::closing;
  }
  const bool taken = !closing && !old.closed;
  sessions_.offline(s, taken ? Offline::taken_over : cause_of(old, end, old.closed),
                    taken ? CloseReason::taken_over : old.closed.value_or(CloseReason::count));
  s.end_stay();
  wills_.settle(s, end, now);
  go_offline(s, now);
}

void SessionLife::bind(Channel& ch, Session& s) {
  sessions_.online(s, ch);
}

void SessionLife::apply_connect(Channel& ch, Session& s, base::Instant now) {
  PendingConnect& c = *ch.connect;
  const bool replayed = connections_.owned_by(s, ch);
  if (!replayed && s.flow_) s.flow_->sent_before = s.flow_->sent_max;
  s.epoch = std::max(s.epoch + 1, static_cast<std::uint64_t>(now.ms));
  s.owner_edge = connections_.edge_of(ch.conn);
  s.owner_conn = ch.conn.local().packed();
  s.ends_offline = c.expiry_s == 0 && s.persistent();
  if (!s.ends_offline) s.expiry_s = c.expiry_s;
  s.expires_at = base::kNever;
  s.will = std::move(c.will);
  if (s.persistent() || s.flow_) {
    Flow& q = s.own_flow();
    ch.resend_through = q.sent_before;
    q.sent_seq = q.first_seq - 1;
    if (s.persistent()) q.sent_max = std::max(q.sent_max, q.last_seq) + kSentStride;
  }
  if (!c.user_name.empty()) ch.user_name = std::make_unique<std::string>(c.user_name);
  use_fair_key(ch);
}

// Turns are shared among tenants; those who are not registered have one each.
void SessionLife::use_fair_key(Channel& ch) {
  const std::string key = principal_key(ch);
  const std::hash<std::string_view> hash;
  ch.fair_key = hash(is_registered(key) ? tenant_of(key) : std::string_view(key));
}

// A device that comes with another client id takes its own place: those of its sessions end whose
// CONNECT is the longest ago.
void SessionLife::make_place(const Channel& ch, base::Instant now) {
  if (sessions_.by_client(ch.connect->client_id) != nullptr) return;
  const std::string who = principal_key(ch);
  if (!sessions_.holdings().is_full_device(who)) return;
  std::vector<Session*> own;
  sessions_.each_of(who, [&own](Session& s) {
    if (s.counted) own.push_back(&s);
  });
  std::sort(own.begin(), own.end(), [](const Session* a, const Session* b) {
    return std::pair(a->epoch, a->id.value) < std::pair(b->epoch, b->id.value);
  });
  const std::uint32_t most = options_.holdings.per_device;
  for (std::size_t i = 0; i + most <= own.size(); ++i) {
    events::session_replaced(*own[i], ch);
    replace(*own[i], ch, now);
  }
}

void SessionLife::replace(Session& s, const Channel& by, base::Instant now) {
  ++probe_.device_replaced;
  if (s.channel != nullptr) take_over(s, by, now);
  // In limbo: as likely our edge has ended as the device, I6.
  const bool ours = std::exchange(s.limbo, false) || (s.will && s.will->ours);
  end_session(s, ours ? WillOf::dropped : WillOf::published, now);
}

// The end of a connection takes effect behind all that it said before: what waits for a commit, and
// what has not been read because of it (a DISCONNECT, which takes the will back). The end of a
// stored session's connection writes its record, and waits for room in the batch; while the store
// takes nothing, the others end all the same.
void SessionLife::end_connections(base::Instant now) {
  const auto can_end = [](const Channel* ch) {
    return ch != nullptr && ch->closed && !gated(*ch) && !ch->resting &&
           !(ch->live() && ch->stalled);
  };
  const auto end = [&](Channel& ch) {
    const WorksFor scope = works_for(ch.conn);
    const CloseReason cause = *std::exchange(ch.closed, std::nullopt);
    budget_.take(TurnBudget::kSession);
    finish_close(ch.conn, cause, now);
  };
  std::size_t i = 0;
  for (; i < clients_.ending().size() && !budget_.spent(); ++i) {
    Channel* ch = connections_.find(clients_.ending()[i]);
    if (!can_end(ch)) continue;
    if (ends_in_store(*ch)) {
      ending_stored_.push_back(ch->conn);
    } else {
      end(*ch);
    }
  }
  clients_.ending().erase(clients_.ending().begin(),
                          clients_.ending().begin() + static_cast<std::ptrdiff_t>(i));
  for (i = 0; i < ending_stored_.size() && !budget_.spent() && commits_.has_room(); ++i) {
    if (Channel* ch = connections_.find(ending_stored_[i]); can_end(ch)) end(*ch);
  }
  ending_stored_.erase(ending_stored_.begin(),
                       ending_stored_.begin() + static_cast<std::ptrdiff_t>(i));
}

void SessionLife::finish_close(base::ConnId conn, CloseReason cause, base::Instant now) {
  Channel* ch = connections_.find(conn);
  if (ch == nullptr) return;
  if (ch->live()) events::edge_closed(*ch, cause);  // else it has been said
  const std::size_t before = commits_.writes();
  detach(*ch, cause, now);
  if (ch->applied) {
    for (const auto& [offset, outcome] : *ch->applied) {
      const std::string key = replay_.key_of(*ch, offset);
      commits_.write({.kind = WriteKind::remove_applied, .key = key});
    }
  }
  if (commits_.writes() == before) {
    connections_.forget(*ch);
    words_.release(conn);
    return;
  }
  // The edge may forget the connection only when its end is durable; the channel can go now, but
  // its slot must not be reused before.
  ch->state = Channel::State::closing;
  commits_.defer_call(*ch, [this, conn](base::Instant) {
    if (Channel* c = connections_.find(conn)) connections_.forget(*c);
    words_.release(conn);
  });
}

// The session's side of the end of a connection.
void SessionLife::detach(Channel& ch, CloseReason cause, base::Instant now) {
  Session* const s = ch.session;
  ch.state = Channel::State::closing;
  if (s == nullptr) return;
  const EndBy end = wills_.known_end(ch, cause);
  sessions_.offline(*s, cause_of(ch, end, cause), cause);
  connection_ended(*s, end, now);
}

void SessionLife::connection_ended(Session& s, EndBy end, base::Instant now) {
  s.end_stay();
  wills_.settle(s, end, now);
  if (s.persistent()) {
    s.expires_at = s.expiry_s == mqtt::kNoExpiry ? base::kNever : now.plus_s(s.expiry_s);
    go_offline(s, now);
  } else if (s.will) {  // ours: kept for the grace, then the will fires if nobody came back
    subscriptions_.drop_all(s);
    go_offline(s, now);
  } else {
    end_session(s, WillOf::dropped, now);
  }
}

// No memory for messages of a session that is offline. This connection need not have come to all
// that an earlier one had sent.
void SessionLife::go_offline(Session& s, base::Instant) {
  if (s.outbox) {
    queues_.trim(s);
    // Only there is what another member of a shared subscription gets.
    if (options_.replay || s.persistent() || !s.shared) s.outbox.reset();
  }
  if (s.flow().last_seq == 0) {
    s.flow_.reset();
  } else {
    Flow& q = *s.flow_;
    q.sent_max = std::max(q.sent_seq, q.sent_before);
    q.sent_surely = std::max(q.sent_seq, q.sent_surely);
  }
  if (s.persistent() || s.will) {
    records_.put(s);
  }
  if (s.expires_at != base::kNever) schedule(s, s.expires_at);
  if (s.will_at() != base::kNever) schedule(s, s.will_at());
}

// The only way in which a session ends.
void SessionLife::end_session(Session& s, WillOf will, base::Instant now) {
  if (s.will && will == WillOf::published) wills_.fire(s, now);
  if (handover_.leave(s, now)) return;
  estates_.erase(s.id);
  subscriptions_.drop_all(s);
  if (s.stored || s.flow().queued != 0 || s.flow().last_seq > s.flow().durable_seq) {
    commits_.write({.kind = WriteKind::delete_session, .session = s.id});
  }
  sessions_.erase(s);
}

// With its connection and its queue: it is nobody's any more. Its tenant hears its will, unless its
// device or we have ended the connection; it is not retained, nobody would take it back.
void SessionLife::remove_session(Session& s, const char* why, base::Instant now) {
  ++probe_.scopes_ended;
  events::session_removed(s, why);
  const Channel* by = s.channel;
  if (s.will &&
      (s.will->ours || (by != nullptr && wills_.known_end(*by, by->closed) != EndBy::device)))
    s.will.reset();
  const bool heard =
      s.will && usage_.registry() != nullptr &&
      usage_.registry()->scope_of_will(principal_from(principal_of(s.client_id)), {});
  if (s.will && heard) {
    MessageView m = s.will->message->view();
    m.retain = false;
    s.will->message = MessagePtr(m);
  }
  if (Channel* ch = s.channel; ch != nullptr) {
    const WorksFor scope = works_for(ch->conn);
    clients_.fail(*ch, Reason::administrative_action, CloseReason::policy, why);
    sessions_.offline(s, Offline::removed, CloseReason::policy);
  }
  end_session(s, heard ? WillOf::published : WillOf::dropped, now);
}

void SessionLife::on_timer(Session& s, base::Instant now) {
  if (s.channel != nullptr || estates_.has(s.id)) return;
  const bool expired = s.expires_at <= now;
  if (s.will && s.will->at <= now) wills_.fire(s, now);
  if (expired) {
    ++probe_.session_expired;
    events::session_expired(s);
  }
  if (expired || (!s.persistent() && !s.will)) end_session(s, WillOf::published, now);
}

void SessionLife::run_timers(base::Instant now) {
  while (!timers_.empty() && timers_.top().first <= latest_.ms && !budget_.spent() &&
         commits_.has_room()) {
    const std::uint64_t id = timers_.top().second;
    timers_.pop();
    budget_.take(TurnBudget::kSession);
    if (Session* s = sessions_.by_id({id})) on_timer(*s, now);
  }
}

}  // namespace berth::session
