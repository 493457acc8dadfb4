// The way of an edge process's questions to its engines: to the one that serves a client id's
// partition, or to those of all partitions. Made where it is needed; outlived by the edge shard
// whose links it uses. Runs on that shard's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/link/ask.h"
#include "gateway/link/ports.h"

namespace berth::gateway::link {

class Asker {
 public:
  // The engine of a partition; null: the edge knows none.
  using EngineOf = std::function<EnginePort*(std::uint32_t partition)>;
  Asker(std::uint32_t partitions, EngineOf engine_of)
      : partitions_(partitions), engine_of_(std::move(engine_of)) {}

  void ask(std::string_view client_id, protocol::link::Question q, Answered answered) const {
    ask_partition(protocol::link::partition_of(client_id, partitions_), std::move(q),
                  std::move(answered));
  }
  void ask_partition(std::uint32_t partition, protocol::link::Question q, Answered answered) const {
    EnginePort* const engine = engine_of_(partition);
    if (engine == nullptr) return answered({protocol::link::AskError::not_serving, {}});
    engine->ask(std::move(q), std::move(answered));
  }
  // The clock of messages of a partition's engine, now; 0: the edge does not know it.
  std::int64_t clock_ms_of(std::uint32_t partition) const {
    EnginePort* const engine = engine_of_(partition);
    const base::Instant now = engine == nullptr ? base::kNever : engine->deadline_clock();
    return now == base::kNever ? 0 : now.ms;
  }
  // One answer a partition, by its number, when the last one has come.
  using AllAnswered = std::function<void(std::vector<Answer>)>;
  void ask_all(const protocol::link::Question& q, AllAnswered answered) const {
    struct Gathering {
      std::vector<Answer> answers;
      std::size_t missing;
      AllAnswered answered;
    };
    const auto all = std::make_shared<Gathering>(
        Gathering{std::vector<Answer>(partitions_), partitions_, std::move(answered)});
    for (std::uint32_t p = 0; p < partitions_; ++p) {
      ask_partition(p, q, [all, p](Answer a) {
        all->answers[p] = std::move(a);
        if (--all->missing == 0) all->answered(std::move(all->answers));
      });
    }
  }

 private:
  std::uint32_t partitions_;
  EngineOf engine_of_;
};

}  // namespace berth::gateway::link
