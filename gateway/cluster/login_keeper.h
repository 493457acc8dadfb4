// Counters of failed log-ins outlive an engine of a cluster: the engine copies them to the store's
// Redis a moment later, and the engine that takes the store reads them before it serves. So when an
// engine dies a guesser gains only the tries of that moment, and a device that has logged in before
// is still known. Hashes and counters only, no names.
//
// In Redis: a hash of at most 393,216 fields (LoginMemory::kPlaces; 40 MB), a field for a place, 24
// bytes each; and "key", under which names are hashed. Bounds: 20,000 changes wait, later ones are
// left out (they are copied when they change again). Made and told on the engine's thread; writes
// on a thread of its own, blocking, with store.redis_timeout_ms.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/engine/login_memory.h"
#include "store/redis_connection.h"

namespace berth::gateway::cluster {

class LoginKeeper {
 public:
  static constexpr std::size_t kWaitMax = 20'000;
  explicit LoginKeeper(const session::RedisOptions& redis);
  ~LoginKeeper();  // within two time-outs of Redis
  LoginKeeper(const LoginKeeper&) = delete;
  LoginKeeper& operator=(const LoginKeeper&) = delete;

  const std::shared_ptr<engine::LoginMemory>& memory() const { return memory_; }
  // On any thread, while no engine serves with memory(). Failures are logged.
  void load();
  // Called with every heartbeat of an engine that serves: gives the changes to the thread that
  // writes them.
  void beat();

 private:
  void run();
  void write(std::vector<engine::LoginMemory::Change> changes);

  const session::RedisOptions options_;
  const std::string key_;
  std::shared_ptr<engine::LoginMemory> memory_;  // shared with the engine that is made of it
  session::RedisConnection redis_;               // of the thread
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<engine::LoginMemory::Change> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace berth::gateway::cluster
