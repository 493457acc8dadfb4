// In a partitioned gateway: the first use of a command's id in a tenant, kept in the partition of
// the id, whatever device it is for. So the same id for another device, whose home is another
// ledger, is a conflict all the same. Owned by Commands. One shard, one thread.
//
// Bounds: claims have an eighth of commands.keep_bytes, which records of commands have else; the
// oldest go first, counted with these. Of claims whose answer waits for the store kAskingMax
// are looked up, kWritingMax are written, and kLineMax callers wait for one id: more are refused.
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
  static constexpr std::size_t kAskingMax = 1000;     // ids that the store is asked about
  static constexpr std::size_t kWritingMax = 20'000;  // claims that are not committed
  static constexpr std::size_t kLineMax = 100;        // callers that wait for the same id
  static constexpr std::size_t kContentMax = 64;      // bytes; a digest has 32
  static constexpr std::size_t kSweepMax = 1000;      // removed in a second

  // `bytes_max`: of keys and values in the store.
  Claims(Records& records, std::uint64_t bytes_max) : records_(records), bytes_max_(bytes_max) {}

  static bool is_key(std::string_view key);  // of its live record
  void restored(std::string_view value);

  // `answered` once, when it is durable: status 0, or 409 for another content, or 503.
  using Answered = std::function<void(const Refusal&)>;
  void claim(std::string_view tenant, std::string_view id, std::string content,
             std::int64_t wall_ms, Answered answered);
  // About once a second: forgets claims that are older, and of younger ones as many as there are
  // above the bound.
  void sweep(std::int64_t before_ms);
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t swept() const { return swept_; }

 private:
  struct Asking {
    std::string content;
    std::int64_t wall_ms = 0;
    std::vector<std::pair<std::string, Answered>> line;  // content, who waits
  };
  void put(const std::string& key, const std::string& content, std::int64_t wall_ms);
  void swept(const std::vector<session::StoredRecord>& found, std::int64_t before_ms);
  void keep_count();
  void decide(const std::string& key, base::result<std::vector<session::StoredRecord>> found);
  static void answer(const std::string& claimed, const std::string& content,
                     const Answered& answered);

  Records& records_;
  base::StringMap<Asking> asking_;        // by key
  base::StringMap<std::string> writing_;  // content, by key: put and not committed yet
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_stored_ = 0;  // as its live record says
  std::uint64_t swept_ = 0;
  bool sweeping_ = false;
};

}  // namespace berth::platform
