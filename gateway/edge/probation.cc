#include "gateway/edge/probation.h"

#include <algorithm>

#include "protocol/link/types.h"

namespace berth::gateway::edge {

Named EngineWord::read() const {
  if (!word_) return {};
  const std::uint64_t word = word_->load(std::memory_order_relaxed);
  Named named{.known = true, .somebody = word != 0};
  if (!named.somebody || protocol::link::ForwardedWork::is(word)) return named;
  const base::ConnId conn = base::ConnId::from_packed(word);
  if (conn.link() == link_) named.conn = conn.local();
  return named;
}

std::optional<base::ConnId> Probation::died(EngineEnd how, const Named& named,
                                            std::int64_t now_ms) {
  const bool soon = now_ms - serving_since_ms_ < kSoon_ms;
  const std::vector<Suspect> tried = std::exchange(tried_, {});
  current_.reset();
  running_ = false;
  waiting_.clear();
  if (how == EngineEnd::planned || how == EngineEnd::proven) {
    if (how == EngineEnd::planned) in_a_row_ = 0;
    return {};
  }
  in_a_row_ = soon ? in_a_row_ + 1 : 1;
  last_named_ = named.conn;
  return culprit(how, named, tried);
}

// An engine that works for somebody else says so: then no suspect has done it. One that says
// nothing may have died of the only suspect that is not over; of several nobody knows which.
std::optional<base::ConnId> Probation::culprit(EngineEnd how, const Named& named,
                                               const std::vector<Suspect>& tried) {
  base::ConnId with = base::kNoConn;
  for (const Suspect& s : tried) {
    if (named.somebody ? s.conn == named.conn : tried.size() == 1) with = s.conn;
  }
  if (with == base::kNoConn) return {};
  if (blamed_ != with) ends_ = 0;
  blamed_ = with;
  ++ends_;
  const bool proven = how == EngineEnd::fault && named.somebody;
  if (!proven && ends_ < kEndsThatProve) return {};
  blamed_.reset();
  return with;
}

std::vector<base::ConnId> Probation::begin(std::vector<Suspect> suspects, std::int64_t now_ms) {
  std::stable_sort(suspects.begin(), suspects.end(), [this](const Suspect& a, const Suspect& b) {
    const bool a_named = a.conn == last_named_;
    const bool b_named = b.conn == last_named_;
    return a_named != b_named ? a_named : a.bytes > b.bytes;
  });
  running_ = true;
  begun_ = 0;
  began_ms_ = now_ms;
  current_.reset();
  tried_.clear();
  waiting_.assign(suspects.begin(), suspects.end());
  return next({}, now_ms);
}

void Probation::cleared(base::ConnId conn, std::uint64_t in_ack) {
  const auto over = [&](const Suspect& s) { return s.conn == conn && in_ack >= s.end; };
  const auto it = std::find_if(tried_.begin(), tried_.end(), over);
  if (it == tried_.end()) return;
  tried_.erase(it);
  if (current_ == conn) current_.reset();
}

bool Probation::waits_for_current(const Named& named, std::int64_t now_ms) {
  if (!current_) return false;
  if (named.conn == *current_) named_ms_ = now_ms;
  const std::int64_t waited_ms = now_ms - current_since_ms_;
  if (!named.known) return waited_ms < kBlind_ms;
  return now_ms - named_ms_ < kQuiet_ms && waited_ms < kEach_ms;
}

std::vector<base::ConnId> Probation::next(const Named& named, std::int64_t now_ms) {
  if (!running_ || waits_for_current(named, now_ms)) return {};
  const bool late = now_ms - began_ms_ > kAll_ms || begun_ >= kSuspectsMax;
  if (late || waiting_.empty()) {
    std::vector<base::ConnId> rest;
    for (const Suspect& s : waiting_) rest.push_back(s.conn);
    waiting_.clear();
    current_.reset();
    running_ = false;
    return rest;
  }
  tried_.push_back(waiting_.front());
  current_ = waiting_.front().conn;
  waiting_.pop_front();
  current_since_ms_ = named_ms_ = now_ms;
  ++begun_;
  return {*current_};
}

}  // namespace berth::gateway::edge
