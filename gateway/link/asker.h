// The way of an edge process's questions to its engines: to the one that serves a client id's
// partition, or to those of all partitions. Made where it is needed; outlived by the edge shard
// whose links it uses. Runs on that shard's thread.
//
// An engine's end is not an event for those who ask an edge: a question that finds no engine, or
// whose engine ends before it has answered, is asked again of the engine that follows, for at most
// kFollowerMax_ms and within the question's own limit. At most kHeldMax questions wait so; others
// get the error at once. Nonces are not asked for again: the engine that ended may have taken them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/link/ask.h"
#include "gateway/link/ports.h"
#include "metrics/probe.h"

namespace berth::gateway::link {

class Asker {
 public:
  static constexpr std::uint32_t kFollowerMax_ms = 4000;
  static constexpr int kHeldMax = 1000;
  // The engine of a partition; null: the edge knows none.
  using EngineOf = std::function<EnginePort*(std::uint32_t partition)>;
  // `io`: the thread's loop, for questions that wait for the next engine; null: they get the error
  // at once (a process that is an engine is not told of others').
  // `probe`: counts them; of the same thread, and outlives the loop's last run.
  Asker(std::uint32_t partitions, EngineOf engine_of, boost::asio::io_context* io = nullptr,
        metrics::EdgeProbe* probe = nullptr);
  ~Asker();
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  void ask(std::string_view client_id, protocol::link::Question q, Answered answered) const;
  void ask_partition(std::uint32_t partition, protocol::link::Question q, Answered answered) const;
  // The clock of messages of a partition's engine, now; 0: the edge does not know it.
  std::int64_t clock_ms_of(std::uint32_t partition) const;
  // Calls `f` when an engine serves the partition, within this call if one does; with false when
  // none did in time.
  void when_serving(std::uint32_t partition, std::function<void(bool)> f) const;
  // One answer a partition, by its number, when the last one has come.
  using AllAnswered = std::function<void(std::vector<Answer>)>;
  void ask_all(const protocol::link::Question& q, AllAnswered answered) const;

 private:
  struct Held;
  struct Waiting;
  void attempt(std::uint32_t partition, std::shared_ptr<Waiting> w) const;
  bool later(std::int64_t until_ns, std::function<void()> f) const;

  std::uint32_t partitions_;
  EngineOf engine_of_;
  std::shared_ptr<Held> held_;  // null: nothing waits
};

}  // namespace berth::gateway::link
