#include "gateway/uplink/trial.h"

#include <utility>

namespace berth::gateway::uplink {
namespace {

constexpr int kStrikes = 2;
constexpr int kProofs = 2;
constexpr int kStrikesAlone = 10;         // of the only device that says something
constexpr std::size_t kAtOnceMax = 8192;  // above it there is no limit

}  // namespace

void Trial::acknowledged(std::uint64_t place) {
  fruitless_ = 0;
  if (place == probe_) {
    works_ = true;
    probe_ = 0;
  } else if (suspect_ == 0 || place == suspect_) {
    suspect_ = 0;
    probe_ = 0;
    again_ = false;
    if (at_once_ != SIZE_MAX) at_once_ *= 2;
    if (at_once_ > kAtOnceMax) at_once_ = SIZE_MAX;
  }
}

// The next loss names another probe.
void Trial::gone(std::uint64_t place) {
  if (place == probe_) probe_ = 0;
  if (place == suspect_) suspect_ = probe_ = 0;
}

bool Trial::lost(const Loss& l) {
  if (l.unacknowledged == 0) return false;
  if (++fruitless_ >= 2) at_once_ = 1;
  if (!l.front_alone) {
    if (probe_ != 0 && l.unacknowledged == 1) probe_ = l.other(probe_);
    return false;
  }
  if (suspect_ != l.front) {
    suspect_ = l.front;
    strikes_ = proofs_ = 0;
    works_ = false;
  }
  ++strikes_;
  proofs_ += std::exchange(works_, false) ? 1 : 0;
  if (proofs_ >= (again_ ? 1 : kProofs)) {
    suspect_ = 0;
    fruitless_ = 0;
    again_ = true;
    return true;
  }
  if (strikes_ >= (again_ ? 1 : kStrikes)) probe_ = l.other(0);
  const bool likely = proofs_ != 0 || strikes_ >= kStrikesAlone;
  if (probe_ == 0 && likely && l.same) probe_ = l.same();
  return false;
}

}  // namespace berth::gateway::uplink
