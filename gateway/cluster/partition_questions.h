// What an engine of a cluster says of a partition that it serves, and that it is to give the
// partition to another engine: AskKind::partition, questions and answers in JSON:
//
//   {"do": "show"} -> {"partition", "host", "pid", "process", "term", "sessions", "others"}
//   {"do": "move"} -> the same with "moving": true, or {"refused": TEXT}
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
};

// `give_away` begins the move and returns why it can't be; empty: it has begun, or had.
std::string answer_about_partition(std::string_view question, const PartitionFacts& facts,
                                   const std::function<std::string()>& give_away);

}  // namespace berth::gateway::cluster
