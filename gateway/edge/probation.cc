#include "gateway/edge/probation.h"

#include <algorithm>

namespace berth::gateway::edge {

std::optional<base::ConnId> Probation::died(EngineEnd how, bool alone, std::int64_t now_ms) {
  const bool soon = now_ms - serving_since_ms_ < kSoon_ms;
  const std::optional<base::ConnId> with = std::exchange(current_, std::nullopt);
  running_ = false;
  waiting_.clear();
  if (how == EngineEnd::planned || how == EngineEnd::proven) {
    if (how == EngineEnd::planned) in_a_row_ = 0;
    return {};
  }
  in_a_row_ = soon ? in_a_row_ + 1 : 1;
  if (!with) return {};
  if (blamed_ != with) faults_ = kills_ = 0;
  blamed_ = with;
  ++(how == EngineEnd::fault && alone ? faults_ : kills_);
  if (faults_ < kFaultsThatProve && faults_ + kills_ < kKillsThatProve) return {};
  blamed_.reset();
  return with;
}

std::vector<base::ConnId> Probation::begin(std::vector<Suspect> suspects, std::int64_t now_ms) {
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.bytes > b.bytes; });
  running_ = true;
  tried_ = 0;
  began_ms_ = now_ms;
  current_.reset();
  waiting_.clear();
  for (const Suspect& s : suspects) waiting_.push_back(s.conn);
  return next(now_ms);
}

std::vector<base::ConnId> Probation::next(std::int64_t now_ms) {
  if (!running_) return {};
  if (current_ && now_ms - current_since_ms_ < kEach_ms) return {};
  const bool late = now_ms - began_ms_ > kAll_ms || tried_ >= kSuspectsMax;
  if (late || waiting_.empty()) {
    const std::vector<base::ConnId> rest(waiting_.begin(), waiting_.end());
    waiting_.clear();
    current_.reset();
    running_ = false;
    return rest;
  }
  current_ = waiting_.front();
  waiting_.pop_front();
  current_since_ms_ = now_ms;
  ++tried_;
  return {*current_};
}

}  // namespace berth::gateway::edge
