// Results without an open command, until the store has said whether the command has its outcome:
// such a result stands beside the outcome. A live record each, in the batch of the message that
// says it: its PUBACK waits for this batch, and an engine after this one looks the command up.
// Owned by the Ledger. One shard, one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/string_map.h"
#include "platform/command.h"
#include "platform/command_record.h"
#include "platform/records.h"

namespace berth::platform {

// The record of a command with its outcome.
std::string final_key(std::string_view tenant, std::string_view id);

struct LateResult {
  std::string tenant;
  std::string id;
  std::string device;  // who says it
  Result result;
  At at;
  bool elsewhere = false;  // other partitions have been told too
};

class LateResults {
 public:
  static constexpr int kTries = 60;  // a second apart: the store may fail over to another one

  // The command as the store has it; null: it has none, or can't be read. Once for each, in the
  // batch that forgets the result.
  using Decide = std::function<void(const LateResult&, const Entry*)>;
  // `records` outlives it. Beyond `max` no more are looked up: a device may make up ids as it
  // likes.
  LateResults(Records& records, std::size_t max, Decide decide)
      : records_(records), max_(max), decide_(std::move(decide)) {}
  LateResults(const LateResults&) = delete;
  LateResults& operator=(const LateResults&) = delete;

  // -- restored; looked up with the first expire()
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view record);
  void forget(std::string_view key);

  // False: there is no room for it.
  bool take(LateResult late);
  // By the clock of messages.
  base::Instant next_due() const { return again_.empty() ? base::kNever : again_at_; }
  void expire(base::Instant now);

 private:
  struct Waiting {
    LateResult late;
    int tries = kTries;
  };

  void write(const std::string& key, const LateResult& late);
  void look_up(const std::string& key);
  void looked_up(const std::string& key, base::result<std::vector<session::StoredRecord>> found);

  Records& records_;
  std::size_t max_;
  Decide decide_;
  base::StringMap<Waiting> waiting_;  // by the keys of their records
  std::vector<std::string> again_;    // of these, those that wait for the store
  base::Instant again_at_;            // then they are looked up again
};

}  // namespace berth::platform
