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
}  // namespace

bool Broker::look_for_work() const {
  const bool staging = !staging_.empty() || retained_delivery_.is_filling();
  const bool late =
      std::any_of(connections_.edges().begin(), connections_.edges().end(),
                  [](const Edge& e) { return !e.late.empty() && e.late.front().turn <= e.taken; });
  const bool timers = life_.any_timer_due();
  const bool estates = edge_links_.serving() && estates_.waiting() != 0 && estates_.may_read();
  const bool clock = edge_links_.serving() && (timers || wills_.any_due());
  const bool writes = staging || estates || clock || life_.any_ending_in_store() ||
                      login_.any_waits() || retained_delivery_.is_removing();
  return commits_.has_due() || wide_fanouts_.is_spreading() || late || !clients_.ending().empty() ||
         (writes && commits_.has_room());
}

// Whether it can be done now or not.
bool Broker::anything_waits() const {
  const bool timers = life_.any_timer_due();
  return commits_.has_deferred() || !staging_.empty() || retained_delivery_.is_filling() ||
         wide_fanouts_.is_spreading() || life_.any_ending() || login_.any_waits() ||
         wills_.any_due() || retained_delivery_.is_removing() || estates_.waiting() != 0 ||
         timers || distributor_.has_late();
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
  wide_fanouts_.stage_some(now);
  budget_.begin_turn(kPart);
  if (edge_links_.serving()) handover_.go_on(now);
  budget_.begin_turn(kPart);
  wide_fanouts_.spread_some(now);
  budget_.begin_turn(kPart);
  if (edge_links_.serving()) life_.run_timers(now);
  if (edge_links_.serving()) wills_.publish_all_due(now);
  budget_.begin_turn(kPart);
  retained_delivery_.remove_some(now);
  for (Edge& e : connections_.edges()) distributor_.send_late(e, now);
  login_.call_some(now);
}

// -- records that wait for a batch with room

// -- what waited for a commit

// -- PUBLISHes to many

// -- retained messages into a queue

// -- what is due at one time

}  // namespace berth::session
