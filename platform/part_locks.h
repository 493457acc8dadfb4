// The parts (a barrier: an executor and the child behind it) that have an immediate command without
// an outcome, where the devices that stand for one part have different homes: a camera that is
// commanded by its own name, and the barrier whose executor it is. The ledger of one home does not
// know of the other's commands; the partition with the executor's session hands out all of them, so
// it keeps the lock. A live record for each, so that an engine after this one keeps it too. Owned
// by Commands. One shard, one thread; times by the clock of messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/string_map.h"
#include "platform/command_record.h"
#include "platform/command_ways.h"
#include "platform/notes.h"
#include "platform/records.h"

namespace berth::platform {

class PartLocks {
 public:
  static constexpr std::size_t kMax = 100'000;  // parts; beyond that none can be locked

  // `records` outlives it.
  explicit PartLocks(Records& records) : records_(records) {}

  // -- restored
  static bool is_key(std::string_view key);
  void restored(std::string_view key, std::string_view value);
  void forget(std::string_view key);

  // For the command that is about to be handed out. False: another one has the part, or there is no
  // room.
  bool take(std::uint64_t tag, const Entry& e, base::Instant now);
  // By another command than `id`.
  bool is_taken(std::string_view tenant, const Part& part, std::string_view id,
                base::Instant now) const;
  // What became of the command's bytes.
  void word(std::uint64_t tag, Fate fate, base::Instant now);
  // The executor has said a result. `id`: or kUnnamed and a type (command_results.h).
  void answered(std::string_view tenant, std::string_view executor, std::string_view id);
  void sweep(base::Instant now);
  std::size_t size() const { return locks_.size(); }

 private:
  struct Lock {
    std::uint64_t command = 0;  // its tags, without the attempt
    std::string id;
    std::string type;
    base::Instant until;     // then its home has ended it
    base::Instant deadline;  // kNever: restored
    std::int64_t result_ms = 0;
  };
  using Locks = std::map<std::string, Lock, std::less<>>;  // by tenant NUL executor NUL child

  void release(Locks::iterator it);

  Records& records_;
  Locks locks_;
  std::map<std::uint64_t, std::string> places_;  // by command
};

}  // namespace berth::platform
