// Asks the store's Redis again and again, on a thread of its own, whether it answers and who holds
// the store. A standby needs this to know when to take the store; an engine reports it as its
// health. An engine without Redis has no LeaseWatch. Its functions: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "store/redis_store.h"

namespace berth::gateway::cluster {

class LeaseWatch {
 public:
  struct View {
    bool reachable = false;
    std::string wrong;  // why we must not use this store; empty: we may
    session::RedisLease lease;
  };
  // `seen` runs on the watch's thread, every `every_ms`; an answer later than `timeout_ms` counts
  // as none. `check` runs before each look until it returns empty: its text is View::wrong. It may
  // throw RedisError.
  LeaseWatch(session::RedisOptions redis, std::string prefix, std::uint32_t every_ms,
             std::uint32_t timeout_ms, std::function<std::string()> check,
             std::function<void(View)> seen);
  ~LeaseWatch();
  // We hold the lease and will give it back: successors may read the store meanwhile. From then on
  // the watch looks often.
  void begin_warming(const std::string& name);
  // Which edge shards we, the holder, are linked to. The watch writes them to Redis when they
  // change, and again from time to time. Nothing: we are not the holder.
  void tell_edges(std::optional<std::vector<session::RedisEdge>> edges);
  // How many edge shards we, the holder, are linked to; written with each look. 0: not the holder.
  void tell_reach(std::size_t edges) { reach_ = edges; }

 private:
  void run();
  void write(const std::string& warming);
  void write_edges();

  session::RedisConnection redis_;
  std::string prefix_;
  std::chrono::milliseconds every_;
  std::function<std::string()> check_;  // none: it has answered
  std::function<void(View)> seen_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<std::size_t> reach_{0};
  bool ending_ = false;
  std::string warming_;  // asked for
  std::optional<std::vector<session::RedisEdge>> edges_;
  std::chrono::steady_clock::time_point edges_due_;  // to be written then
  std::thread thread_;
};

}  // namespace berth::gateway::cluster
