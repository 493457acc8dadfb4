// Sends what devices say of commands to the homes of these commands. The device that says it may
// carry out commands of other devices (a camera those of its barrier), whose homes are other
// partitions: the result goes to the home of each device whose commands go over this connection,
// and the ledger there takes it if the command is its own. Owned by Commands. One shard, one
// thread.
#pragma once

#include <cstdint>
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
class Word;
}  // namespace pb

// The partition that decides about a device.
std::uint32_t home_of(std::string_view tenant, std::string_view device, std::uint32_t partitions);

class ResultRouter {
 public:
  static constexpr std::int64_t kToldMs = 600'000;  // an answer without an id may come until then
  // A new engine does not know what the one before it has told; after this time few wait for that.
  static constexpr std::int64_t kUnsureMs = 120'000;

  ResultRouter(Notes& notes, std::uint32_t partitions) : notes_(notes), partitions_(partitions) {}
  void use(const CommandWays& ways) { ways_ = &ways; }

  // The engine begins to serve.
  void begin(base::Instant now) { told_.unsure(now.plus_ms(kUnsureMs)); }
  // A command is handed out here; `now` by the clock of messages, as below.
  void dispatched(const pb::Dispatch& d, base::Instant now);
  // What became of its bytes.
  void word(const pb::Word& w);
  // `id`: or kUnnamed and a type.
  void result(std::string_view tenant, std::string_view device, std::string_view id,
              const Result& r, base::Instant now);
  void sweep(base::Instant now) { told_.sweep(now); }

 private:
  std::vector<std::uint32_t> homes(std::string_view tenant, std::string_view device) const;

  Notes& notes_;
  std::uint32_t partitions_;
  const CommandWays* ways_ = nullptr;
  Told told_;
};

}  // namespace berth::platform
