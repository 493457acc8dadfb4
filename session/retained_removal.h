// Retained messages of tenants, sites and devices that have been removed or moved: found by
// filters, a share of a turn at a time. Owned by the Broker; one shard.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/retained.h"
#include "session/scope.h"
#include "session/turn_budget.h"

namespace berth::session {

class RetainedRemoval {
 public:
  // In the place of a filter, for an engine that may have missed a removal: all topics of tenants,
  // of which those go that the registry does not keep.
  static constexpr std::string_view kStale = "stale";

  // Filters of topics as they are inside: "$tenant/acme/#".
  void add(std::vector<std::string> filters) {
    for (std::string& f : filters) waiting_.push_back(std::move(f));
  }
  bool idle() const { return waiting_.empty(); }
  // Calls `remove` for each that is found, until the share of the turn is spent or `room` says no.
  void go_on(const Retained& retained, TurnBudget& budget,
             const std::function<bool(std::string_view topic)>& keeps,
             const std::function<bool()>& room,
             const std::function<void(const Retained::Expired&)>& remove) {
    while (!waiting_.empty() && budget.begin_share()) {
      const bool stale = waiting_.front() == kStale;
      const std::string filter = stale ? std::string(kTenantRoot) + "#" : waiting_.front();
      const Retained::Found found = retained.next(filter, after_, budget);
      if (found.paused) continue;  // begin_share() says whether the turn has more
      if (found.message == nullptr) {
        waiting_.pop_front();
        after_.clear();
        continue;
      }
      if (!room()) return;
      const std::string topic((*found.message)->view().topic);
      after_ = topic;
      if (stale && keeps(topic)) continue;
      budget.take(TurnBudget::kDelivery);
      remove({topic, retained.stamp_of(topic)});
    }
  }

 private:
  std::deque<std::string> waiting_;
  std::string after_;  // of the first, looked at so far
};

}  // namespace berth::session
