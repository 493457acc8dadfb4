// Looks again and again whether the store's Redis answers and who holds it, on a thread of its own:
// what a standby needs to know, and what an engine says of its health. An engine without Redis has
// none of these.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "session/redis_store.h"

namespace berth::gateway::cluster {

class LeaseWatch {
 public:
  struct View {
    bool reachable = false;
    session::RedisLease lease;
  };
  // `seen` runs on the watch's thread, every `every_ms`; an answer later than `timeout_ms` is none.
  LeaseWatch(session::RedisOptions redis, std::string prefix, std::uint32_t every_ms,
             std::uint32_t timeout_ms, std::function<void(View)> seen);
  ~LeaseWatch();

 private:
  void run();

  session::RedisConnection redis_;
  std::string prefix_;
  std::chrono::milliseconds every_;
  std::function<void(View)> seen_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::cluster
