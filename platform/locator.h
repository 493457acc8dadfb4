// Where a device is connected, asked of the other partitions by notes: for a request over MQTT,
// which arrives at the device's home without anybody having looked; and whether another immediate
// command has its part. Owned by Commands. One shard,
// one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "platform/command_ways.h"
#include "platform/notes.h"

namespace berth::platform {

class Locator {
 public:
  static constexpr std::size_t kMax = 10'000;  // questions that wait
  static constexpr std::int64_t kWaitMs = 1000;

  // `notes` outlives it.
  Locator(Notes& notes, std::uint32_t partition, std::uint32_t partitions)
      : notes_(notes), partition_(partition), partitions_(partitions) {}

  struct Place {
    std::uint32_t where = 0;  // the partition + 1; 0: none has it, or none has said so in time
    bool busy = false;
  };
  // Calls `found` once. `id`: of the command that asks.
  using Found = std::function<void(Place)>;
  void find(std::string_view tenant, const Part& part, std::string_view id, base::Instant now,
            Found found);
  // From a partition that was asked.
  void answered(std::uint64_t number, std::uint32_t source, bool online, bool busy);
  // At the end of a turn: gives up on questions that are too old.
  void expire(base::Instant now);

 private:
  struct Question {
    std::uint32_t missing = 0;
    base::Instant until;
    Found found;
    bool busy = false;
  };
  Notes& notes_;
  std::uint32_t partition_;
  std::uint32_t partitions_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, Question> questions_;
};

}  // namespace berth::platform
