// The engines of a cluster as one edge shard sees them for one partition: it has a link to each
// engine, knows which one serves the partition, and nominates one if none does (ADR 8, 10). Lives
// on the shard's thread.
//
// One engine at a time holds the store and serves; its term is the store's number for it. An edge
// follows the highest term it hears of. When it has no engine, or its engine cannot reach the store
// while another can, it nominates an engine that is ready: of those that hold the fewest partitions
// the youngest. In a rolling deploy that is one of the new version, so connections move once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/cluster/dead_engines.h"
#include "gateway/cluster/told.h"
#include "gateway/edge/edge_shard.h"
#include "gateway/link/edge_link.h"
#include "gateway/link/tls.h"

namespace berth::gateway::cluster {

struct EngineSetOptions {
  std::uint64_t edge_id = 0;     // random; names this shard to engines while it lives
  std::uint64_t generation = 0;  // of the last link; a successor goes on from its predecessor's
  std::string name;              // for people
  std::uint32_t partition = 0;
  std::uint32_t partitions = 1;
  bool internal = false;      // an engine's own edge
  std::size_t input_cap = 0;  // bytes kept of a connection: an engine's packets must fit
  std::size_t output_cap = 0;
  std::uint32_t heartbeat_ms = 250;
  std::uint32_t missed = 3;                      // heartbeats, then a link is taken for broken
  const link::TlsContext* tls = nullptr;         // null: none
  std::function<void()> first_ready;             // once: an engine serves us
  std::function<void(std::string_view)> strike;  // another edge says it
  DeadEngines* dead = nullptr;                   // of all shards and partitions; null: not counted
};

class EngineSet {
 public:
  using Endpoint = boost::asio::ip::tcp::endpoint;

  EngineSet(boost::asio::io_context& io, edge::EdgeShard& edge, EngineSetOptions options);
  ~EngineSet();

  void start();
  // The addresses of engines. A link to an address that is not in the list stays until it breaks.
  void use_endpoints(const std::vector<Endpoint>& endpoints);
  // Sends goodbye to the engine that serves and closes all links. REQUIRES: all connections of the
  // shard have ended.
  void leave();
  // Closes all links and stops the tick while another process may take the connections; resume()
  // begins again.
  void suspend();
  void resume() { start(); }
  std::uint64_t edge_id() const { return options_.edge_id; }
  std::uint64_t generation() const { return generation_; }
  bool serving() const { return current_ != nullptr; }
  // An engine has died of one of our connections: the engines pass the strike on to other edges.
  void tell_strike(std::string_view strike);
  // Since when no engine has served well (runtime/absence.h), ns; 0: one does.
  std::int64_t absent_ns(std::int64_t now_ns) const { return absence_.ns(now_ns); }

  struct EngineInfo {
    std::string address;
    std::string state;  // connecting, standby, starting, serving, leaving
    std::uint64_t term = 0;
    bool current = false;
    std::string failure;  // why there is no link; empty: there is, or it was not tried yet
    protocol::link::Status status;
  };
  std::vector<EngineInfo> engines() const;

 private:
  struct Candidate {
    Endpoint at;
    std::unique_ptr<link::EdgeLink> link;
    bool listed = true;
    bool welcomed = false;
    std::string refusal;  // what the engine has said before it ends the link
    bool doomed = false;  // to be dropped at the next tick
    std::uint64_t engine_id = 0;
    protocol::link::Status status;
    std::string failure;  // why it is not linked, as it was logged last
    std::int64_t failure_told_ns = 0;
    std::int64_t retry_at_ns = 0;
    std::int64_t retry_after_ns = 0;
    Told refusals;
    std::int64_t store_bad_since_ns = 0;
  };
  // Stands for an engine while none serves: the edge keeps the input.
  class Nobody final : public link::EnginePort {
    bool serving() const override { return false; }
    bool survives_engine() const override { return true; }
    void attach(const protocol::link::Attach&) override {}
    void attached_all() override {}
    std::size_t input(base::ConnId, std::uint64_t, std::uint64_t, base::ByteView) override {
      return 0;
    }
    void closed(base::ConnId, protocol::link::CloseReason) override {}
    void credit(base::ConnId, std::uint64_t) override {}
    void turn_end() override {}
    void accepted(std::uint32_t, std::uint64_t) override {}
  };

  void connect(Candidate& c);
  void on_welcome(Candidate& c, const protocol::link::Welcome& w);
  void on_status(Candidate& c, const protocol::link::Status& s);
  void on_ready(Candidate& c);
  // `silent_since_ns`: it said nothing since then; 0: it has ended now.
  void drop(Candidate& c, const std::string& why, std::int64_t silent_since_ns = 0);
  void tell_failure(Candidate& c, const std::string& why);
  void on_refused(Candidate& c, const std::string& why);
  void release_current(edge::EngineEnd how, std::int64_t silent_since_ns = 0);
  void tick();
  void arm_tick();
  void say_alive();
  bool need_engine(std::int64_t now_ns) const;
  const Candidate* best() const;
  void suspect(protocol::link::ForwardedWork w);
  void apply(const protocol::link::Settings& settings);

  boost::asio::io_context& io_;
  edge::EdgeShard& edge_;
  EngineSetOptions options_;
  Nobody nobody_;
  boost::asio::steady_timer tick_;
  std::vector<std::unique_ptr<Candidate>> candidates_;
  Candidate* current_ = nullptr;
  std::vector<std::pair<protocol::link::ForwardedWork, int>> suspected_;  // deaths by message
  std::uint64_t current_term_ = 0;
  std::uint64_t newest_term_ = 0;
  std::uint64_t generation_ = 0;
  std::int64_t started_ns_ = 0;
  runtime::Absence absence_;
  std::uint64_t last_process_ = 0;  // of the engine that served last
  bool proven_ = false;             // it has said whom it dies of
  bool died_ = false;               // unasked, if the next one is of another process
  std::int64_t lost_ns_ = 0;        // since when nobody serves us; 0: never has, or somebody does
  std::int64_t last_tick_ns_ = 0;
  bool ever_ready_ = false;
  bool leaving_ = false;
};

// Returns a non-blocking socket that connects to `at`; -1: connect() has failed at once.
// TCP_USER_TIMEOUT in ms.
int start_connect(const boost::asio::ip::tcp::endpoint& at, std::uint32_t user_timeout_ms);

}  // namespace berth::gateway::cluster
