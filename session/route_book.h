// What other partitions must know of our subscriptions, and the SUBACKs that wait until they do:
// the answer to a SUBSCRIBE leaves when every partition knows of it, so a message that a client
// publishes after the SUBACK is delivered, wherever that client is (ADR 10). Bounds: a wait ends
// after 5 s; a filter without subscribers is kept a minute. One shard, one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/string_map.h"
#include "session/commit_pipeline.h"
#include "session/context.h"
#include "session/core_types.h"

namespace berth::session {

struct Route {
  int count = 0;  // subscriptions of this partition
  bool told = false;
  std::int64_t idle_since_ms = 0;  // if count is 0
  bool looked_at = false;          // is in idle_routes_, once
};
struct RouteWait {
  std::uint64_t number = 0;
  std::int64_t until_ms = 0;
  Deferred what;
};

class RouteBook final : private Room {
 public:
  RouteBook(Context& cx, CommitSink& sink) : Room(cx), sink_(sink), reached_(options_.partitions) {}

  std::uint64_t number() const { return route_number_; }  // of the newest change
  // Forgets the waits of inputs from connections of this link.
  void drop_link(std::uint32_t link);

  // The partition begins to tell its routes anew: until reached() it counts as knowing no change.
  void begin_source(std::uint32_t source) { reached_[source] = 0; }
  // Has the call that was just run asked to wait (await with `in_call`)?
  bool call_waits() { return std::exchange(call_waits_on_, false); }

  // So many subscriptions of this partition more (or fewer) have this filter.
  void count(std::string_view raw, int change);
  // Forgets filters that have had no subscriber for a minute.
  void sweep(base::Instant now);
  // Told of each change, which has the next number.
  void watch(std::function<void(std::string_view raw, bool added)> f);
  void for_each(const std::function<void(std::string_view raw)>& f) const;
  // Does every partition know of all changes?
  bool known() const;
  // This partition knows of the changes up to `number`.
  void reached(std::uint32_t source, std::uint64_t number, base::Instant now);
  // `call` is run when every partition knows of all changes until now. `in_call`: it is asked for
  // from a Deferred, in whose place it then is.
  void await(Channel& ch, std::function<void(base::Instant)> call, bool in_call, base::Instant now);
  // Runs what waits for no partition any more, or for too long.
  void release_waits(base::Instant now);

 private:
  void forget(const std::string& raw);
  std::uint64_t known_through() const;

  CommitSink& sink_;
  std::vector<std::uint64_t> reached_;  // by partition: it knows of changes up to this one
  base::StringMap<Route> routes_;       // by raw filter
  std::function<void(std::string_view, bool)> on_route_;
  std::deque<RouteWait> route_waits_;
  std::uint64_t route_number_ = 0;
  std::deque<std::pair<std::int64_t, std::string>> idle_routes_;  // since when, raw filter
  bool call_waits_on_ = false;
};

}  // namespace berth::session
