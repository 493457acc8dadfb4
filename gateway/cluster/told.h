// Limits log lines about a peer that fails again and again: one line at once, then one a minute
// while it goes on. Bounded: of more than kNames peers the one with the smallest name is forgotten,
// and its next line is due at once. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace berth::gateway::cluster {

class Told {
 public:
  static constexpr std::size_t kNames = 256;
  static constexpr std::int64_t kAgain_ns = 60'000'000'000;

  // Is a line of `what` about `name` due? If so, it counts as written.
  bool due(const std::string& name, const std::string& what, std::int64_t now_ns) {
    if (told_.size() >= kNames && !told_.contains(name)) told_.erase(told_.begin());
    Last& last = told_[name];
    if (last.at_ns != 0 && last.what == what && now_ns - last.at_ns < kAgain_ns) return false;
    last = {what, now_ns};
    return true;
  }

 private:
  struct Last {
    std::string what;
    std::int64_t at_ns = 0;
  };
  std::map<std::string, Last> told_;
};

}  // namespace berth::gateway::cluster
