// Sends what devices say of commands to the homes of these commands. The device that says it may
// carry out commands of other devices (a camera those of its barrier), whose homes are other
// partitions: the result goes to the home of each device whose commands go over this connection,
// and the ledger there takes it if the command is its own. An answer without an id goes to the home
// of the one command that waits for it; a new engine learns from all homes which these are. Owned
// by Commands. One shard, one thread.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "platform/command.h"
#include "platform/command_ways.h"
#include "platform/notes.h"
#include "platform/told.h"

namespace berth::platform {

namespace pb {
class Dispatch;
class Told;
class Word;
}  // namespace pb

// The partition that decides about a device.
std::uint32_t home_of(std::string_view tenant, std::string_view device, std::uint32_t partitions);

class Ledger;

class ResultRouter {
 public:
  static constexpr std::int64_t kToldMs = 600'000;  // an answer without an id may come until then
  // A new engine does not know what the one before it has told, until each home has said it. After
  // this time few commands wait for an answer, and it waits for no home any more.
  static constexpr std::int64_t kUnsureMs = 120'000;
  static constexpr int kTellAtOnce = 200;  // commands, in a note

  ResultRouter(Notes& notes, std::uint32_t partition, std::uint32_t partitions)
      : notes_(notes), partition_(partition), partitions_(partitions) {}
  void use(const CommandWays& ways) { ways_ = &ways; }

  // The engine begins to serve; `number` is its own, so that it tells answers to it from answers to
  // an engine before it.
  void begin(std::uint64_t number, base::Instant now);
  // The home `source` says what it has told devices of this partition.
  void told(std::uint32_t source, const pb::Told& told, base::Instant now);
  // As a home, to a new engine of another partition, or to ourselves. Of a tenant no more than one
  // above what that engine can keep: so it knows that it does not know all.
  void tell_again(const Ledger& ledger, std::uint32_t partition, std::uint64_t number);
  // A command is handed out here; `now` by the clock of messages, as below.
  void dispatched(const pb::Dispatch& d, base::Instant now);
  // What became of its bytes.
  void word(const pb::Word& w);
  // `id`: or kUnnamed and a type.
  bool result(std::string_view tenant, std::string_view device, std::string_view id,
              const Result& r, base::Instant now);  // false: which command it means is not known
  void sweep(base::Instant now) { told_.sweep(now); }
  // Of the devices whose commands go over this one's connection.
  bool has_several_homes(std::string_view tenant, std::string_view device) const {
    return partitions_ > 1 && homes(tenant, device).size() > 1;
  }

 private:
  std::vector<std::uint32_t> homes(std::string_view tenant, std::string_view device) const;

  Notes& notes_;
  std::uint32_t partition_;
  std::uint32_t partitions_;
  const CommandWays* ways_ = nullptr;
  Told told_;
  std::uint64_t number_ = 0;
  std::set<std::uint32_t> silent_;  // homes that have not told all yet
};

}  // namespace berth::platform
