// Which commands there are, by device, site and time of acceptance; and how long their records are
// kept. The record itself is under the command's id (ledger.h). Owned by Commands. One shard, one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/ledger.h"
#include "platform/records.h"

namespace berth::platform {

struct Keep {
  std::int64_t days = 90;
  std::uint64_t bytes = std::uint64_t{4} << 30;  // of records and their keys, as far as is known
};

class CommandIndex {
 public:
  static constexpr std::size_t kPageMax = 200;    // commands of a page
  // Commands that one call looks at: with rare matches a page may be short, or empty, and there is
  // more behind it.
  static constexpr std::size_t kLookMax = 2000;
  static constexpr std::size_t kPageBytes =
      512 * 1024;  // a page ends with the command that reaches it
  static constexpr std::size_t kSweepMax = 1000;  // removed in a second

  struct Query {
    std::string tenant;
    std::string device;  // or
    std::string site;    // both empty: all of the tenant
    std::int64_t from_ms = 0;
    std::int64_t to_ms = INT64_MAX;
    std::string after;       // where the last page has ended; empty: from the newest
    std::size_t count = 50;  // of the page
    std::function<bool(const Entry&)> is_wanted;  // empty: all are
  };
  struct Page {
    std::vector<Entry> commands;    // the newest first
    std::vector<std::string> ends;  // of each, as Query::after
    std::string last;               // of the last one before the next page, wanted or not
    // Another one that is wanted is behind it, or so much was looked at. Commands that are not
    // wanted may be hidden from the caller: they say nothing.
    bool more = false;
    bool failed = false;            // the store can't be read now
  };
  using Done = std::function<void(Page)>;

  // Both outlive it.
  CommandIndex(Records& records, Ledger& ledger, Keep keep)
      : records_(records), ledger_(ledger), keep_(keep) {}

  static bool is_key(std::string_view key);  // of its live record
  void restored(std::string_view value);

  // In the batch that accepts it.
  void accepted(const Entry& e);
  // In the batch that ends it: so many bytes are kept from now on.
  void ended(const Entry& e);
  void list(Query q, Done done);
  // About once a second: removes what is too old or too much, a part at a time. `others`: bytes of
  // Keep::bytes that claims have.
  void sweep(std::int64_t wall_ms, std::uint64_t others = 0);
  std::uint64_t kept_bytes() const { return bytes_; }
  std::uint64_t swept() const { return swept_; }

 private:
  struct Walk;
  void read_on(const std::shared_ptr<Walk>& walk);
  void fetch(const std::shared_ptr<Walk>& walk);
  void fetch_one(const std::shared_ptr<Walk>& walk);
  void keep_count();

  Records& records_;
  Ledger& ledger_;
  Keep keep_;
  std::uint64_t bytes_ = 0;
  std::uint64_t bytes_stored_ = 0;  // as the live record has it
  std::uint64_t swept_ = 0;
  bool sweeping_ = false;
  // Where the sweep goes on: behind commands that are too old and have no outcome. Empty: from the
  // oldest.
  std::string sweep_from_;
};

}  // namespace berth::platform
