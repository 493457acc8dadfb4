// Which commands devices of this partition have been told, so that an answer without an id finds
// the home of its command: vendors' answers have none (command_results.h, kUnnamed), and commands
// that go over one connection may have homes in several partitions. In memory: a new engine knows
// nothing until the homes have told it again (result_router.h); such an answer that comes before is
// not taken where several homes are possible. Owned by ResultRouter. One shard, one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/string_map.h"

namespace berth::platform {

class Told {
 public:
  static constexpr std::size_t kMax = 10'000;              // commands
  static constexpr std::size_t kMaxOfTenant = kMax / 2;    // so that others have room

  // `device`: Ledger::device_key() of the one that is told. `until`: no answer is awaited then.
  void add(std::uint64_t tag, std::string_view device, std::string_view type, std::string_view id,
           base::Instant until);
  void forget(std::uint64_t tag);
  // This device has said what became of the command `id`.
  void answered(std::string_view device, std::string_view id);
  // What was told before is not known here: take() has nothing until then. For the devices of a
  // tenant that is told more than there is room for, the same.
  void unsure(base::Instant until) { sure_from_ = std::max(sure_from_, until); }
  // What was told before is known now.
  void sure() { sure_from_ = {}; }
  // An answer without an id has come: the tag of the one command of this type that waits for it,
  // which is forgotten. Nothing: none waits, or several do, or one may that is not known.
  std::optional<std::uint64_t> take(std::string_view device, std::string_view type,
                                    base::Instant now);
  void sweep(base::Instant now);
  std::size_t size() const { return told_.size(); }

 private:
  struct One {
    std::string device;
    std::string type;
    std::string id;
    base::Instant until;
  };
  struct Tenant {
    std::size_t told = 0;
    base::Instant sure_from{};
  };
  base::Instant sure_from_{};
  base::StringMap<Tenant> tenants_;                         // with commands, or that are unsure
  std::map<std::uint64_t, One> told_;                       // by tag
  std::set<std::pair<std::string, std::uint64_t>> places_;  // device, tag
};

}  // namespace berth::platform
