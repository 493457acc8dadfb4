// One partition of the sessions in an engine process (ADR 8, 10): links to edges, the election, the
// store, the engine while it serves. Several live in one process, on its main thread; the store is
// taken and restored on a thread of its own while heartbeats go on.
//
// standby -> starting (an edge nominates us, or the store is free) -> serving -> leaving (the
// process ends, or gives this partition to another), or fenced: another engine has taken the store.
// Then it ends and its owner makes a new one, a standby again.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random_id.h"
#include "gateway/cluster/departure.h"
#include "gateway/cluster/edge_roster.h"
#include "gateway/cluster/lease_watch.h"
#include "gateway/cluster/login_keeper.h"
#include "gateway/cluster/partition_edges.h"
#include "gateway/cluster/store_taker.h"
#include "gateway/cluster/store_view.h"
#include "gateway/config/config.h"

namespace berth::gateway::cluster {

// What the partitions of one engine process have in common.
struct EngineProcess {
  std::uint64_t id = base::random_id();
  std::uint64_t started_ms = 0;
  bool ending = false;
  std::string unfit;                             // what is wrong with its files; empty: nothing
  std::function<std::uint64_t()> held;           // partitions it serves or is about to
  const registry::Registry* registry = nullptr;  // null: none
  std::function<void()> beat_all;                // statuses to all edges, within a long turn too
  // With answers of the process, before it serves a partition.
  std::function<void(engine::EngineShard&, std::uint32_t partition)> equip;
  Reload* reload = nullptr;           // of the process
  tracing::Tracer* traces = nullptr;  // the same; null: nothing is traced
};

class PartitionServer final : private PartitionEdges::Owner {
 public:
  struct Events {
    std::function<void()> fenced;               // once; replace this, but not in this call
    std::function<void()> ended;                // once, after leave(); the same
    std::function<void(int exit_code)> failed;  // this process can never serve
    std::function<void()> serves;               // inputs run from now on
    std::function<void()> stops;                // it does not serve from now on
  };
  PartitionServer(boost::asio::io_context& io, const Config& config, std::uint32_t partition,
                  const EngineProcess& process, std::atomic<std::uint64_t>& poison,
                  std::atomic<std::uint64_t>& progress, Events events);
  ~PartitionServer();
  PartitionServer(const PartitionServer&) = delete;
  PartitionServer& operator=(const PartitionServer&) = delete;

  void start();
  // An edge has said hello; refuses or keeps it.
  void adopt(const std::shared_ptr<LinkedEdge>& edge, const protocol::link::Hello& hello) {
    edges_.adopt(edge, hello);
  }
  // Gives up the partition: commits the effects of all inputs, gives the edges their steps, then
  // frees the store; the edges nominate another engine. Events::ended follows.
  void leave();
  bool leaving() const { return departure_.begun(); }
  void beat();         // every heartbeat
  void tell_status();  // to all edges
  void tell_strike(std::string_view strike) { edges_.tell_strike(strike); }
  // From a signal handler: what was worked on (a ConnId or a ForwardedWork, packed).
  void last_words(std::uint64_t work) { edges_.last_words(work); }

  std::uint32_t partition() const { return partition_; }
  protocol::link::EngineState state() const { return state_; }
  bool ready() const { return why_not_ready().empty(); }
  // A text for readyz; empty: it serves, or could. A standby could serve when it is linked to every
  // edge that the holder of the store has been linked to; if no edge is known, after a while.
  std::string why_not_ready() const;
  // See Commits; 0 while this engine does not serve the partition.
  std::int64_t unconfirmed_ms() const;
  std::size_t edges_missing() const;  // that the holder is linked to and we are not
  std::uint64_t term() const { return serving() ? term_ : newest_term_; }
  bool store_ok() const;
  const EdgeRoster& roster() const { return edges_.roster(); }
  engine::EngineShard* engine() override { return engine_.get(); }  // null: none
  bool runs_inputs() const { return edges_.gathered() && serving(); }
  metrics::EngineProbe figures();  // the engine's, where there is one, and our own

 private:
  // -- PartitionEdges::Owner
  bool serving() const override { return state_ == protocol::link::EngineState::serving; }
  protocol::link::Status status() const override;
  void alive(const protocol::link::Alive& a) override;
  void gathered() override;

  void watch_store();
  void on_view(const LeaseWatch::View& v);
  void consider();
  void start_serving(std::uint64_t take_from);
  void not_taken(const StoreTaker::Taken& t);
  void serve(std::unique_ptr<engine::EngineShard> engine, std::uint64_t number);
  void on_fenced();
  void set_state(protocol::link::EngineState s);
  void tell_roster();
  void await_successor();
  void hand_over();
  void await_quiet();
  void end();
  void after(std::chrono::milliseconds time, std::function<void()> f);
  void post(std::function<void()> f);  // runs f unless this object is gone by then

  boost::asio::io_context& io_;
  const Config config_;  // its own: each partition has keys of its own in the store
  const std::uint32_t partition_;
  const EngineProcess& process_;
  Events events_;
  const std::uint64_t engine_id_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  PartitionEdges edges_;
  boost::asio::steady_timer wait_;
  std::atomic<std::uint64_t>& poison_;
  std::atomic<std::uint64_t>& progress_;
  std::unique_ptr<metrics::EngineProbe> probe_;  // the engine's
  std::unique_ptr<engine::EngineShard> engine_;
  std::unique_ptr<LeaseWatch> watch_;
  std::unique_ptr<LoginKeeper> logins_;  // null: the store is not Redis
  StoreTaker taker_;
  StoreView store_;
  Departure departure_;
  protocol::link::EngineState state_ = protocol::link::EngineState::standby;
  std::uint64_t term_ = 0;
  std::uint64_t newest_term_ = 0;
  const std::int64_t began_ns_;
  base::Instant told_;              // when edges were told our status
  std::int64_t not_before_ns_ = 0;  // of the next try to take the store
  bool fenced_ = false;
};

}  // namespace berth::gateway::cluster
