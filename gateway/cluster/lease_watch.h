// Looks again and again whether the store's Redis answers and who holds it, on a thread of its own:
// what a standby needs to know, and what an engine says of its health. An engine without Redis has
// none of these.
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
    std::string wrong;  // the store is not for us, why; empty: it is
    session::RedisLease lease;
  };
  // `seen` runs on the watch's thread, every `every_ms`; an answer later than `timeout_ms` is none.
  // `check` is asked first of all, until it has an answer: View::wrong, or RedisError.
  LeaseWatch(session::RedisOptions redis, std::string prefix, std::uint32_t every_ms,
             std::uint32_t timeout_ms, std::function<std::string()> check,
             std::function<void(View)> seen);
  ~LeaseWatch();
  // We hold the lease and will give it back: successors may read everything meanwhile. Looks often
  // from then on.
  void begin_warming(const std::string& name);
  // Which edge shards we, the holder, are linked to: written when they change, and again while they
  // do not. Nothing: we are not the holder.
  void tell_edges(std::optional<std::vector<session::RedisEdge>> edges);
  // How many edge shards we, the holder, are linked to; told again with each look. 0: we are not.
  void tell_reach(std::size_t edges) { reach_ = edges; }

 private:
  void run();
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
