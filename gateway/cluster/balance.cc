#include "gateway/cluster/balance.h"

#include <algorithm>
#include <utility>

namespace berth::gateway::cluster {

void Balance::is(std::vector<InnerEdge::Share> shares, std::int64_t now_ns) {
  if (shares != shares_) {
    shares_ = std::move(shares);
    since_ns_ = now_ns;
  }
  judge_gift(now_ns);
}

// One that is back is judged when nothing moves any more: only then it shows whether an engine had
// ended, for one that was taken for dead has its links again.
void Balance::judge_gift(std::int64_t now_ns) {
  if (!gift_) return;
  if (gift_->back && now_ns - since_ns_ >= wait_ns()) {
    if (all_live(gift_->engines)) patience_ = std::min(patience_ * 2, kLongest);
    gift_.reset();
  } else if (!gift_->back && now_ns - gift_->at_ns >= 2 * wait_ns()) {
    gift_.reset();
    patience_ = 1;
  }
}

void Balance::gives(std::uint32_t partition, std::int64_t now_ns) {
  Gift g{.partition = partition, .at_ns = now_ns, .engines = {}};
  for (const auto& s : shares_) {
    if (s.process != self_) g.engines.push_back(s.process);
  }
  gift_ = std::move(g);
  since_ns_ = now_ns;
}

void Balance::serves(std::uint32_t partition) {
  if (gift_ && gift_->partition == partition) gift_->back = true;
}

bool Balance::due(std::int64_t now_ns) const {
  return now_ns >= held_until_ns_ && now_ns - since_ns_ >= wait_ns() &&
         must_give(shares_, self_, partitions_);
}

bool Balance::all_live(const std::vector<std::uint64_t>& engines) const {
  return std::all_of(engines.begin(), engines.end(), [this](std::uint64_t e) {
    return std::any_of(shares_.begin(), shares_.end(),
                       [e](const auto& s) { return s.process == e; });
  });
}

}  // namespace berth::gateway::cluster
