// When connections are to be looked at because a packet's deadline has passed, whether
// their sockets have news or not. Held by value by the shard's Output; the shard's thread.
//
// Limits: an entry for each packet with a deadline that was taken, until then: a minute at most for
// published commands (session/late_command.h), so the rate of commands bounds them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace berth::gateway::edge {

class DeadlineQueue {
 public:
  // `due` is called when an entry may be due: it takes all that are, then calls wait().
  DeadlineQueue(boost::asio::io_context& io, std::function<void()> due)
      : timer_(io), due_(std::move(due)) {}

  // `at` and `now`: the edge's clock of deadlines. An entry is due when `now` is later than `at`.
  void add(base::ConnId conn, base::Instant at, base::Instant now);
  std::optional<base::ConnId> take_due(base::Instant now);
  void wait(base::Instant now);  // for the entry that is due first
  void cancel() { timer_.cancel(); }

 private:
  using Entry = std::pair<std::int64_t, std::uint64_t>;  // ms, connection
  boost::asio::steady_timer timer_;
  std::function<void()> due_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> entries_;
};

}  // namespace berth::gateway::edge
