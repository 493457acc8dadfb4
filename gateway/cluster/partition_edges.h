// The edges of one partition in an engine process: their links, edges that come and go, and the
// rule that all routes are known before inputs run. Held by value by the PartitionServer, on its
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/cluster/edge_roster.h"
#include "gateway/config/config.h"
#include "gateway/engine/engine_shard.h"
#include "gateway/link/link_set.h"

namespace berth::gateway::cluster {

class PartitionEdges;

// A link of an edge. Until its hello it belongs to no partition.
struct LinkedEdge {
  std::string peer;                        // address and port
  std::unique_ptr<link::EngineLink> link;  // null: the partition's LinkSet has it
  std::int64_t since_ns = 0;
  PartitionEdges* partition = nullptr;
  std::uint32_t number = 0;  // in the partition
  bool lost = false;
};

class PartitionEdges {
 public:
  // The partition, as its edges need it.
  class Owner {
   public:
    virtual engine::EngineShard* engine() = 0;  // null: none
    virtual bool serving() const = 0;
    virtual protocol::link::Status status() const = 0;
    virtual void alive(const protocol::link::Alive& a) = 0;  // how an edge sees the partition
    virtual void gathered() = 0;                             // run() must follow, once

   protected:
    ~Owner() = default;
  };
  PartitionEdges(boost::asio::io_context& io, const Config& config, std::uint32_t partition,
                 std::uint64_t engine_id, Owner& owner);
  ~PartitionEdges();
  PartitionEdges(const PartitionEdges&) = delete;
  PartitionEdges& operator=(const PartitionEdges&) = delete;

  // An edge has said hello; refuses or keeps it.
  void adopt(const std::shared_ptr<LinkedEdge>& edge, const protocol::link::Hello& hello);
  // Tells the engine of all edges that are linked now; they may attach to it. REQUIRES: the engine
  // is there.
  void admit_all();
  // Calls Owner::gathered() if there is an engine and all expected edges have attached.
  void check_gathered();
  bool gathered() const { return gathered_; }
  // Inputs run from now on. REQUIRES: the engine is there, not gathered() yet.
  void run();
  void beat(std::int64_t now_ns);             // every heartbeat
  void tell_status();                         // to all edges
  void tell_strike(std::string_view strike);  // to all edges
  void stop_input();
  // From a signal handler: see PartitionServer.
  void last_words(std::uint64_t work);

  link::LinkSet& links() { return links_; }
  const EdgeRoster& roster() const { return roster_; }
  std::uint64_t links_lost() const { return links_lost_; }
  std::uint64_t edges_gone() const { return edges_gone_; }
  // Messages of other partitions, and wills, that have killed engines, as edges have told.
  const std::vector<protocol::link::ForwardedWork>& skips() const { return skips_; }

  // -- of a link that was adopted
  void on_attached_all(const LinkedEdge& e);
  void on_alive(const LinkedEdge& e, const protocol::link::Alive& a);
  void on_goodbye(const LinkedEdge& e);
  void on_admits(const LinkedEdge& e, std::uint32_t per_second);
  void on_skip(protocol::link::ForwardedWork w);
  void on_lost();

 private:
  void sweep();
  void unlink(const LinkedEdge& e);
  void admit(std::uint32_t number);
  void give_up(std::uint32_t number);
  void let_run(std::uint32_t number);
  void drop_silent(std::int64_t now_ns);
  void tell_admissions();
  void post(std::function<void()> f);  // runs f unless this object is gone by then

  boost::asio::io_context& io_;
  const Config& config_;
  const std::uint32_t partition_;
  const std::uint64_t engine_id_;
  Owner& owner_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  link::LinkSet links_;
  EdgeRoster roster_;
  std::vector<std::shared_ptr<LinkedEdge>> edges_;  // adopted and not lost
  std::vector<protocol::link::ForwardedWork> skips_;
  std::uint64_t links_lost_ = 0;
  std::uint64_t edges_gone_ = 0;
  std::int64_t last_beat_ns_ = 0;
  bool gathered_ = false;
};

}  // namespace berth::gateway::cluster
