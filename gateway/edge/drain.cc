#include "gateway/edge/drain.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace berth::gateway::edge {

namespace {
constexpr auto kStep = std::chrono::milliseconds(50);
constexpr std::uint32_t kStepsPerSecond = 20;
}  // namespace

void Drain::begin(Which which, std::uint32_t per_second, Elsewhere elsewhere) {
  elsewhere_ = std::move(elsewhere);
  at_ = 0;
  which_ = which;
  step(per_second);
}

void Drain::step(std::uint32_t per_second) {
  // Where there are no other edges the devices wait for our successor, whatever the pace.
  const auto pace =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(per_second, others_admit_per_s_));
  std::uint32_t left = std::max<std::uint32_t>(1, pace / kStepsPerSecond);
  for (; at_ < slab_.size() && left != 0; ++at_) {
    Connection& c = slab_[at_];
    if (c.state != Connection::State::open || (which_ == Which::tls && c.tls == nullptr)) continue;
    calls_.end(c);
    --left;
  }
  calls_.turn_ends();
  if (at_ >= slab_.size()) return;
  timer_.expires_after(kStep);
  timer_.async_wait([this, per_second](boost::system::error_code ec) {
    if (!ec) step(per_second);
  });
}

}  // namespace berth::gateway::edge
