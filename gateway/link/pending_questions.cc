#include "gateway/link/pending_questions.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/clock.h"

namespace berth::gateway::link {

using protocol::link::AskError;

PendingQuestions::~PendingQuestions() {
  answer_all(AskError::link_lost);
}

std::uint64_t PendingQuestions::add(std::uint32_t limit_ms, Answered answered) {
  BERTH_ASSERT(!full());
  const std::int64_t until_ns = base::monotonic_ns() + std::int64_t{limit_ms} * 1'000'000;
  pending_.emplace(++last_, Pending{until_ns, std::move(answered)});
  arm();
  return last_;
}

void PendingQuestions::answer(std::uint64_t number, Answer a) {
  auto found = pending_.extract(number);
  if (!found.empty()) found.mapped().answered(std::move(a));
}

void PendingQuestions::answer_all(AskError error) {
  for (auto& [number, p] : std::exchange(pending_, {})) p.answered({error, {}});
}

void PendingQuestions::arm() {
  const auto first = std::min_element(
      pending_.begin(), pending_.end(),
      [](const auto& a, const auto& b) { return a.second.until_ns < b.second.until_ns; });
  if (first == pending_.end()) return;
  timer_.expires_after(std::chrono::nanoseconds(first->second.until_ns - base::monotonic_ns()));
  timer_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (!ec && !alive.expired()) answer_late();
  });
}

void PendingQuestions::answer_late() {
  const std::int64_t now = base::monotonic_ns();
  std::vector<std::uint64_t> late;
  for (const auto& [number, p] : pending_) {
    if (p.until_ns <= now) late.push_back(number);
  }
  for (const std::uint64_t number : late) answer(number, {AskError::too_late, {}});
  arm();
}

}  // namespace berth::gateway::link
