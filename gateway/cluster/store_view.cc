#include "gateway/cluster/store_view.h"

#include <algorithm>

#include "base/log.h"

namespace berth::gateway::cluster {

namespace {
constexpr std::size_t kMissingTextMax = 500;
}

void StoreView::see(const LeaseWatch::View& v, const std::string& warming) {
  seen_ = true;
  reachable_ = v.reachable;
  free_ = v.reachable && v.lease.holder.empty();
  reach_ = v.lease.reach;
  if (v.reachable) edges_ = v.lease.edges;
  warmed_ = v.lease.warm == warming ? v.lease.warmed : 0;
}

std::size_t StoreView::edges_missing(const EdgeRoster& here) const {
  return static_cast<std::size_t>(
      std::count_if(edges_.begin(), edges_.end(),
                    [&here](const session::RedisEdge& e) { return !here.is_linked(e.id); }));
}

std::string StoreView::text_of_missing(const EdgeRoster& here) const {
  std::string text;
  std::size_t more = 0;
  for (const session::RedisEdge& e : edges_) {
    if (here.is_linked(e.id)) continue;
    if (text.size() > kMissingTextMax) {
      ++more;
      continue;
    }
    text += fmt::format("{}edge {}", text.empty() ? "" : ", ", base::LogName{e.name});
  }
  return more == 0 ? text : text + fmt::format(" and {} more", more);
}

bool StoreView::free_for(std::int64_t now_ns, std::int64_t ns) {
  if (!free_) {
    free_since_ns_ = 0;
    return false;
  }
  if (free_since_ns_ == 0) {
    free_since_ns_ = now_ns;
    return false;
  }
  return now_ns - free_since_ns_ > ns;
}

}  // namespace berth::gateway::cluster
