// What an engine of a cluster says of a partition that it serves, and that it is to give the
// partition to another engine: AskKind::partition, questions and answers in JSON:
//
//   {"do": "show"} -> {"partition", "host", "pid", "process", "term", "sessions", "others"}
//   {"do": "move", "process": TEXT} -> the same with "moving": true, or {"refused": TEXT}; a
//   process
//     that is not this one is refused: who asks has seen another engine
//   {"do": "hold", "for_s": N} -> the same: the balance moves nothing for so long
//
// `others`: engines that could serve it. On the engine's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace berth::gateway::cluster {

struct PartitionFacts {
  std::uint32_t partition = 0;
  std::uint64_t process = 0;
  std::uint64_t term = 0;
  std::uint64_t sessions = 0;
  std::size_t others = 0;
  std::int64_t hold_s = 0;  // the balance leaves partitions where they are for so long
};

// What an engine does for operators; the result says why not.
struct PartitionActs {
  std::function<std::string()> give_away;  // empty: the move has begun, or had
  std::function<void(std::int64_t for_s)> hold;
};
inline constexpr std::int64_t kHoldMax_s = 86'400;

std::string answer_about_partition(std::string_view question, const PartitionFacts& facts,
                                   const PartitionActs& acts);

}  // namespace berth::gateway::cluster
