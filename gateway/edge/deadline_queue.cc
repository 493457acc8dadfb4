#include "gateway/edge/deadline_queue.h"

#include <algorithm>
#include <chrono>

namespace berth::gateway::edge {

namespace {
// The clock of deadlines may leap: nothing waits longer for a look at it.
constexpr std::int64_t kWaitMax_ms = 60'000;
}  // namespace

void DeadlineQueue::add(base::ConnId conn, base::Instant at, base::Instant now) {
  const bool first = entries_.empty() || at.ms < entries_.top().first;
  entries_.emplace(at.ms, conn.packed());
  if (first) wait(now);
}

std::optional<base::ConnId> DeadlineQueue::take_due(base::Instant now) {
  if (entries_.empty() || now.ms <= entries_.top().first) return std::nullopt;
  const auto conn = base::ConnId::from_packed(entries_.top().second);
  entries_.pop();
  return conn;
}

void DeadlineQueue::wait(base::Instant now) {
  if (entries_.empty()) return;
  const std::int64_t left_ms =
      std::clamp<std::int64_t>(entries_.top().first - now.ms, 0, kWaitMax_ms);
  timer_.expires_after(std::chrono::milliseconds(left_ms + 1));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec) due_();
  });
}

}  // namespace berth::gateway::edge
