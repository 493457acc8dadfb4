// What every room of the core may use (docs/ARCHITECTURE.md, "Rooms of the core"): options,
// Effects, counters, clocks and the budget of the turn. One shard, one thread.
#pragma once

#include <cstdint>
#include <utility>

#include "base/clocks.h"
#include "metrics/probe.h"
#include "session/broker_options.h"
#include "session/effects.h"
#include "session/message_times.h"
#include "session/platform_ports.h"
#include "session/turn_budget.h"
#include "session/works_for.h"

namespace berth::session {

// Owned by the core; outlives all rooms.
struct Context {
  Context(BrokerOptions o, Effects& e, metrics::EngineProbe& p)
      : options(std::move(o)), effects(e), probe(p), times(p) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const BrokerOptions options;
  Effects& effects;
  metrics::EngineProbe& probe;
  TurnBudget budget;
  MessageTimes times;
  base::Clocks clocks;     // how far other clocks are ahead of `now`
  base::Instant latest{};  // `now` of the last tick
  // Set wherever something comes to wait for a turn with time for it; cleared when nothing waits. A
  // turn in which nothing waits costs one look at the flag.
  bool may_have_work = false;
  std::uint64_t message_run = 0;      // see Room::new_message()
  PlatformPorts* platform = nullptr;  // null: none
};

// The Context by the names that the rooms' functions use.
class Room {
 protected:
  explicit Room(Context& cx)
      : options_(cx.options),
        effects_(cx.effects),
        probe_(cx.probe),
        budget_(cx.budget),
        times_(cx.times),
        clocks_(cx.clocks),
        latest_(cx.latest),
        may_have_work_(cx.may_have_work),
        message_run_(cx.message_run),
        platform_(cx.platform) {}
  ~Room() = default;
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  // Effects asked for while the result lives are for this connection, or for what the word names;
  // kNoConn and 0: for the connection that the caller works for already.
  WorksFor works_for(base::ConnId conn) { return {effects_.work(), conn}; }
  WorksFor works_for(std::uint64_t word) { return {effects_.work(), word}; }
  base::Instant messages_at(base::Instant now) const { return clocks_.messages_at(now); }
  bool partitioned() const { return options_.partitions > 1; }

  // The next delivery is of another message: a ClientPort must not use the encoded head that it
  // keeps of the last one.
  void new_message() { ++message_run_; }

  const BrokerOptions& options_;
  Effects& effects_;
  metrics::EngineProbe& probe_;
  TurnBudget& budget_;
  MessageTimes& times_;
  base::Clocks& clocks_;
  base::Instant& latest_;
  bool& may_have_work_;
  std::uint64_t& message_run_;
  PlatformPorts*& platform_;
};

}  // namespace berth::session
