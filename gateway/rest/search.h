// Which records a list shows: ?q= ?label= ?site= ?product= ?enabled= (docs/registry.md, "Search").
// Looks into the stored bytes without making records of them: a list of 100,000 devices that shows
// none takes 15 ms of the loop, in parts of 100 records. One thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/admin/message.h"
#include "gateway/registry/records.h"

namespace berth::gateway::registry {

class Search {
 public:
  // How many records one request looks at; more: the answer ends there, with a place to go on.
  static constexpr std::size_t kLookedAtMax = 200'000;

  // Of the parameters that are there. REQUIRES: fault_of() is empty.
  explicit Search(const admin::Request& r, std::size_t looks = kLookedAtMax);
  // Why its parameters are refused; empty: they are good.
  static std::string fault_of(const admin::Request& r);

  // Counts a record, whether its caller may see it or not. False: no further one in this request.
  bool may_look() { return looked_at_ < looks_ && ++looked_at_ != 0; }
  // `value`: serialized.
  bool admits(const Key& key, std::string_view value) const;

 private:
  bool has_label(std::string_view entry) const;

  std::string q_;                  // folded; empty: any
  std::string label_;              // its name; empty: any
  std::optional<std::string> is_;  // and its value; nothing: any
  std::string site_, product_;     // empty: any
  std::optional<bool> enabled_;
  std::size_t looks_;
  std::size_t looked_at_ = 0;
};

}  // namespace berth::gateway::registry
