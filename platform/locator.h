// Where a device is connected, asked of the other partitions by notes: for a request over MQTT,
// which arrives at the device's home without anybody having looked. Owned by Commands. One shard,
// one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "platform/notes.h"

namespace berth::platform {

class Locator {
 public:
  static constexpr std::size_t kMax = 10'000;  // questions that wait
  static constexpr std::int64_t kWaitMs = 1000;

  // `notes` outlives it.
  Locator(Notes& notes, std::uint32_t partition, std::uint32_t partitions)
      : notes_(notes), partition_(partition), partitions_(partitions) {}

  // Calls `found` once, with the partition + 1; 0: no partition has it, or none has said so in
  // time.
  using Found = std::function<void(std::uint32_t)>;
  void find(std::string_view tenant, std::string_view device, base::Instant now, Found found);
  // From a partition that was asked.
  void answered(std::uint64_t number, std::uint32_t source, bool online);
  // At the end of a turn: gives up on questions that are too old.
  void expire(base::Instant now);

 private:
  struct Question {
    std::uint32_t missing = 0;
    base::Instant until;
    Found found;
  };
  Notes& notes_;
  std::uint32_t partition_;
  std::uint32_t partitions_;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, Question> questions_;
};

}  // namespace berth::platform
