// Engines come and go, connections stay (docs/design.md, "Attach and replay"): connections are
// attached to the engine that serves their partition, and what none has acknowledged is replayed.
// After deaths without evidence suspects are replayed one at a time (probation.h). A room of the
// edge; the shard's thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "gateway/edge/acceptor.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/edge_context.h"
#include "gateway/edge/endings.h"
#include "gateway/edge/output.h"
#include "gateway/edge/poison_guard.h"
#include "gateway/edge/probation.h"

namespace berth::gateway::edge {

class Attachments final : private EdgeRoom {
 public:
  Attachments(EdgeContext& cx, Output& output, Endings& endings, Acceptor& acceptor,
              PoisonGuard& poison)
      : EdgeRoom(cx),
        output_(output),
        endings_(endings),
        acceptor_(acceptor),
        poison_(poison),
        probation_timer_(io_) {}

  void cancel() { probation_timer_.cancel(); }
  // REQUIRES: the connection's engine serves, and does not know it.
  void attach(Connection& c);
  // As EdgeShard's. REQUIRES: the partition's engine survives_engine().
  void engine_gone(std::uint32_t partition, EngineEnd how, std::int64_t silent_since_ns,
                   const EngineName& who);
  void engine_ready(std::uint32_t partition);

 private:
  void replay(Connection& c);
  std::uint64_t ended_by_us() const;
  void tell_passage(std::uint32_t partition, std::size_t held);

  // attachments_probation.cc
  void judge(Served& served, EngineEnd how);
  static std::size_t unacknowledged(const Connection& c);
  std::vector<base::ConnId> begin_probation(std::uint32_t partition,
                                            const std::vector<base::ConnId>& all);
  void look_at_probation();
  void go_on_with_probation(Served& served);

  Output& output_;
  Endings& endings_;
  Acceptor& acceptor_;
  PoisonGuard& poison_;
  boost::asio::steady_timer probation_timer_;
};

}  // namespace berth::gateway::edge
