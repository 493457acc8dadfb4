#include "gateway/edge/admission.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace berth::gateway::edge {

namespace {
constexpr double kNs = 1e-9;
constexpr double kPrompt_s = 0.05;  // CONNECTs unanswered, as time at this rate: they are answered
constexpr double kPatience_s = 0.25;  // too many wait
constexpr double kGiveWay = 0.7;
constexpr double kFast = 2;       // growth in a step, while nothing is known of the engines
constexpr double kSlow = 1.1;     // near what was too much
constexpr double kUsed = 0.25;    // of the rate: less than this is no use of it
constexpr double kSink = 0.95;    // in a step without use
constexpr double kForget = 0.98;  // of what was learned, in a step that was needed
constexpr double kBehind = 0.2;   // of those answered, more than this have come to wait
}  // namespace

Admission::Admission(std::uint32_t ceiling_per_s) {
  limit_to(ceiling_per_s);
  rate_ = std::min(kStart, ceiling_);
}

void Admission::limit_to(std::uint32_t ceiling_per_s) {
  ceiling_ = ceiling_per_s == 0 ? kMax : std::min<double>(ceiling_per_s, kMax);
  rate_ = std::min(rate_, ceiling_);
}

bool Admission::admit(std::int64_t now_ns, std::size_t waiting) {
  const std::int64_t step = now_ns - step_ns_;
  const bool quick = step >= kQuick_ns && refused_ && rate_ < threshold_ &&
                     2 * answered_ >= admitted_ && keep_up(waiting);
  if (step >= kStep_ns || quick) learn(now_ns, waiting);
  const double gained = static_cast<double>(now_ns - std::exchange(filled_ns_, now_ns)) * kNs;
  const double depth = std::max(rate_ * static_cast<double>(kStep_ns) * kNs, 1.0);
  tokens_ = std::min(tokens_ + gained * rate_, depth);
  if (tokens_ < 1) {
    refused_ = true;
    return false;
  }
  tokens_ -= 1;
  ++admitted_;
  return true;
}

void Admission::give_back() {
  tokens_ += 1;
  if (admitted_ != 0) --admitted_;
}

void Admission::begin_with(std::uint32_t learned_per_s) {
  learned_ = std::min<double>(learned_per_s, kMax);
  rate_ = start();
}

double Admission::start() const {
  return std::min(std::max(kStart, learned_ / 2), ceiling_);
}

// As many CONNECTs are answered as come.
bool Admission::keep_up(std::size_t waiting) const {
  return static_cast<double>(waiting) <=
         static_cast<double>(waiting_before_) + 1 + kBehind * static_cast<double>(answered_);
}

// Judges the step that has ended; of those since then nobody has had any use.
void Admission::learn(std::int64_t now_ns, std::size_t waiting) {
  const double in_a_step = rate_ * static_cast<double>(kStep_ns) * kNs;
  const double unanswered_s = static_cast<double>(waiting) / rate_;
  const bool needed = refused_ || static_cast<double>(admitted_) >= in_a_step * kUsed;
  if (unanswered_s > kPatience_s) {
    if (waiting >= waiting_before_) give_way();  // else it has done what was needed
  } else if (refused_ && unanswered_s <= kPrompt_s) {
    const bool fast = rate_ < threshold_ && keep_up(waiting);
    rate_ = std::min(rate_ * (fast ? kFast : kSlow), ceiling_);
  }
  const double step_s = static_cast<double>(now_ns - step_ns_) * kNs;
  if (needed) learned_ = std::max(learned_ * kForget, static_cast<double>(answered_) / step_s);
  const double idle = static_cast<double>((now_ns - step_ns_) / kStep_ns - (needed ? 1 : 0));
  if (idle > 0) sink(idle);
  waiting_before_ = waiting;
  step_ns_ = now_ns;
  admitted_ = 0;
  answered_ = 0;
  refused_ = false;
}

void Admission::give_way() {
  threshold_ = std::max(rate_ * kGiveWay, std::min(kStart, ceiling_));
  rate_ = std::max(rate_ * kGiveWay, std::min(kFloor, ceiling_));
}

void Admission::sink(double steps) {
  const double least = start();
  if (rate_ > least) rate_ = std::max(rate_ * std::pow(kSink, steps), least);
  if (rate_ <= least) threshold_ = kMax;  // what was learned then need not hold any more
}

}  // namespace berth::gateway::edge
