// Work that takes more than one turn (TurnBudget, turn_work.h): what waited for a commit, PUBLISHes
// to many, retained messages for a queue, wills and the ends of sessions that are due together. A
// part of each is done when a turn ends, then others have theirs.
#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "session/broker.h"

namespace berth::session {

using protocol::link::CookieSlot;

namespace {
constexpr std::int64_t kPart = TurnBudget::kTurn / 4;  // of a turn, for each kind of such work

// The registry may have changed since its log-in; a review looks at sessions, and it has none yet.
bool still_registered(Channel& ch, const Principals* registry) {
  if (registry == nullptr || !ch.scope) return true;
  ScopePtr scope = registry->scope_of(ch.scope->who());
  if (!scope) return false;
  ch.scope = std::move(scope);
  return true;
}
}  // namespace

bool Broker::look_for_work() const {
  const bool staging = !staging_.empty() || retained_delivery_.is_filling();
  const bool late =
      std::any_of(connections_.edges().begin(), connections_.edges().end(),
                  [](const Edge& e) { return !e.late.empty() && e.late.front().turn <= e.taken; });
  const bool timers = !timers_.empty() && timers_.top().first <= latest_.ms;
  const bool estates = serving_ && estates_.waiting() != 0 && estates_.may_read();
  const bool clock = serving_ && (timers || !due_wills_.empty());
  const bool writes = staging || estates || clock || !ending_stored_.empty() ||
                      !room_line_.empty() || retained_delivery_.is_removing();
  return commits_.has_due() || !spreading_.empty() || late || !clients_.ending().empty() ||
         (writes && commits_.has_room());
}

// Whether it can be done now or not.
bool Broker::anything_waits() const {
  const bool timers = !timers_.empty() && timers_.top().first <= latest_.ms;
  return commits_.has_deferred() || !staging_.empty() || retained_delivery_.is_filling() ||
         !spreading_.empty() || !clients_.ending().empty() || !ending_stored_.empty() ||
         !room_line_.empty() || !due_wills_.empty() || retained_delivery_.is_removing() ||
         estates_.waiting() != 0 || timers || distributor_.has_late();
}

std::uint64_t Broker::fair_key(base::ConnId conn) {
  const Channel* ch = connections_.find(conn);
  return ch == nullptr ? 0 : ch->fair_key;
}

// What runs here may end the shell's turn and so come back: the outer call goes on with the rest.
void Broker::work(base::Instant now) {
  if (in_work_) return;
  in_work_ = true;
  if (look_for_work()) work_some(now);
  in_work_ = false;
  may_have_work_ = anything_waits();
}

void Broker::work_some(base::Instant now) {
  budget_.begin_turn(kPart);
  commits_.run_due(now);
  budget_.begin_turn(kPart);
  retained_delivery_.fill_some(now);
  stage_some(now);
  budget_.begin_turn(kPart);
  if (serving_) hand_on_some(now);
  budget_.begin_turn(kPart);
  spread_some(now);
  budget_.begin_turn(kPart);
  if (serving_) run_timers(now);
  if (serving_) publish_due_wills(now);
  budget_.begin_turn(kPart);
  retained_delivery_.remove_some(now);
  for (Edge& e : connections_.edges()) distributor_.send_late(e, now);
  call_some(now);
}

// -- records that wait for a batch with room

// False: its session's record has to wait for a batch with room, behind those that wait already.
bool Broker::may_write_record(Channel& ch) {
  using RoomLine = Channel::RoomLine;
  const bool called = std::exchange(ch.room_line, RoomLine::none) == RoomLine::called;
  if (commits_.has_room() && (called || room_line_.empty())) return true;
  ch.room_line = RoomLine::waits;
  if (ch.state != Channel::State::authenticating) ch.resting = true;
  may_have_work_ = true;
  room_line_.push(ch.fair_key, ch.conn);
  return false;
}

// So many that the batch stays below twice its bytes: what a session may hold is 64 KiB by default.
void Broker::call_some(base::Instant now) {
  constexpr int kAtOnce = 16;
  for (int n = 0; n < kAtOnce && !room_line_.empty() && commits_.has_room(); ++n) {
    const base::ConnId conn = room_line_.pop();
    Channel* ch = connections_.find(conn);
    if (ch == nullptr || ch->room_line != Channel::RoomLine::waits)
      continue;  // another one's place
    const WorksFor scope = works_for(conn);
    const bool connects = ch->state == Channel::State::authenticating;
    ch->room_line = connects ? Channel::RoomLine::none : Channel::RoomLine::called;
    if (!connects) {
      effects_.resume(conn);
    } else if (still_registered(*ch, usage_.registry())) {
      let_in(*ch, now);
    } else {
      ++probe_.connect_unauthorized;
      refuse_connect(*ch, ch->version, protocol::mqtt::Reason::not_authorized, Quota::none,
                     "its device or account was removed while its CONNECT waited");
    }
  }
}

// -- what waited for a commit

// -- PUBLISHes to many

// False: its publisher has to wait, for its own commits or until another one is done. It is offered
// its turn again with others that rest, tenants in turn.
bool Broker::may_fan_out(Channel& ch) {
  if (gated(ch)) {
    stall(ch);
    return false;
  }
  if (fanouts_.has_place(ch.fair_key)) return true;
  connections_.go_on_later(ch);
  return false;
}

// `through`: who has had it (of a QoS 2 message, before an engine died).
void Broker::begin_fanout(const Match& m, Delivery& d, Deferred out, Fanout::Through through) {
  out.fanout = std::make_shared<Fanout>(fanouts_, fair_key(out.conn));
  out.work = effects_.work().word();
  out.came = times_.now();
  Fanout& f = *out.fanout;
  f.to.reserve(m.targets.size());
  for (const Target& t : m.targets) {
    if (distributor_.takes(t, d)) f.to.push_back({t.session->id, t.options, t.ids});
  }
  budget_.take(static_cast<std::int64_t>(f.to.size()));
  if (d.message.qos == 2) {
    const auto by_session = [](const auto& a, const auto& b) {
      return a.session.value < b.session.value;
    };
    std::sort(f.to.begin(), f.to.end(), by_session);
    while (f.at < f.to.size() && f.to[f.at].session.value <= through.session) ++f.at;
  }
  for (SharedGroup* g : m.groups) {
    if (!distributor_.takes(*g, d)) continue;
    if (g->route > through.route) {
      f.groups.push_back(g->route);
    } else {
      distributor_.stage_group(*g, d, out, false);
    }
  }
  std::sort(f.groups.begin(), f.groups.end());
  f.groups.erase(std::unique(f.groups.begin(), f.groups.end()), f.groups.end());
  may_have_work_ = true;
  staging_.push_back(std::move(out));
}

void Broker::stage_some(base::Instant now) {
  for (std::size_t n = staging_.size(); n != 0 && commits_.has_room() && !budget_.spent(); --n) {
    Deferred d = std::move(staging_.front());
    staging_.pop_front();
    const WorksFor scope = works_for(d.work_word());
    budget_.begin_share();
    if (!stage_part(d)) {
      staging_.push_back(std::move(d));
      continue;
    }
    d.fanout->at = 0;
    if (d.fanout->staged) d.fanout->staged();
    commits_.retains(d.message->view().retain);
    if (commits_.waits()) {
      commits_.add(std::move(d));
    } else {
      run(d, now);
    }
  }
}

// True: all of it is staged.
bool Broker::stage_part(Deferred& d) {
  Fanout& f = *d.fanout;
  MessageView m = d.message->view();
  m.stamp = d.stamp;
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  const bool groups = stage_some_groups(d, delivery);
  while (groups && f.at < f.to.size() && commits_.has_room() && !budget_.share_spent()) {
    budget_.take(1);
    distributor_.stage_receiver(f.to[f.at++], delivery);
  }
  const bool done = groups && f.at == f.to.size();
  Channel* ch = m.qos == 2 ? connections_.find(d.conn) : nullptr;
  if (ch != nullptr && !groups) {
    if (f.group != 0)
      replay_.record(*ch, replay_.fanned_out_groups(f.groups[f.group - 1]), d.in_off);
  } else if (ch != nullptr) {
    std::string outcome(done ? "F" : "f");
    if (!done) base::put_varint(outcome, f.at == 0 ? 0 : f.to[f.at - 1].session.value);
    replay_.record(*ch, outcome, d.in_off);
  }
  return done;
}

// True: one member of each shared group has it, or will get it at once. The groups are looked up
// anew: members, and groups, may have come and gone since the last part.
bool Broker::stage_some_groups(Deferred& d, Delivery& delivery) {
  Fanout& f = *d.fanout;
  if (f.group == f.groups.size()) return true;
  std::vector<SharedGroup*> all = distributor_.match(delivery.message.topic).groups;
  const auto by_route = [](const auto& a, const auto& b) { return a->route < b->route; };
  std::sort(all.begin(), all.end(), by_route);
  budget_.take_group(all.size());
  auto g = all.begin();
  for (; f.group < f.groups.size() && commits_.has_room() && !budget_.share_spent(); ++f.group) {
    const std::uint32_t route = f.groups[f.group];
    while (g != all.end() && (*g)->route < route) ++g;
    for (; g != all.end() && (*g)->route == route; ++g) distributor_.stage_group(**g, delivery, d);
  }
  std::sort(d.picks.begin(), d.picks.end(),
            [](const Pick& a, const Pick& b) { return a.route < b.route; });
  return f.group == f.groups.size();
}

// What had to be durable is. The acknowledgement leaves before the other copies: what a crash takes
// of these is lost and never doubled.
void Broker::spread(Deferred d, base::Instant now) {
  MessageView m = d.message->view();
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  std::vector<LateCopies::To> later;
  new_message();
  distributor_.deliver_groups(distributor_.match(m.topic), delivery, &d, later, now);
  if (!later.empty()) distributor_.send_later(delivery, std::move(later));
  Channel* ch = connections_.find(d.conn);
  if (ch != nullptr && ch->state != Channel::State::closing) {
    clients_.answer(*ch, d);
    if (ch->live()) effects_.acknowledge(d.conn, d.in_off);
  }
  may_have_work_ = true;
  spreading_.push_back(std::move(d));
}

void Broker::spread_some(base::Instant now) {
  for (std::size_t n = spreading_.size(); n != 0 && !budget_.spent(); --n) {
    Deferred d = std::move(spreading_.front());
    spreading_.pop_front();
    const WorksFor scope = works_for(d.work_word());
    budget_.begin_share();
    if (!spread_part(d, now)) {
      spreading_.push_back(std::move(d));
      continue;
    }
    if (Channel* ch = connections_.find(d.conn)) clients_.end_deferral(*ch);
  }
}

bool Broker::spread_part(Deferred& d, base::Instant now) {
  Fanout& f = *d.fanout;
  const MessageView m = d.message->view();
  Delivery delivery{m, d.message, d.publisher, d.conn, d.tag.get(), d.source};
  std::vector<LateCopies::To> later;
  new_message();
  for (; f.at < f.to.size() && !budget_.share_spent(); ++f.at) {
    budget_.take(1);
    const Fanout::Receiver& r = f.to[f.at];
    if (Session* s = sessions_.by_id(r.session))
      distributor_.deliver_to(*s, r.options, r.ids, delivery, &d, later, now);
  }
  if (!later.empty()) distributor_.send_later(delivery, std::move(later));
  return f.at == f.to.size();
}

// -- retained messages into a queue

// -- what is due at one time

void Broker::run_timers(base::Instant now) {
  while (!timers_.empty() && timers_.top().first <= latest_.ms && !budget_.spent() &&
         commits_.has_room()) {
    const std::uint64_t id = timers_.top().second;
    timers_.pop();
    budget_.take(TurnBudget::kSession);
    if (Session* s = sessions_.by_id({id})) on_timer(*s, now);
  }
}

void Broker::publish_due_wills(base::Instant now) {
  while (!due_wills_.empty() && !budget_.spent() && commits_.has_room()) {
    auto [intent, will] = std::move(due_wills_.back());
    due_wills_.pop_back();
    budget_.take(TurnBudget::kSession);
    publish_due(intent, std::move(will), now);
  }
}

}  // namespace berth::session
