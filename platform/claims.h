// In a partitioned gateway: the first use of a command's id in a tenant, kept in the partition of
// the id, whatever device it is for. So the same id for another device, whose home is another
// ledger, is a conflict all the same. Owned by Commands. One shard, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/string_map.h"
#include "platform/ledger.h"
#include "platform/records.h"

namespace berth::platform {

class Claims {
 public:
  static constexpr std::size_t kAskingMax = 1000;  // ids that the store is asked about
  static constexpr std::size_t kSweepMax = 1000;   // removed in a second

  explicit Claims(Records& records) : records_(records) {}

  // `answered` once, when it is durable: status 0, or 409 for another content, or 503.
  using Answered = std::function<void(const Refusal&)>;
  void claim(std::string_view tenant, std::string_view id, std::string content,
             std::int64_t wall_ms, Answered answered);
  // Forgets claims that are older.
  void sweep(std::int64_t before_ms);

 private:
  struct Asking {
    std::string content;
    std::int64_t wall_ms = 0;
    std::vector<std::pair<std::string, Answered>> line;  // content, who waits
  };
  void decide(const std::string& key, base::result<std::vector<session::StoredRecord>> found);
  static void answer(const std::string& claimed, const std::string& content,
                     const Answered& answered);

  Records& records_;
  base::StringMap<Asking> asking_;        // by key
  base::StringMap<std::string> writing_;  // content, by key: put and not committed yet
  bool sweeping_ = false;
};

}  // namespace berth::platform
