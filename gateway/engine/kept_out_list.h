// Whom edges have told an engine to keep out (I12): principals are refused at log-in, a tenant in
// the list is let in at one log-in a second. At most 20,000; one thread.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <vector>

#include "protocol/link/types.h"

namespace berth::gateway::engine {

class KeptOutList {
 public:
  static constexpr std::size_t kMax = 20'000;
  void add(const std::vector<protocol::link::KeptOut>& list, std::int64_t now_s) {
    for (const protocol::link::KeptOut& k : list) {
      if (k.seconds == 0) {
        list_.erase(k.id);
      } else if (list_.size() < kMax || list_.contains(k.id)) {
        list_[k.id].until_s = now_s + k.seconds;
      }
    }
  }
  bool has(const protocol::link::PrincipalId& id, std::int64_t now_s) {
    if (list_.empty()) return false;
    const auto it = list_.find(id);
    if (it == list_.end()) return false;
    if (it->second.until_s > now_s) return true;
    list_.erase(it);
    return false;
  }
  // Once a second for what is in the list.
  bool may_pass(const protocol::link::PrincipalId& id, std::int64_t now_s) {
    if (!has(id, now_s)) return true;
    std::int64_t& last_s = list_[id].passed_s;
    if (last_s == now_s) return false;
    last_s = now_s;
    return true;
  }

 private:
  struct Entry {
    std::int64_t until_s = 0;
    std::int64_t passed_s = 0;
  };
  boost::unordered_flat_map<protocol::link::PrincipalId, Entry, protocol::link::PrincipalIdHash>
      list_;
};

}  // namespace berth::gateway::engine
